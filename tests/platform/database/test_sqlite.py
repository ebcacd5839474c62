"""SQLite as a server: transactions that end whatever happens, limits that hold, refusals in words."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from farmlokal.errors import DomainError, Unavailable
from farmlokal.migrations import newest
from farmlokal.migrations.runner import upgrade
from farmlokal.ops.preflight import require_schema
from farmlokal.platform.database.port import READ_QUEUE_LIMIT, STATEMENT_LIMIT_S, Transaction
from farmlokal.platform.database.sqlite import SqliteDatabase
from tests.support.catalogue import connect, opened, run

INSERT = "INSERT INTO categories (name, name_key) VALUES (?, ?)"
COUNT = "SELECT COUNT(*) FROM categories"
SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"


async def count(database: SqliteDatabase) -> int:
    """How many categories there are."""
    [(found,)] = await database.fetch_all(COUNT)
    return int(found)


async def insert(database: SqliteDatabase, name: str) -> None:
    """One committed category."""
    async with database.transaction() as tx:
        await tx.execute(INSERT, (name, name.encode()))


def test_transaction_commits_at_its_end(database_path: Path) -> None:
    """What a transaction wrote is seen inside it at once, by others when it has ended."""

    async def go() -> None:
        async with opened(database_path) as database:
            async with database.transaction() as tx:
                assert await tx.execute(INSERT, ("a", b"a")) == 1
                await tx.execute_many(INSERT, [("b", b"b"), ("c", b"c")])
                assert await tx.fetch_all(COUNT) == [(3,)]
                assert await count(database) == 0
            assert await count(database) == 3

    run(go())


def test_transaction_that_raises_leaves_nothing(database_path: Path) -> None:
    """A transaction whose block raises is rolled back, and the next one works."""

    async def go() -> None:
        async with opened(database_path) as database:

            async def fail() -> None:
                async with database.transaction() as tx:
                    await tx.execute(INSERT, ("a", b"a"))
                    raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await fail()
            assert await count(database) == 0
            await insert(database, "b")
            assert await count(database) == 1

    run(go())


def test_cancelled_transaction_leaves_nothing(database_path: Path) -> None:
    """A transaction that is cancelled is rolled back, and the next one works."""

    async def go() -> None:
        async with opened(database_path) as database:
            inside = asyncio.Event()

            async def hang() -> None:
                async with database.transaction() as tx:
                    await tx.execute(INSERT, ("a", b"a"))
                    inside.set()
                    await asyncio.Future()

            task = asyncio.create_task(hang())
            await inside.wait()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            await insert(database, "b")
            assert await count(database) == 1

    run(go())


def test_transaction_cancelled_while_it_waits_to_begin(database_path: Path) -> None:
    """A caller who gives up while another process writes leaves no transaction behind."""

    async def go() -> None:
        other = connect(database_path)
        async with opened(database_path) as database:
            other.execute("BEGIN IMMEDIATE")
            task = asyncio.create_task(insert(database, "a"))
            for _ in range(200):  # BEGIN goes to the writer's thread, and waits there
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            other.execute("ROLLBACK")
            await insert(database, "b")
            assert await count(database) == 1
        other.close()

    run(go())


def test_commit_that_fails_leaves_no_transaction(database_path: Path) -> None:
    """A commit that fails is rolled back, and the next transaction works."""
    product = (
        "INSERT INTO products (external_key, seller_id, category_id, search_id, name, name_key, price_minor,"
        " organic, source, created_at_us, updated_at_us, version)"
        " VALUES ('a', 9, 9, 9, 'a', x'61', 1, 0, 't', 0, 0, 1)"
    )

    async def go() -> None:
        async with opened(database_path) as database:

            async def orphan() -> None:
                async with database.transaction() as tx:
                    await tx.execute("PRAGMA defer_foreign_keys = ON")
                    await tx.execute(product)

            with pytest.raises(sqlite3.IntegrityError):
                await orphan()
            await insert(database, "b")
            assert await count(database) == 1

    run(go())


def test_writers_take_turns(database_path: Path) -> None:
    """Three hundred writers at once all succeed, in one process."""

    async def go() -> None:
        async with opened(database_path) as database:
            await asyncio.gather(*(insert(database, f"c{number}") for number in range(300)))
            assert await count(database) == 300

    run(go())


def test_writers_of_two_processes_take_turns(database_path: Path) -> None:
    """Writers with connections of their own, as other processes have them, wait for each other."""

    async def go() -> None:
        async with opened(database_path) as one, opened(database_path) as two:
            writers = (insert((one, two)[number % 2], f"c{number}") for number in range(100))
            await asyncio.gather(*writers)
            assert (await count(one), await count(two)) == (100, 100)

    run(go())


def test_readers_cannot_write(database_path: Path) -> None:
    """A read that would write is refused by the engine."""

    async def go() -> None:
        async with opened(database_path) as database:
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                await database.fetch_all("DELETE FROM categories")

    run(go())


def test_slow_read_is_cut_off(database_path: Path) -> None:
    """A read that takes longer than it may is stopped and refused, and the reader is free again."""

    async def go() -> float:
        async with opened(database_path) as database:
            loop = asyncio.get_running_loop()
            start = loop.time()
            with pytest.raises(Unavailable, match="longer"):
                await database.fetch_all(SLOW)
            took = loop.time() - start
            assert await count(database) == 0
            return took

    assert STATEMENT_LIMIT_S <= run(go()) < STATEMENT_LIMIT_S + 2


def test_too_many_reads_are_refused(database_path: Path) -> None:
    """Past its bound the queue refuses at once; when it is empty again, all is well."""

    async def go() -> None:
        async with opened(database_path) as database:
            many = READ_QUEUE_LIMIT + 30
            results = await asyncio.gather(*(count(database) for _ in range(many)), return_exceptions=True)
            refused = [result for result in results if isinstance(result, Unavailable)]
            assert len(refused) == 30
            assert results.count(0) == READ_QUEUE_LIMIT
            assert await count(database) == 0

    run(go())


def test_bug_in_sql_stays_a_bug(database_path: Path) -> None:
    """A statement that is wrong is not mistaken for a database that is away."""

    async def go() -> None:
        async with opened(database_path) as database:
            with pytest.raises(sqlite3.OperationalError, match="syntax"):
                await database.fetch_all("SELEC 1")

    run(go())


def test_commits_survive_a_power_cut(database_path: Path) -> None:
    """Every connection writes through to the disk at commit, checks foreign keys, and the log is WAL."""

    async def go() -> None:
        async with opened(database_path) as database:
            async with database.transaction() as tx:
                assert await tx.fetch_all("PRAGMA synchronous") == [(2,)]
                assert await tx.fetch_all("PRAGMA foreign_keys") == [(1,)]
                assert await tx.fetch_all("PRAGMA journal_mode") == [("wal",)]
            assert await database.fetch_all("PRAGMA foreign_keys") == [(1,)]

    run(go())


def test_bulk_load_that_fails_leaves_the_table_and_its_indexes(database_path: Path) -> None:
    """A bulk load that breaks off leaves the rows and the indexes as they were."""
    indexes = "SELECT name FROM sqlite_master WHERE type = 'index' ORDER BY name"

    async def go() -> None:
        async with opened(database_path) as database:
            before = await database.fetch_all(indexes)

            async def fail() -> None:
                async def look(tx: Transaction) -> None:
                    assert await tx.fetch_all(indexes) != before

                async with database.bulk_load("products") as load:
                    await load.write(look)
                    raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await fail()
            assert await database.fetch_all(indexes) == before

    run(go())


def refusal(path: Path) -> str:
    """How a file is refused as a database of this release."""

    async def go() -> str:
        with pytest.raises(DomainError) as caught:
            async with opened(path) as database:
                await require_schema(database, newest())
        return caught.value.detail

    return run(go())


def test_no_file(tmp_path: Path) -> None:
    """A database that is not there is refused with the command that makes it, and is not made."""
    path = tmp_path / "none.db"
    assert "farmlokal migrate" in refusal(path)
    assert not path.exists()


def test_file_that_was_never_migrated(tmp_path: Path) -> None:
    """A database without the schema is refused with the command that makes it."""
    path = tmp_path / "empty.db"
    connection = connect(path)
    connection.execute("CREATE TABLE other (id INTEGER)")
    connection.close()
    assert "farmlokal migrate" in refusal(path)


def test_schema_of_another_release(database_path: Path) -> None:
    """A database of another version is refused with both versions named."""
    connection = connect(database_path)
    connection.execute("UPDATE alembic_version SET version_num = '0000'")
    connection.close()
    said = refusal(database_path)
    assert "0000" in said
    assert "farmlokal migrate" in said


def test_a_newer_release_has_migrated(database_path: Path) -> None:
    """A release serves on a later schema than its own, and its `migrate` leaves that as it is."""
    connection = connect(database_path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    upgrade(f"sqlite:///{database_path}")
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
    connection.close()

    async def go() -> None:
        async with opened(database_path) as database:
            await require_schema(database, newest())

    run(go())


# The thread pool logs the error that its initializer met; it is the refusal's cause.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_file_that_is_no_database(tmp_path: Path) -> None:
    """A file that is no database is refused in words that name it, without its folder."""
    path = tmp_path / "notes.db"
    path.write_text("not a database, " * 100)
    said = refusal(path)
    assert "notes.db" in said
    assert str(tmp_path) not in said
