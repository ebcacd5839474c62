"""What a transaction and a bulk load promise, to their caller and to others at the same file."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from farmlokal.errors import Unavailable
from farmlokal.platform.database.port import STATEMENT_LIMIT_S
from farmlokal.platform.database.sqlite import SqliteDatabase
from tests.support.catalogue import Shelf, connect, opened, run

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
COUNT = "SELECT COUNT(*) FROM categories"
INSERT = "INSERT INTO categories (name, name_key) VALUES (?, ?)"


def indexes(path: Path) -> list[tuple[str, str | None]]:
    """Every index with its SQL."""
    with closing(connect(path)) as connection:
        sql = "SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name"
        return list(connection.execute(sql))


def test_bulk_load_builds_the_same_indexes(database_path: Path) -> None:
    """A bulk load sets the plain indexes of its table aside and builds the very same at its end."""
    before = indexes(database_path)

    async def go() -> None:
        async with opened(database_path) as database:
            async with database.bulk_load("products") as load:
                during = await load.write(
                    lambda tx: tx.fetch_all(
                        "SELECT tbl_name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
                    )
                )
                kept = [sql for table, sql in during if table == "products"]
                assert kept
                assert all("CREATE UNIQUE" in sql for sql in kept)
                assert [sql for table, sql in during if table != "products"]
            assert await database.fetch_all("PRAGMA integrity_check") == [("ok",)]

    run(go())
    assert indexes(database_path) == before


def test_bulk_load_appears_whole(shelf: Shelf, database_path: Path) -> None:
    """Readers see the table as it was until a bulk load ends, and then all of it."""

    async def go() -> None:
        async with opened(database_path) as database:
            async with database.bulk_load("categories") as load:
                rows = [(f"c{number}", b"%d" % number) for number in range(50)]
                await load.write(lambda tx: tx.execute_many(INSERT, rows))
                assert await load.write(lambda tx: tx.fetch_all(COUNT)) == [(50,)]
                assert await database.fetch_all(COUNT) == [(0,)]
                assert shelf.connection.execute(COUNT).fetchall() == [(0,)]
            assert await database.fetch_all(COUNT) == [(50,)]

    run(go())


def test_other_processes_wait_from_the_beginning(database_path: Path) -> None:
    """No other process can begin to write while a transaction is open, even before its first write."""

    async def go() -> None:
        with closing(sqlite3.connect(database_path, isolation_level=None, timeout=0)) as other:
            async with opened(database_path) as database:
                async with database.transaction():
                    with pytest.raises(sqlite3.OperationalError, match="locked"):
                        other.execute("BEGIN IMMEDIATE")
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")

    run(go())


def test_waiting_counts_towards_the_limit(database_path: Path) -> None:
    """A read may wait and run together no longer than the limit: behind a slow one it is refused."""

    async def go() -> None:
        database = SqliteDatabase(database_path, readers=1)
        await database.open()
        try:
            started = time.monotonic()
            reads = [database.fetch_all(ENDLESS) for _ in range(8)]
            results = await asyncio.gather(*reads, return_exceptions=True)
            assert all(isinstance(result, Unavailable) for result in results)
            assert time.monotonic() - started < 4 * STATEMENT_LIMIT_S  # one after the other: eight
            assert await database.fetch_all(COUNT) == [(0,)]
        finally:
            await database.close()

    run(go())


def test_a_lock_that_does_not_come_free_is_unavailable(database_path: Path) -> None:
    """A writer that waits past its limit for another process is refused, and works once that one is done."""

    async def go() -> None:
        async with opened(database_path) as database:
            async with database.transaction() as tx:
                await tx.execute("PRAGMA busy_timeout = 20")
            with closing(connect(database_path)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(Unavailable):
                    await database.transaction().__aenter__()
                other.execute("COMMIT")
            async with database.transaction() as tx:
                await tx.execute(INSERT, ("c", b"c"))
            assert await database.fetch_all(COUNT) == [(1,)]

    run(go())


def test_close_closes_every_connection(database_path: Path) -> None:
    """Closing waits for what runs and leaves no connection: the last one takes the log file with it."""
    log = database_path.with_name(database_path.name + "-wal")

    async def go() -> None:
        async with opened(database_path) as database:
            async with database.transaction() as tx:
                await tx.execute(INSERT, ("c", b"c"))
            await asyncio.gather(*(database.fetch_all(COUNT) for _ in range(20)))
            assert log.exists()
            last = asyncio.create_task(database.fetch_all(COUNT))
            await asyncio.sleep(0)
        assert await last == [(1,)]
        assert not log.exists()
        with pytest.raises(RuntimeError, match="shutdown"):
            await database.fetch_all(COUNT)

    run(go())
