"""What is forgotten, and when, on every engine."""

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest

from farmlokal.orders.inbox import Outcome
from farmlokal.orders.letters import DeadLetters, Delivery, Kind
from farmlokal.orders.retention import BATCH, Retention
from tests.support.catalogue import Shelf, opened, run
from tests.support.clock import ManualClock
from tests.support.engines import FreshDatabase
from tests.support.orders import Books, event, record

DAYS = 30
DAY_US = 86_400_000_000


@pytest.fixture
def books(fresh_database: FreshDatabase, fresh_shelf: Shelf) -> Iterator[Books]:
    """What is in the database, which has 10 kg of product 1."""
    fresh_shelf.product(stock_milli=10_000)
    with closing(fresh_database.connect()) as connection:
        yield Books(connection)


def test_what_is_old_is_forgotten_and_nothing_else(
    fresh_database: FreshDatabase, books: Books, clock: ManualClock
) -> None:
    """Events and letters of more than so many days go, in batches; orders and their stock stay as they
    are, and a forgotten event that comes again changes nothing."""
    old = [event(f"old {number}", "o", sequence=number) for number in range(2 * BATCH + 1)]
    old.append(event("items", "o", sequence=9999, items=[(1, 1, "kg")], status="packed"))
    record(fresh_database.url, old, [event("new", "o", sequence=1)])
    now_us = clock.now_us()
    books.rows("UPDATE order_events SET received_at_us = ?", (now_us - DAYS * DAY_US - 1,))
    books.rows(
        "UPDATE order_events SET received_at_us = ? WHERE event_id = ?", (now_us - DAYS * DAY_US, b"new")
    )
    before = books.everything()

    async def go() -> None:
        async with opened(fresh_database.url) as database:
            letters, retention = DeadLetters(database, clock), Retention(database, clock, DAYS)
            await letters.keep(Kind.DEAD, Delivery("standard", b"kept", b"1" * 32, b"{}"), "a reason")
            assert await retention.when_due() == len(old)
            assert await retention.when_due() is None, "it is due again in an hour"
            clock.advance(DAYS * 86_400 + 1)
            assert await asyncio.gather(*(retention.when_due() for _ in range(4))) in (
                [None, None, None, 2],
                [None, None, 2, None],
                [None, 2, None, None],
                [2, None, None, None],
            )
            assert await asyncio.gather(*(retention.purge() for _ in range(3))) == [0, 0, 0]

    run(go())
    assert (books.events(), books.letters()) == ([], [])
    assert books.everything() == before
    assert record(fresh_database.url, [old[3], old[-1]]) == [[Outcome.STALE, Outcome.STALE]]
    assert books.everything() == before


def test_two_at_once_share_the_work(fresh_database: FreshDatabase, books: Books, clock: ManualClock) -> None:
    """Should two instances purge at once, each row goes once and neither waits for long."""
    record(fresh_database.url, [event(f"e{number}") for number in range(4 * BATCH)])
    clock.advance(100 * 86_400 * 365)

    async def go() -> None:
        async with opened(fresh_database.url) as one, opened(fresh_database.url) as two:
            gone = await asyncio.gather(*(Retention(each, clock, DAYS).purge() for each in (one, two)))
            assert sum(gone) == 4 * BATCH

    run(go())
    assert books.events() == []


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True, scope="session")
def test_it_is_done_while_a_server_runs(
    fresh_database: FreshDatabase, books: Books, clock: ManualClock
) -> None:
    """Whoever is open looks from time to time whether it is due."""
    record(fresh_database.url, [event("old")])
    clock.advance(100 * 86_400 * 365)

    async def go() -> None:
        async with opened(fresh_database.url) as database:
            retention = Retention(database, clock, DAYS, look_s=0.01)
            await retention.open()
            async with asyncio.timeout(10):
                while books.events():  # noqa: ASYNC110  what changes is in the database
                    await asyncio.sleep(0)
            await retention.close()

    run(go())
