"""TLS to a real Valkey: with a server that the authorities vouch for under its name, or not at all."""

from pathlib import Path

import pytest

from farmlokal.platform.clock import SystemClock
from farmlokal.platform.redis import RedisConnections, RedisUnavailable
from tests.support.catalogue import run
from tests.support.servers.certificates import ELSEWHERE, HERE, certificates
from tests.support.servers.valkey import PATIENT_S, Valkey


def echo(url: str) -> bytes:
    """What comes back of a word. Raises `RedisUnavailable`."""

    async def ask() -> bytes:
        connections = RedisConnections(url, SystemClock(), PATIENT_S)
        await connections.open()
        try:
            answer = await connections.execute("ECHO", "word")
            assert isinstance(answer, bytes)
            return answer
        finally:
            await connections.close()

    return run(ask())


def test_a_server_that_the_authorities_vouch_for(tmp_path: Path) -> None:
    """It is spoken to over TLS; a stranger's authority, the system's own and plain text are not enough."""
    files, strangers = certificates(tmp_path / "ours"), certificates(tmp_path / "strangers")
    with Valkey(certificates=files, password="p@ss/word") as server:
        assert echo(f"{server.url}?ssl_ca_certs={files.authority}") == b"word"
        for wrong, reason in (
            (f"{server.url}?ssl_ca_certs={strangers.authority}", "certificate"),
            (server.url, "certificate"),
            (server.url.replace("rediss://", "redis://"), "connection"),
        ):
            with pytest.raises(RedisUnavailable, match=f"^{reason}$"):
                echo(wrong)


def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    """A certificate of the right authority for another server is another server's."""
    files = certificates(tmp_path / "files", ELSEWHERE)
    with Valkey(certificates=files) as server, pytest.raises(RedisUnavailable, match="certificate"):
        echo(f"{server.url}?ssl_ca_certs={files.authority}")
    with Valkey(certificates=certificates(tmp_path / "here", HERE)) as server:
        assert echo(f"{server.url}?ssl_ca_certs={tmp_path / 'here' / 'authority.pem'}") == b"word"
