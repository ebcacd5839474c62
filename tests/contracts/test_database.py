"""What every adapter of the database port promises, whichever engine is behind it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import bindparam, column, insert, select, table, update

from farmlokal.errors import Unavailable
from farmlokal.migrations import newest
from farmlokal.ops.preflight import examine, require_schema
from farmlokal.platform.database import database_at
from farmlokal.platform.database.port import READ_QUEUE_LIMIT, Database, DuplicateKey, Transaction
from tests.support.catalogue import new_database, run

CATEGORIES = table("categories", column("id"), column("name"), column("name_key"))
COUNT = "SELECT COUNT(*) FROM categories"


@pytest.fixture(params=["sqlite", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated, empty database of one engine or the other."""
    if request.param == "sqlite":
        return f"sqlite:///{new_database(tmp_path)}"
    return str(request.getfixturevalue("migrated_mariadb").url)


@asynccontextmanager
async def opened(url: str, pool: int = 4) -> AsyncIterator[Database]:
    """The adapter, open."""
    database = database_at(url, pool)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


def insert_sql(database: Database) -> str:
    """One category, by position."""
    statement = insert(CATEGORIES).values(name=bindparam("name"), name_key=bindparam("name_key"))
    return str(statement.compile(dialect=database.positional_dialect))


async def add(tx: Transaction, database: Database, *names: str) -> list[int]:
    """New categories; their ids."""
    return await tx.insert_many(insert_sql(database), [(name, name.encode()) for name in names])


async def count(database: Database) -> int:
    """How many categories others see."""
    [(found,)] = await database.fetch_all(COUNT)
    return int(found)


def test_what_is_written_is_seen_inside_at_once_and_by_others_at_the_end(url: str) -> None:
    """What a transaction wrote is seen inside it at once, by others when it has ended."""

    async def go() -> None:
        async with opened(url) as database:

            async def work(tx: Transaction) -> str:
                await add(tx, database, "a", "b", "c")
                assert await tx.fetch_all(COUNT) == [(3,)]
                assert await count(database) == 0
                return "done"

            assert await database.write(work) == "done"
            assert await count(database) == 3

    run(go())


def test_what_raises_leaves_nothing(url: str) -> None:
    """A transaction that raises is rolled back, and the next one works."""

    async def go() -> None:
        async with opened(url) as database:

            async def fail(tx: Transaction) -> None:
                await add(tx, database, "a")
                raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await database.write(fail)
            assert await count(database) == 0
            await database.write(lambda tx: add(tx, database, "b"))
            assert await count(database) == 1

    run(go())


def test_what_is_cancelled_leaves_nothing(url: str) -> None:
    """A transaction that is cancelled is rolled back, and the next one works."""

    async def go() -> None:
        async with opened(url, pool=1) as database:
            inside = asyncio.Event()

            async def hang(tx: Transaction) -> None:
                await add(tx, database, "a")
                inside.set()
                await asyncio.Future()

            task = asyncio.create_task(database.write(hang))
            await inside.wait()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            await database.write(lambda tx: add(tx, database, "b"))
            assert await count(database) == 1

    run(go())


def test_a_transaction_inside_a_transaction_is_a_bug(url: str) -> None:
    """A transaction begun inside another is refused at once, and does not wait for it for ever."""

    async def go() -> None:
        async with opened(url, pool=1) as database:

            async def nested(tx: Transaction) -> None:
                await database.write(lambda inner: add(inner, database, "a"))

            with pytest.raises(RuntimeError, match="inside"):
                await database.write(nested)
            assert await count(database) == 0

    run(go())


def test_ids_come_back_in_row_order(url: str) -> None:
    """The ids of many inserted rows are given in the order of the rows, however many statements they took."""
    names = [f"c{number}" for number in range(20_000)]

    async def go() -> None:
        async with opened(url) as database:
            ids = await database.write(lambda tx: add(tx, database, *names), bulk=True)
            stored = await database.fetch_all("SELECT id, name FROM categories ORDER BY id")
            assert stored == list(zip(ids, names, strict=True))
            assert await database.write(lambda tx: add(tx, database)) == []

    run(go())


def test_a_unique_key_is_told_from_other_faults(url: str) -> None:
    """A row that a unique key forbids is `DuplicateKey`; who catches it goes on in the same transaction."""

    async def go() -> None:
        async with opened(url) as database:
            await database.write(lambda tx: add(tx, database, "a"))

            async def again(tx: Transaction) -> None:
                with pytest.raises(DuplicateKey):
                    await add(tx, database, "a")
                await add(tx, database, "b")

            await database.write(again)
            assert await count(database) == 2
            with pytest.raises(DuplicateKey):
                await database.write(lambda tx: add(tx, database, "b"))
            assert await count(database) == 2

    run(go())


def test_an_update_counts_the_rows_it_selected(url: str) -> None:
    """A write returns the rows that its condition selected, changed or not, so that 0 means: none there."""
    renamed = update(CATEGORIES).values(name=bindparam("to")).where(CATEGORIES.c.name == bindparam("of"))

    async def go() -> None:
        async with opened(url) as database:
            sql = str(renamed.compile(dialect=database.dialect))

            async def work(tx: Transaction) -> list[int]:
                await add(tx, database, "a", "b")
                same = await tx.execute(sql, {"of": "a", "to": "a"})
                return [same, await tx.execute(sql, {"of": "none", "to": "b"})]

            assert await database.write(work) == [1, 0]

    run(go())


def test_one_statement_for_many_rows(url: str) -> None:
    """A statement runs for every row of many, with whatever characters are in them."""
    odd = ["a;b", "it's", "50 %s", "back\\slash", "\U0001f345", "आम", "%(name)s", 'say "x"', "line\nend"]
    renamed = update(CATEGORIES).values(name=bindparam("to")).where(CATEGORIES.c.id == bindparam("of"))

    async def go() -> None:
        async with opened(url) as database:
            sql = str(renamed.compile(dialect=database.positional_dialect))

            async def work(tx: Transaction) -> None:
                ids = await add(tx, database, *(str(number) for number in range(3000)))
                rows = [(odd[number % len(odd)], identity) for number, identity in enumerate(ids)]
                await tx.execute_many(sql, rows)
                await tx.execute_many(sql, [])

            await database.write(work, bulk=True)
            stored = [name for (name,) in await database.fetch_all("SELECT name FROM categories ORDER BY id")]
            assert stored == [odd[number % len(odd)] for number in range(3000)]
            one = select(CATEGORIES.c.name_key).where(CATEGORIES.c.name == bindparam("name"))
            by_name = str(one.order_by(CATEGORIES.c.id).compile(dialect=database.dialect))
            for number, name in enumerate(odd):
                found = await database.fetch_all(by_name, {"name": name})
                assert found[0] == (str(number).encode(),)

    run(go())


def test_bytes_are_kept_and_compared_as_bytes(url: str) -> None:
    """Sort keys are bytes on the way in and out, all 256 of them, and are ordered as bytes."""

    async def go() -> None:
        async with opened(url) as database:
            keys = [bytes([byte]) for byte in range(256)]
            rows = [(str(byte), key) for byte, key in enumerate(keys)]
            await database.write(lambda tx: tx.insert_many(insert_sql(database), rows))
            stored = await database.fetch_all("SELECT name_key FROM categories ORDER BY name_key")
            assert stored == [(key,) for key in keys]

    run(go())


def test_three_hundred_writers_take_turns(url: str) -> None:
    """Three hundred writers at once of the same row all succeed or are refused, and none is lost."""

    async def go() -> None:
        async with opened(url) as database:
            await database.write(lambda tx: add(tx, database, "0"))

            async def increment(tx: Transaction) -> None:
                await tx.execute("UPDATE categories SET name = name + 1")

            done = await asyncio.gather(
                *(database.write(increment) for _ in range(300)), return_exceptions=True
            )
            refused = [result for result in done if result is not None]
            assert {type(result) for result in refused} <= {Unavailable}
            [(total,)] = await database.fetch_all("SELECT name FROM categories")
            assert float(total) == 300 - len(refused)

    run(go())


def test_too_many_reads_are_refused_at_once(url: str) -> None:
    """Past its bound the queue refuses at once; when it is empty again, all is well."""

    async def go() -> None:
        async with opened(url) as database:
            many = READ_QUEUE_LIMIT + 30
            results = await asyncio.gather(*(count(database) for _ in range(many)), return_exceptions=True)
            assert len([result for result in results if isinstance(result, Unavailable)]) >= 30
            assert results.count(0) >= READ_QUEUE_LIMIT / 2
            assert await count(database) == 0

    run(go())


def test_a_bug_in_sql_stays_a_bug(url: str) -> None:
    """A statement that is wrong is not mistaken for a database that is away, and harms nothing."""

    async def go() -> None:
        async with opened(url, pool=1) as database:
            with pytest.raises(Exception, match="syntax") as caught:
                await database.fetch_all("SELEC 1")
            assert not isinstance(caught.value, Unavailable)
            with pytest.raises(Exception, match="syntax"):
                await database.write(lambda tx: tx.execute("SELEC 1"))
            assert await count(database) == 0

    run(go())


def test_a_bulk_load_fills_a_table(url: str) -> None:
    """What a bulk load writes is there when it has ended."""

    async def go() -> None:
        async with opened(url) as database:
            async with database.bulk_load("categories") as load:
                for batch in ("a", "b", "c"):
                    await load.write(lambda tx, batch=batch: add(tx, database, batch))  # type: ignore[misc]
            assert await count(database) == 3
            await database.optimize()

    run(go())


def test_it_says_what_it_is(url: str) -> None:
    """A database names its engine, version and place, its schema and whether a commit could be lost."""

    async def go() -> None:
        async with opened(url) as database:
            await require_schema(database, newest())
            described = await database.describe()
            assert described.startswith(("SQLite 3.", "MariaDB 1"))
            assert "p@ss" not in described
            assert await database.check_durability() == []
        findings = await examine(database_at(url, 2), newest())
        assert all(finding.ok for finding in findings), findings

    run(go())
