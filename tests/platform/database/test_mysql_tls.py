"""TLS to a real MariaDB: on when the URL names authorities, and then with the right server or not at all."""

from pathlib import Path

import pytest

from farmlokal.errors import DomainError, Invalid, Unavailable
from farmlokal.migrations.runner import upgrade
from farmlokal.platform.database import database_at
from tests.support.catalogue import run
from tests.support.servers.certificates import ELSEWHERE, HERE, certificates
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.valkey import Certificates


def speaking_tls(files: Certificates) -> MariaDb:
    """A server with this certificate."""
    return MariaDb(
        {"ssl-ca": files.authority.as_posix(), "ssl-cert": files.certificate.as_posix()}
        | {"ssl-key": files.key.as_posix()}
    )


def cipher(url: str) -> str:
    """How what the adapter sends is encrypted; empty where it is not."""

    async def ask() -> str:
        database = database_at(url, 1)
        try:
            await database.open()
            [(_, name)] = await database.fetch_all("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
            return str(name)
        finally:
            await database.close()

    return run(ask())


def test_a_server_that_the_authorities_vouch_for(tmp_path: Path) -> None:
    """What is sent is encrypted, migrations as well; a stranger's authority is refused in words."""
    files, strangers = certificates(tmp_path / "ours"), certificates(tmp_path / "strangers")
    with speaking_tls(files) as server:
        url = server.new_database().url
        trusting = f"{url}?ssl_ca={files.authority}"
        assert cipher(url) == ""
        assert cipher(trusting).startswith("TLS_")
        wrong = f"{url}?ssl_ca={strangers.authority}"
        refused: list[DomainError] = []
        for ask in (cipher, upgrade):
            with pytest.raises(Unavailable, match="ssl_ca does not vouch for") as caught:
                ask(wrong)
            refused.append(caught.value)
        assert server.administer(f"SHOW TABLES IN {url.rpartition('/')[2]}") == []
        upgrade(trusting)
        assert server.administer(f"SHOW TABLES IN {url.rpartition('/')[2]}")


@pytest.mark.parametrize("kind", ["another name", "no tls"])
def test_nothing_is_sent_to_a_server_that_is_not_verified(tmp_path: Path, kind: str) -> None:
    """With authorities in the URL neither a certificate for another name nor a plain server is spoken to."""
    files = certificates(tmp_path / "files", ELSEWHERE if kind == "another name" else HERE)
    with speaking_tls(files) if kind == "another name" else MariaDb({"skip-ssl": ""}) as server:
        url = server.new_database().url
        assert cipher(url) == ""
        with pytest.raises(Unavailable, match="ssl_ca does not vouch for"):
            cipher(f"{url}?ssl_ca={files.authority}")


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_authorities_that_cannot_be_read_are_refused(tmp_path: Path, content: str | None) -> None:
    """A file that is missing or holds no certificate is named as the fault, before anything is dialled."""
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Invalid) as caught:
        database_at(f"mysql://u:p@127.0.0.1:1/d?ssl_ca={path}", 1)
    [fault] = caught.value.faults
    assert (fault.parameter, fault.code) == ("FARMLOKAL_DATABASE_URL", "unreadable")
    assert "ssl_ca" in fault.accepted
