"""The whole program on MariaDB: migrate, seed, look, serve, and lose the database for a while."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmlokal.migrations import newest
from tests.support.server import command, environment, serving
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.sql import Database

PRODUCTION = {
    "FARMLOKAL_PROFILE": "production",
    "FARMLOKAL_SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz",
    "FARMLOKAL_WEBHOOK_SECRETS": "0123456789abcdefghijklmnop",
}


def tell(url: str, *arguments: str, more: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    settings = environment(Path("unused.db"), {"FARMLOKAL_DATABASE_URL": url, **(more or {})})
    return subprocess.run(
        command(*arguments), env=settings, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def server() -> Iterator[MariaDb]:
    """A server that the test may freeze."""
    with MariaDb() as started:
        yield started


def test_a_catalogue_on_mariadb_from_nothing_to_served(server: MariaDb, tmp_path: Path) -> None:
    """An empty MariaDB is migrated, seeded, examined, served; frozen, it is refused soon and found again."""
    url = server.new_database().url
    assert "farmlokal migrate" in tell(url, "seed").stderr
    for arguments, said in (
        (("migrate",), f"version {newest()}"),
        (("migrate",), f"version {newest()}"),
        (("seed", "--products", "300"), "300 created"),
        (("seed", "--products", "300"), "unchanged"),
        (("doctor",), "ok   database: MariaDB"),
    ):
        done = tell(url, *arguments)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
        assert not done.stderr
        assert "p%40ss" not in done.stdout
    with (
        serving(tmp_path / "unused.db", tmp_path / "log", {"FARMLOKAL_DATABASE_URL": url}) as running,
        running.caller() as caller,
    ):
        first = caller.ask("/api/products?limit=2&sort=price&count=exact").json()
        assert first["total"] == 300
        assert caller.ask("/api/products?facets=category,state&search=tomato").status == 200
        server.process.freeze()
        try:
            started = time.monotonic()
            refused = caller.ask("/api/products")
            assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
            assert time.monotonic() - started < 4, "2 s, on a machine that runs other tests"
            assert caller.ask("/readyz").status == 503
            assert caller.ask("/healthz").status == 200
        finally:
            server.process.thaw()
        deadline = time.monotonic() + 5
        while caller.ask("/api/products").status != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert running.terminate() == 0
    assert "p@ss" not in (tmp_path / "log").read_text()


def test_production_refuses_a_server_that_could_lose_a_commit(
    mariadb_server: MariaDb, migrated_mariadb: Database
) -> None:
    """In production a server that could lose a commit is refused at start, and the setting is named."""
    mariadb_server.administer("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
    try:
        done = tell(migrated_mariadb.url, "serve", more=PRODUCTION)
    finally:
        mariadb_server.administer("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    assert done.returncode == 1
    assert "innodb_flush_log_at_trx_commit is 2" in done.stderr
