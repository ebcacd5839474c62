"""Events that need what somebody else has locked. SQLite has one writer, and no rows that are locked."""

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from farmlokal.orders.inbox import Busy, Outcome
from farmlokal.platform.database.port import Contended
from tests.support.catalogue import Shelf, run
from tests.support.engines import FreshDatabase, ServerEngine
from tests.support.orders import Books, event, inbox, record
from tests.support.servers.mariadb import MariaDb
from tests.support.sql_connection import Connection

PROCESSED, DUPLICATE = Outcome.PROCESSED, Outcome.DUPLICATE


@pytest.fixture
def database(mariadb_server: MariaDb) -> Iterator[FreshDatabase]:
    """A database of the server."""
    with ServerEngine(mariadb_server).fresh() as fresh:
        yield fresh


@pytest.fixture
def holder(database: FreshDatabase) -> Iterator[Connection]:
    """Somebody else, who has put 10 kg of product 1 and 2 kg of product 2 there."""
    with closing(database.connect()) as connection:
        shelf = Shelf(connection)
        for stock_milli in (10_000, 2000):
            shelf.product(stock_milli=stock_milli)
        yield connection


@pytest.fixture
def books(database: FreshDatabase) -> Iterator[Books]:
    """What is in it."""
    with closing(database.connect()) as connection:
        yield Books(connection)


@pytest.fixture
def url(database: FreshDatabase) -> str:
    """Where it is."""
    return database.url


def test_a_batch_waits_for_nobody(url: str, books: Books, holder: Connection) -> None:
    """An order or a product that somebody else has locked makes its own events busy, and at once; alone such
    an event waits, is refused within 3 s, and leaves nothing behind."""
    record(url, [event("made", "held"), event("moved", "free", items=[(2, 1, "kg")])])
    holder.execute("BEGIN")
    holder.execute("SELECT * FROM orders WHERE order_key = 'held' FOR UPDATE")
    holder.execute("SELECT * FROM products WHERE id = 1 FOR UPDATE")
    batch = [
        event("1", "held", status="packed", sequence=1),
        event("2", "free", status="packed", sequence=1),
        event("3", "free", items=[(1, 1, "kg")], sequence=2),
        event("4", "new", items=[(2, 1, "kg")]),
        event("5", "held", status="packed", sequence=2),
    ]

    async def go() -> None:
        async with inbox(url) as (box, _):
            results = await box.record(batch, wait=False)
            assert [type(each) for each in results] == [Busy, Outcome, Busy, Outcome, Busy]
            started = time.monotonic()
            for each in (batch[0], batch[2]):
                with pytest.raises(Contended):
                    await box.record([each], wait=True)
            assert time.monotonic() - started < 2 * 2 + 4, "twice 2 s, on a machine that runs other tests"

    run(go())
    holder.execute("ROLLBACK")
    assert [name for name, _ in books.events()] == ["made", "moved", "2", "4"]
    assert record(url, batch) == [[PROCESSED, DUPLICATE, PROCESSED, DUPLICATE, PROCESSED]]
    assert books.stock() == {1: 9000, 2: 1000}


def test_an_order_that_is_being_made(url: str, books: Books, holder: Connection) -> None:
    """An order that somebody else has made and not committed holds up no batch: known orders go on at once,
    and what is new goes alone."""
    record(url, [event("made", "known")])
    holder.execute("BEGIN")
    holder.execute(
        "INSERT INTO orders (order_key, place, holdings, created_at_us, updated_at_us, version)"
        " VALUES ('fresh', '', '{}', 1, 1, 1)"
    )
    batch = [event("1", "known", sequence=1), event("2", "fresh", sequence=1), event("3", "other")]

    async def go() -> None:
        async with inbox(url) as (box, _):
            started = time.monotonic()
            results = await box.record(batch, wait=False)
            assert [type(each) for each in results] == [Outcome, Busy, Busy]
            assert time.monotonic() - started < 0.9, "it waited for a lock"
            assert await box.record([batch[2]], wait=True) == [PROCESSED]
            with pytest.raises(Contended):
                await box.record([batch[1]], wait=True)

    run(go())
    holder.execute("ROLLBACK")
    assert [name for name, _ in books.events()] == ["made", "1", "3"]
    assert record(url, batch) == [[DUPLICATE, PROCESSED, DUPLICATE]]
