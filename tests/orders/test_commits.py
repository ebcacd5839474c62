"""Commits that many events share: on a real database, with what disturbs it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from farmlokal.errors import Unavailable
from farmlokal.orders.change import Unappliable
from farmlokal.orders.commits import BATCH, WAITING, SharedCommits
from farmlokal.orders.inbox import Inbox, Mismatched, Outcome, Result
from farmlokal.orders.models import OrderEvent
from farmlokal.platform.clock import SystemClock
from tests.support.catalogue import Shelf, connect, opened, run
from tests.support.orders import Books, event, poisoned

PROCESSED, DUPLICATE = Outcome.PROCESSED, Outcome.DUPLICATE


class Watched:
    """The inbox, with a gate before it and a note of every batch."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self.sizes: list[int] = []
        self.begun, self.gate = asyncio.Event(), asyncio.Event()
        self.gate.set()

    async def record(self, events: Sequence[OrderEvent], *, wait: bool) -> list[Result]:
        """One batch."""
        self.sizes.append(len(events))
        self.begun.set()
        await self.gate.wait()
        return await self._inbox.record(events, wait=wait)

    def hold(self) -> None:
        """From now on a batch begins and waits for the gate."""
        self.begun.clear()
        self.gate.clear()


@asynccontextmanager
async def committing(database: Path) -> AsyncIterator[tuple[SharedCommits, Watched]]:
    """Shared commits over a database."""
    async with opened(database) as opened_database:
        watched = Watched(Inbox(opened_database, SystemClock()))
        commits = SharedCommits(watched.record)
        await commits.open()
        try:
            yield commits, watched
        finally:
            await commits.close()


@pytest.fixture
def books(database_path: Path, shelf: Shelf) -> Iterator[Books]:
    """What is in the database, which has 10 kg of product 1."""
    shelf.product(stock_milli=10_000)
    with closing(connect(database_path)) as connection:
        yield Books(connection)


async def told(commits: SharedCommits, *events: OrderEvent) -> list[object]:
    """What the callers are told who bring these events at once; exceptions by their class."""
    found = await asyncio.gather(*map(commits.submit, events), return_exceptions=True)
    return [type(each) if isinstance(each, BaseException) else each for each in found]


def test_what_waits_shares_a_commit(database_path: Path, books: Books) -> None:
    """A lone event is recorded at once; those that come while it is share the next commits, up to a bound."""

    async def go() -> None:
        async with committing(database_path) as (commits, watched):
            assert await told(commits, event("lone")) == [PROCESSED]
            watched.hold()
            first = asyncio.create_task(commits.submit(event("first")))
            await watched.begun.wait()
            rest = asyncio.create_task(told(commits, *(event(f"e{number}") for number in range(300))))
            await asyncio.sleep(0)
            watched.gate.set()
            assert await first is PROCESSED
            assert await rest == [PROCESSED] * 300
            assert watched.sizes == [1, 1, BATCH, BATCH, 300 - 2 * BATCH]

    run(go())
    assert len(books.events()) == 302


def test_who_is_answered_is_committed(database_path: Path, books: Books) -> None:
    """When a caller is answered, its event is there for every other connection."""

    async def go() -> None:
        async with committing(database_path) as (commits, _):

            async def bring(number: int) -> None:
                assert await commits.submit(event(f"e{number}")) is PROCESSED
                assert (f"e{number}", "processed") in books.events()

            await asyncio.gather(*map(bring, range(50)))

    run(go())


def test_duplicates_in_one_batch_are_told_apart(database_path: Path, books: Books) -> None:
    """Of equal events in one batch one is processed and the others are duplicates; other content under the
    same id is neither."""

    async def go() -> None:
        async with committing(database_path) as (commits, watched):
            same, other = event("a", "o", items=[(1, 1, "kg")]), event("a", "o", items=[(1, 2, "kg")])
            assert await told(commits, same, same, other, same) == [
                PROCESSED,
                DUPLICATE,
                Mismatched,
                DUPLICATE,
            ]
            assert watched.sizes == [4]

    run(go())
    assert books.stock() == {1: 9000}


def test_a_bad_event_fails_none_of_its_mates(database_path: Path, books: Books, shelf: Shelf) -> None:
    """An event that cannot be applied, and one that the database refuses, fail alone."""

    async def go() -> None:
        async with committing(database_path) as (commits, watched):
            good = [event(f"e{number}", "o", items=[(1, number, "g")]) for number in range(9)]
            bad = [event("unknown", "o", items=[(99, 1, "kg")]), event("poison", "o")]
            assert await told(commits, *good[:5], *bad, *good[5:]) == [
                *([PROCESSED] * 5),
                *(Unappliable, sqlite3.IntegrityError),
                *([PROCESSED] * 4),
            ]
            assert watched.sizes == [11, *([1] * 11)]
            assert await told(commits, event("next")) == [PROCESSED]

    with poisoned(shelf.connection, "poison"):
        run(go())
    assert len(books.events()) == 10


def test_a_database_that_is_away_is_told_to_all_who_wait(database_path: Path, books: Books) -> None:
    """When the database cannot answer, who came meanwhile learns it at once, and not in a turn of its own."""

    async def go() -> None:
        async with committing(database_path) as (commits, watched):
            watched.hold()
            first = asyncio.create_task(commits.submit(event("first")))
            await watched.begun.wait()
            rest = asyncio.create_task(told(commits, *(event(f"e{number}") for number in range(300))))
            await asyncio.sleep(0)
            blocker.execute("BEGIN IMMEDIATE")
            watched.gate.set()
            with pytest.raises(Unavailable):
                await first
            assert await rest == [Unavailable] * 300
            blocker.execute("ROLLBACK")
            assert watched.sizes == [1]
            assert await told(commits, event("first")) == [PROCESSED]

    with closing(connect(database_path)) as blocker:
        run(go())
    assert books.events() == [("first", "processed")]


def test_a_caller_that_leaves_takes_nothing_back(database_path: Path, books: Books) -> None:
    """The event of a caller that gives up is recorded with its batch, and a resend is a duplicate."""

    async def go() -> None:
        async with committing(database_path) as (commits, watched):
            watched.hold()
            impatient = asyncio.create_task(commits.submit(event("a")))
            patient = asyncio.create_task(commits.submit(event("b")))
            await watched.begun.wait()
            impatient.cancel()
            watched.gate.set()
            assert await patient is PROCESSED
            assert await told(commits, event("a")) == [DUPLICATE]

    run(go())


def test_too_many_events_are_refused_at_once(database_path: Path, books: Books) -> None:
    """Past the bound of what may wait an event is refused; when there is room again, it is taken."""

    async def go() -> None:
        async with committing(database_path) as (commits, watched):
            watched.hold()
            crowd = asyncio.create_task(told(commits, *(event(f"e{number}") for number in range(WAITING))))
            await watched.begun.wait()
            with pytest.raises(Unavailable):
                await commits.submit(event("late"))
            watched.gate.set()
            assert await crowd == [PROCESSED] * WAITING
            assert await told(commits, event("late")) == [PROCESSED]

    run(go())


def test_closing_leaves_nobody_waiting(database_path: Path, books: Books) -> None:
    """Who waits when the server closes is refused, as is whoever comes after."""

    async def go() -> None:
        async with committing(database_path) as (commits, watched):
            watched.hold()
            waiting = asyncio.create_task(
                told(commits, *(event(f"e{number}") for number in range(BATCH + 5)))
            )
            await watched.begun.wait()
            await commits.close()
            assert await waiting == [Unavailable] * (BATCH + 5)
            with pytest.raises(Unavailable):
                await commits.submit(event("late"))

    run(go())
    assert books.events() == []
