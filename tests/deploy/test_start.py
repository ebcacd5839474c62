"""What a container does when it is told nothing else: the script `deploy/image/start`, on real servers."""

import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.processes import START_S, STOP_S, OwnedProcess, wait_until
from tests.support.engines import ENGINES
from tests.support.server import Caller, environment
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.place import ROOT, free_port
from tests.support.servers.sql import PASSWORD, USER, SqlServer
from tests.support.servers.valkey import Valkey

START = ROOT / "deploy/image/start"

READY_S = 3 * START_S
"""It starts the program three times: to draw secrets, to migrate, to serve."""


def container(port: int, more: Mapping[str, str]) -> dict[str, str]:
    """The variables of the image, and those that whoever runs it gives."""
    own = environment("", {"FARMLOKAL_PROFILE": "production", "FARMLOKAL_HOST": "127.0.0.1"})
    del own["FARMLOKAL_DATABASE_URL"]
    programs = Path(sys.executable).parent
    return own | {"PATH": f"{programs}:{own['PATH']}", "PORT": str(port)} | dict(more)


@contextmanager
def started(folder: Path, port: int, more: Mapping[str, str]) -> Iterator[OwnedProcess]:
    """A container in a folder."""

    def answers() -> bool:
        with Caller(port) as caller:
            return caller.ask("/readyz").status == 200

    (folder / "var").mkdir(exist_ok=True)
    # A process has its folder from its parent, so a shell goes there first.
    command = ["sh", "-c", 'cd "$1" && exec sh "$2"', "sh", str(folder), str(START)]
    process = OwnedProcess(command, folder / "log", answers, container(port, more))
    process.launch()
    try:
        yield process
        assert process.terminate(STOP_S) == 0
    finally:
        process.kill()


def told(folder: Path, *arguments: str) -> str:
    """What a command says that is run in the container."""
    done = subprocess.run(
        ["sh", START, "farmlokal", *arguments], cwd=folder, env=container(1, {}),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_alone_it_makes_all_that_it_needs_once(tmp_path: Path) -> None:
    """Without variables a container is in production on a database of its own, with secrets that it made and
    a first catalogue; commands in it have the same, and the next start finds all of it."""
    kept = []
    for _ in range(2):
        port = free_port()
        with started(tmp_path, port, {}) as process:
            process.wait_until_ready(READY_S)
            with Caller(port) as caller:
                assert len(caller.ask("/api/products").json()["data"]) == 20
                assert caller.ask("/auth/token").status == 401
            assert "client_secret=" in told(tmp_path, "clients", "create", "A shop", "--scope", "ops:read")
        secrets = [tmp_path / "var" / name for name in ("secret-key", "webhook-secret")]
        assert {stat.S_IMODE(secret.stat().st_mode) for secret in secrets} == {0o600}
        kept.append([secret.read_text() for secret in secrets])
    assert kept[0] == kept[1]
    assert kept[0][0] != kept[0][1]
    assert (tmp_path / "log").read_text().count("Generated products") == 1


@pytest.mark.parametrize("engine", [engine for engine in ENGINES if engine != "sqlite"])
def test_with_the_originals_variables_it_serves_their_database(
    engine: str, request: pytest.FixtureRequest, valkey: Valkey, tmp_path: Path
) -> None:
    """`DB_HOST`, `DB_USER`, `DB_PASSWORD`, `DB_NAME` and `REDIS_URL` lead to a MySQL, which is migrated and
    not filled, and to a Redis."""
    server: SqlServer = request.getfixturevalue(f"{engine}_server")
    database, port = server.new_database(), free_port()
    given = {
        "DB_HOST": "127.0.0.1", "DB_PORT": str(server.port), "DB_USER": USER, "DB_PASSWORD": PASSWORD,
        "DB_NAME": database.name, "REDIS_URL": valkey.url,
    }  # fmt: skip
    with started(tmp_path, port, given) as process:
        process.wait_until_ready(READY_S)
        with Caller(port) as caller:
            assert caller.ask("/api/products").json()["data"] == []
            assert set(caller.ask("/readyz").json()["checks"]) == {"database", "redis"}
    with server.connection(database.name) as connection, connection.cursor() as cursor:
        assert cursor.execute("SELECT version_num FROM alembic_version") == 1


def test_it_waits_for_a_database_that_is_not_there_yet(tmp_path: Path) -> None:
    """A container that is started before its MySQL waits for it."""
    port = free_port()
    with MariaDb() as server:
        database = server.new_database()
        server.process.kill()
        with started(tmp_path, port, {"FARMLOKAL_DATABASE_URL": database.url}) as process:
            seen: set[int] = set()  # the shell, a look in vain, the pause, the next look

            def looked_twice() -> bool:
                seen.update(process.members())
                return len(seen) > 3

            wait_until(looked_twice, "it looks for its database again")
            server.process.start()
            process.wait_until_ready(READY_S)


def test_settings_that_are_refused_are_told_at_once(tmp_path: Path) -> None:
    """What no waiting mends is not waited for: the container ends with the reasons."""
    (tmp_path / "var").mkdir()
    given = {"FARMLOKAL_DATABASE_URL": "mysql://h/d", "FARMLOKAL_PUBLIC_URL": "http://x.example"}
    done = subprocess.run(
        ["sh", START], cwd=tmp_path, env=container(1, given),
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "FARMLOKAL_PUBLIC_URL (unsafe)" in done.stderr
