"""Migrations of tables in use: an open transaction delays a change, and those who come after it hardly."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from farmlokal.errors import Unavailable
from farmlokal.migrations.runner import upgrade
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.sql import Database

DEADLINE_S = 120


@pytest.fixture
def behind(mariadb_database: Database) -> Database:
    """A database whose next migration makes indexes of products."""
    upgrade(mariadb_database.url, to="0003")
    return mariadb_database


@contextmanager
def held(server: MariaDb, database: Database) -> Iterator[None]:
    """A transaction that has read products and is not at its end, as a batch of an import is."""
    with server.connection(database.name) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT COUNT(*) FROM products")
        yield
        cursor.execute("COMMIT")


def indexes(server: MariaDb, database: Database) -> set[str]:
    """Names of the indexes of products."""
    return {row[2] for row in server.administer(f"SHOW INDEX FROM {database.name}.products")}


def poll(reached: Callable[[], bool]) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + DEADLINE_S
    while not reached():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def test_a_change_leaves_and_comes_back(mariadb_server: MariaDb, behind: Database) -> None:
    """A migration that meets an open transaction stops waiting, so that others get through, and tries again
    until it has ended."""

    def waiting() -> bool:
        sql = "SELECT 1 FROM information_schema.processlist WHERE db = %s AND state LIKE %s"
        return bool(mariadb_server.administer(sql, (behind.name, "%metadata lock%")))

    with ThreadPoolExecutor(1) as background:
        with held(mariadb_server, behind):
            migration = background.submit(upgrade, behind.url)
            for expected in (True, False, True):
                poll(lambda expected=expected: waiting() is expected)  # type: ignore[misc]
                assert not migration.done()
        migration.result(DEADLINE_S)
    assert "ix_products_category" in indexes(mariadb_server, behind)


def test_patience_has_an_end(mariadb_server: MariaDb, behind: Database) -> None:
    """A table that is held for too long is named as the reason; the next run finishes what was not done."""
    with held(mariadb_server, behind), pytest.raises(Unavailable) as refused:
        upgrade(behind.url, patience_s=0)
    assert "holding a table" in refused.value.detail
    upgrade(behind.url)
    assert "ix_products_category" in indexes(mariadb_server, behind)
