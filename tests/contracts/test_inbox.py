"""What the inbox promises, whichever engine is behind it: each event once, whatever happens around it."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import permutations
from random import Random

import asyncmy
import pytest

from farmlokal.orders.change import Unappliable
from farmlokal.orders.inbox import Mismatched, Outcome
from farmlokal.orders.models import OrderEvent
from tests.support.catalogue import Shelf, run
from tests.support.engines import FreshDatabase
from tests.support.orders import Books, event, inbox, poisoned, record

DatabaseErrors = (sqlite3.Error, asyncmy.errors.Error)
PROCESSED, DUPLICATE, STALE = Outcome.PROCESSED, Outcome.DUPLICATE, Outcome.STALE


@pytest.fixture
def url(fresh_database: FreshDatabase, fresh_shelf: Shelf) -> str:
    """A database with products 1 (10 kg), 2 (2 kg) and 3 (nobody knows)."""
    for stock_milli in (10_000, 2000, None):
        fresh_shelf.product(stock_milli=stock_milli)
    return fresh_database.url


@pytest.fixture
def books(fresh_database: FreshDatabase) -> Iterator[Books]:
    """What is in it."""
    with closing(fresh_database.connect()) as connection:
        yield Books(connection)


def test_an_order_is_made_of_events(url: str, books: Books) -> None:
    """Events make an order, move its stock and are recorded; a step on its way moves nothing."""
    outcomes = record(
        url,
        [event("a", "o", status="created", sequence=1, items=[(1, "2.5", "kg"), (2, "500", "g")])],
        [event("b", "o", status="accepted", sequence=2), event("c", "o", sequence=3, items=[(1, 4, "kg")])],
        [event("bare"), event("d", "o", status="created", sequence=0)],
    )
    assert outcomes == [[PROCESSED], [PROCESSED, PROCESSED], [PROCESSED, STALE]]
    assert books.orders() == {"o": ("accepted", {1: 4000}, {})}
    assert books.stock() == {1: 6000, 2: 2000, 3: None}
    assert books.events() == [
        ("a", "processed"),
        ("b", "processed"),
        ("c", "processed"),
        ("bare", "processed"),
        ("d", "stale"),
    ]


def test_an_event_is_recorded_once(url: str, books: Books) -> None:
    """The same event again, in its batch or later, alone or among others, changes nothing."""
    once = event("a", "o", status="created", items=[(1, 1, "kg")])
    outcomes = record(url, [once, once, event("b"), once], [once], [event("c"), once])
    assert outcomes == [[PROCESSED, DUPLICATE, PROCESSED, DUPLICATE], [DUPLICATE], [PROCESSED, DUPLICATE]]
    assert books.stock()[1] == 9000
    assert len(books.events()) == 3


def test_another_content_under_the_same_id_is_not_applied(url: str, books: Books) -> None:
    """Of two contents under one id the first wins, in a batch as later; the same id of another source is
    another event."""
    first, second = (event("a", "o", items=[(1, kg, "kg")]) for kg in (1, 5))
    elsewhere = OrderEvent(source="github", event_id=b"a", digest=second.digest, body=b"")
    assert record(url, [first, second, first], [second, elsewhere]) == [
        [PROCESSED, Mismatched, DUPLICATE],
        [Mismatched, PROCESSED],
    ]
    assert books.stock()[1] == 9000


def test_ids_are_compared_by_byte(url: str, books: Books) -> None:
    """Ids that differ in case, accents, forms of letters, spaces or NULs are different events and orders."""
    names = [
        "a",
        "A",
        "á",
        "a\u0301",
        "a ",
        " a",
        "a\0",
        "a\0\0",
        "ａ",
        "x" * 254 + "y",
        "x" * 255,
        "ß",
        "ss",
    ]
    events = [event(name, name, sequence=1) for name in names]
    assert record(url, events, events) == [[PROCESSED] * len(names), [DUPLICATE] * len(names)]
    assert books.orders().keys() == set(names)


def test_every_order_of_arrival_gives_one_state(url: str, books: Books, fresh_shelf: Shelf) -> None:
    """Five events in each of their 120 orders, with duplicates, in batches of any size: one state."""
    random = Random(5)
    arriving: list[list[OrderEvent]] = []
    for number, arrival in enumerate(permutations(range(5))):
        product = fresh_shelf.product(stock_milli=5000)
        order = f"order {number}"
        steps = [
            event(f"{number}-0", order, sequence=1, status="created", items=[(product, 3, "kg")]),
            event(f"{number}-1", order, sequence=1, status="accepted", occurredAt="2026-01-01T00:00:00Z"),
            event(f"{number}-2", order, sequence=2, items=[(product, 7, "kg"), (3, 1, "kg")]),
            event(f"{number}-3", order, sequence=3, status="cancelled"),
            event(f"{number}-4", order, sequence=4, status="delivered", items=[(product, 9, "kg")]),
        ]
        arriving.append([steps[at] for at in (*arrival, random.randrange(5))])
    batches: list[list[OrderEvent]] = []
    while arriving:
        batch = [queue.pop(0) for queue in arriving if random.random() < 0.5]
        batches.append(batch)
        arriving = [queue for queue in arriving if queue]
    record(url, *batches)
    orders, stock = books.orders(), books.stock()
    assert len(orders) == 120
    assert {(order.status, *order.held.values(), *order.short.values()) for order in orders.values()} == {
        ("delivered", 5000, 4000)
    }
    assert {milli for product, milli in stock.items() if product > 3} == {0}
    outcomes = dict(books.events())
    assert len(outcomes) == 600
    # The greatest is never stale, whenever it comes.
    assert {outcomes[f"{number}-4"] for number in range(120)} == {"processed"}


def test_one_bad_event_fails_alone(url: str, books: Books) -> None:
    """An event that cannot be applied says why and leaves nothing; its batch-mates are recorded, those of the
    same order with them."""
    outcomes = record(
        url,
        [
            event("a", "o", sequence=1, items=[(1, 1, "kg")]),
            event("b", "o", sequence=2, items=[(999, 1, "kg")]),
            event("b", "o", sequence=3, items=[(1, 2, "kg")]),
            event("c", "new", items=[(1, 1, "piece")]),
            event("d", "o", sequence=4, status="packed"),
        ],
    )
    assert outcomes == [[PROCESSED, Unappliable, PROCESSED, Unappliable, PROCESSED]]
    assert books.orders() == {"o": ("packed", {1: 2000}, {})}
    assert [name for name, _ in books.events()] == ["a", "b", "d"]


def test_what_the_database_refuses_leaves_nothing(url: str, books: Books, fresh_shelf: Shelf) -> None:
    """A batch that the database refuses is rolled back whole: no claim, no order, no stock."""
    batch = [event("good", "o", items=[(1, 1, "kg")]), event("poison", "o")]
    with poisoned(fresh_shelf.connection, "poison"), pytest.raises(DatabaseErrors):
        record(url, batch)
    assert (books.events(), books.orders(), books.stock()[1]) == ([], {}, 10_000)
    assert record(url, batch) == [[PROCESSED, PROCESSED]]


def test_stock_that_moves_is_seen_by_the_catalogue(url: str, books: Books) -> None:
    """A move of stock is a change of its product and of the catalogue; one that moves none is neither."""
    versions = "SELECT p.version, v.version FROM products p, catalogue_version v WHERE p.id = 1"
    [before] = books.rows(versions)
    record(url, [event("a", "o", items=[(1, 1, "kg")]), event("b", "p", items=[(1, 1, "kg")])])
    [after] = books.rows(versions)
    assert after[0] == before[0] + 1
    assert after[1] > before[1]
    record(url, [event("c", "o", status="packed"), event("d", "q", items=[(3, 1, "kg")])])
    assert books.rows(versions) == [after]


def test_the_same_event_three_hundred_times_at_once(url: str, books: Books) -> None:
    """Three hundred deliveries of one event on two instances at once have one effect."""
    once = event("a", "o", items=[(1, 1, "kg")])

    async def go() -> list[object]:
        async with inbox(url) as (one, _), inbox(url) as (other, _):
            deliveries = [(one, other)[number % 2].record([once], wait=True) for number in range(300)]
            return [*await asyncio.gather(*deliveries, return_exceptions=True)]

    found = [each[0] if isinstance(each, list) else each for each in run(go())]
    told = [each for each in found if isinstance(each, Outcome)]
    assert told.count(PROCESSED) == 1
    assert set(told) <= {PROCESSED, DUPLICATE}
    assert {type(each).__name__ for each in found} <= {"Outcome", "Unavailable", "InFlight", "Contended"}
    assert books.stock()[1] == 9000
    assert len(books.events()) == 1


def test_two_contents_at_once(url: str, books: Books) -> None:
    """Of two contents under one id that come at once to two instances one is applied, and never both."""

    async def go() -> None:
        async with inbox(url) as (one, _), inbox(url) as (other, _):
            for number in range(20):
                first, second = (event(f"e{number}", f"o{number}", items=[(1, kg, "g")]) for kg in (1, 2))
                results = await asyncio.gather(
                    one.record([first], wait=True), other.record([second], wait=True)
                )
                assert sorted(type(each).__name__ for [each] in results) == ["Mismatched", "Outcome"]

    run(go())
    assert len(books.events()) == 20
