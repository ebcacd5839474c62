"""The law of pagination: every row that keeps its place is visited once, in order, whatever is written."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmlokal.catalog.listing import SORTS, ListingQuery
from farmlokal.catalog.representation import ProductPage
from farmlokal.catalog.service import Catalogue
from tests.support.catalogue import Shelf, catalogue, run
from tests.support.engines import Engine, FreshDatabase
from tests.support.market import NAMES, PLACE, PLACES, SEARCH, Item, Market, Pair, ordered

PAGES = 500
"""A walk that takes more does not end."""

ROW = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "category": st.sampled_from(["Fruits", "Vegetables"]),
        "price_minor": st.sampled_from([0, 100, 4250]),
        "unit_price_minor": st.sampled_from([None, None, 0, 100, 9999]),
        "harvested_on": st.sampled_from([None, None, "2026-07-01", "2026-07-24"]),
        "created_at_us": st.sampled_from([1_700_000_000_000_000, 1_700_000_000_000_001]),
        "seller": st.sampled_from(sorted(PLACES)),
        "organic": st.integers(0, 1),
    }
)
"""Values from small pools, so that most keys are shared by several rows."""

FILTERS: dict[str, tuple[dict[str, str], Callable[[Item], bool]]] = {
    "all": ({}, lambda item: not item.deleted),
    "fruits": ({"category": "fruits"}, lambda item: not item.deleted and item.category == "Fruits"),
    "cheap": ({"maxPrice": "1"}, lambda item: not item.deleted and item.price_minor <= 100),
    "organic": ({"organic": "true"}, lambda item: not item.deleted and item.organic == 1),
    "tombstones too": ({"updatedSince": "1970-01-01T00:00:00Z"}, lambda item: True),
    "several": (
        {"organic": "false", "minPrice": "0.01", "category": "Vegetables"},
        lambda item: (
            not item.deleted and not item.organic and item.price_minor > 0 and item.category == "Vegetables"
        ),
    ),
}

WRITE = st.one_of(
    st.tuples(st.just("add"), st.just(0), ROW),
    st.tuples(st.just("change"), st.integers(0, 40), ROW),
    st.tuples(st.just("bury"), st.integers(0, 40), st.none()),
    st.tuples(st.just("erase"), st.integers(0, 40), st.none()),
    st.tuples(st.just("move"), st.sampled_from(sorted(PLACES)), st.sampled_from([None, PLACE, (28.6, 77.2)])),
    # Of the row on which the next cursor stands: the last that was seen.
    st.tuples(st.just("change last"), st.just(0), ROW),
    st.tuples(st.just("bury last"), st.just(0), st.none()),
    st.tuples(st.just("erase last"), st.just(0), st.none()),
)


@dataclass(frozen=True)
class Asked:
    """A query as a caller writes it, and which rows it chooses."""

    sort: str
    descending: bool
    limit: int
    filtered: str

    @property
    def parameters(self) -> dict[str, str]:
        """The query string's parameters, without a cursor."""
        given = {"sort": ("-" if self.descending else "") + self.sort, "limit": str(self.limit)}
        if self.sort == "distance":
            given["near"] = f"{PLACE[0]},{PLACE[1]}"
        if self.sort == "relevance":
            given["search"] = SEARCH
        return given | FILTERS[self.filtered][0]

    def chooses(self, item: Item) -> bool:
        """Whether the product is in the list."""
        found = self.sort != "relevance" or SEARCH in item.name.lower().replace("ó", "o")
        return found and FILTERS[self.filtered][1](item)

    def expected(self, market: Market) -> list[Pair]:
        """(key, id) of the whole list as it stands."""
        return ordered(market.pairs(self.sort, self.chooses), descending=self.descending)


ASKED = st.builds(
    Asked, st.sampled_from(SORTS), st.booleans(), st.integers(1, 7), st.sampled_from(sorted(FILTERS))
)


@asynccontextmanager
async def shop(
    database: FreshDatabase, rows: list[dict[str, Any]]
) -> AsyncIterator[tuple[Market, Catalogue]]:
    """A market with these rows, and the service over it."""
    with closing(database.connect()) as connection:
        market = Market(Shelf(connection))
        connection.execute("BEGIN")
        for row in rows:
            market.add(row)
        connection.execute("COMMIT")
        async with catalogue(database.url) as service:
            yield market, service


async def page(service: Catalogue, asked: Asked, cursor: str | None) -> ProductPage:
    """One page."""
    parameters = asked.parameters | ({} if cursor is None else {"cursor": cursor})
    answer = await service.listing(ListingQuery.parse(urlencode(parameters).encode()))
    assert len(answer.data) <= asked.limit
    assert answer.has_more == (answer.next_cursor is not None)
    return answer


async def walk(service: Catalogue, asked: Asked, cursor: str | None, way: str) -> list[int]:
    """The ids met by following `next_cursor` or `prev_cursor` to the end, in the order they are met."""
    met: list[int] = []
    for _ in range(PAGES):
        answer = await page(service, asked, cursor)
        ids = [product.id for product in answer.data]
        met += ids if way == "next_cursor" else reversed(ids)
        cursor = getattr(answer, way)
        if cursor is None:
            return met
    pytest.fail("the walk does not end")


def write(market: Market, what: str, which: Any, values: Any, last: int | None) -> None:
    """One write by somebody else."""
    verb = what.removesuffix(" last")
    if verb == "add":
        market.add(values)
    elif verb == "move":
        market.move(which, values)
    else:
        ids = sorted(market.items)
        target = last if what.endswith(" last") else ids[which % len(ids)] if ids else None
        if target is None or target not in market.items:
            return
        if verb == "change":
            market.change(target, values)
        elif verb == "bury":
            market.bury(target)
        else:
            market.erase(target)


async def walk_while_written(
    market: Market, service: Catalogue, asked: Asked, writes: list[list[Any]]
) -> tuple[list[Pair], list[Pair]]:
    """(what was seen, with the key it had then; what kept its place all the time), both in order."""
    steady = set(asked.expected(market))
    seen: list[Pair] = []
    cursor: str | None = None
    for number in range(PAGES):
        answer = await page(service, asked, cursor)
        seen += [market.pair(product.id, asked.sort) for product in answer.data]
        cursor = answer.next_cursor
        if cursor is None:
            return seen, ordered(steady, descending=asked.descending)
        for what, which, values in writes[number] if number < len(writes) else []:
            write(market, what, which, values, seen[-1][1] if seen else None)
        steady &= set(asked.expected(market))
    pytest.fail("the walk does not end")


@given(
    rows=st.lists(ROW, max_size=30), asked=ASKED, writes=st.lists(st.lists(WRITE, max_size=6), max_size=12)
)
@settings(max_examples=150)
def test_law(engine: Engine, rows: list[dict[str, Any]], asked: Asked, writes: list[list[Any]]) -> None:
    """Every row that exists and keeps its sort key for the whole walk appears exactly once, in order; others
    at most once per key value; whatever is added, changed and deleted between the pages."""

    async def go() -> None:
        async with shop(database, rows) as (market, service):
            seen, steady = await walk_while_written(market, service, asked, writes)
            assert len(set(seen)) == len(seen)
            assert seen == ordered(seen, descending=asked.descending)
            assert [pair for pair in seen if pair in set(steady)] == steady

    with engine.fresh() as database:
        run(go())


@given(rows=st.lists(ROW, max_size=30), asked=ASKED)
@settings(max_examples=100)
def test_walk_there_and_back(engine: Engine, rows: list[dict[str, Any]], asked: Asked) -> None:
    """Without writes, `nextCursor` visits exactly the rows of the list, `prevCursor` the same reversed."""

    async def go() -> None:
        async with shop(database, rows) as (market, service):
            expected = [identity for _, identity in asked.expected(market)]
            assert await walk(service, asked, None, "next_cursor") == expected
            answer = await page(service, asked, None)
            assert answer.prev_cursor is None
            while answer.next_cursor is not None:
                answer = await page(service, asked, answer.next_cursor)
            last = [product.id for product in answer.data]
            assert last == expected[len(expected) - len(last) :]
            if answer.prev_cursor is not None:
                back = await walk(service, asked, answer.prev_cursor, "prev_cursor")
                assert back == expected[: -len(last)][::-1]

    with engine.fresh() as database:
        run(go())


@given(rows=st.lists(ROW, min_size=8, max_size=30), asked=ASKED, steps=st.integers(0, 6))
@settings(max_examples=60)
def test_there_and_back_again_is_the_same_page(
    engine: Engine, rows: list[dict[str, Any]], asked: Asked, steps: int
) -> None:
    """A page's `prevCursor` leads to the page before it, and that page's `nextCursor` back to it."""

    async def go() -> None:
        async with shop(database, rows) as (_, service):
            before, here = None, await page(service, asked, None)
            for _ in range(steps):
                if here.next_cursor is None:
                    break
                before, here = here, await page(service, asked, here.next_cursor)
            if before is not None:
                again = await page(service, asked, here.prev_cursor)
                assert again.data == before.data
                assert (await page(service, asked, again.next_cursor)).data == here.data

    with engine.fresh() as database:
        run(go())


@given(rows=st.lists(ROW, min_size=2, max_size=20), asked=ASKED, steps=st.integers(0, 5), data=st.data())
@settings(max_examples=80)
def test_way_back_from_an_empty_page(
    engine: Engine, rows: list[dict[str, Any]], asked: Asked, steps: int, data: st.DataObject
) -> None:
    """When all that follows was deleted, the page is empty and its `prevCursor` leads back to whatever is
    left, the cursor's own row included."""
    erased = data.draw(st.sets(st.integers(0, 19)), label="erased besides")

    async def go() -> None:
        async with shop(database, rows) as (market, service):
            answer, seen = await page(service, asked, None), 0
            for _ in range(steps):
                following = answer.next_cursor and await page(service, asked, answer.next_cursor)
                if not following or following.next_cursor is None:
                    break
                seen, answer = seen + len(answer.data), following
            seen += len(answer.data)
            if answer.next_cursor is None:
                return
            expected = [identity for _, identity in asked.expected(market)]
            left = [identity for place, identity in enumerate(expected[:seen]) if place not in erased]
            for identity in set(expected) - set(left):
                market.erase(identity)
            empty = await page(service, asked, answer.next_cursor)
            assert (list(empty.data), empty.next_cursor) == ([], None)
            assert empty.prev_cursor is not None
            assert await walk(service, asked, empty.prev_cursor, "prev_cursor") == left[::-1]
            if not left:
                end = await page(service, asked, empty.prev_cursor)
                assert (list(end.data), end.prev_cursor) == ([], None)

    with engine.fresh() as database:
        run(go())


SQL_KEYS = {
    "id": "NULL",
    "price": "p.price_minor",
    "name": "p.name_key",
    "createdAt": "p.created_at_us",
    "unitPrice": "p.unit_price_minor",
    "harvestedOn": "p.harvested_on",
}


@pytest.mark.parametrize("sort", sorted(SQL_KEYS))
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_walk_equals_plain_order_by(
    sort: str, descending: bool, limit: int, fresh_shelf: Shelf, fresh_database: FreshDatabase
) -> None:
    """A walk is what `ORDER BY key IS NULL, key, id` gives in one statement, for every page size."""
    market = Market(fresh_shelf)
    fresh_shelf.connection.execute("BEGIN")
    for number in range(220):
        market.add(
            {
                "name": NAMES[number * 7 % len(NAMES)],
                "category": "Fruits",
                "price_minor": number * 31 % 5,
                "unit_price_minor": (None, 5, 5, 7)[number * 13 % 4],
                "harvested_on": (None, "2026-07-01", "2026-06-30")[number * 5 % 3],
                "created_at_us": number * 17 % 3,
                "seller": "near",
                "organic": 0,
            }
        )
    fresh_shelf.connection.execute("COMMIT")
    way = "DESC" if descending else "ASC"
    key = SQL_KEYS[sort]
    rows = fresh_shelf.connection.execute(
        f"SELECT p.id FROM products p ORDER BY {key} IS NULL, {key} {way}, p.id {way}"
    ).fetchall()
    asked = Asked(sort, descending, limit, "all")

    async def go() -> list[int]:
        async with catalogue(fresh_database.url) as service:
            return await walk(service, asked, None, "next_cursor")

    assert run(go()) == [identity for (identity,) in rows]


@pytest.mark.parametrize("sort", [sort for sort in SORTS if sort != "relevance"])
def test_rows_without_a_key_come_last_both_ways(
    sort: str, fresh_shelf: Shelf, fresh_database: FreshDatabase
) -> None:
    """Rows without the value come after all others in both directions, ordered by id in that direction."""
    market = Market(fresh_shelf)
    bare = {"name": "x", "category": "Fruits", "price_minor": 1, "created_at_us": 1, "organic": 0}
    full = bare | {"unit_price_minor": 1, "harvested_on": "2026-07-24", "seller": "near"}
    none = bare | {"unit_price_minor": None, "harvested_on": None, "seller": "nowhere"}
    first, second, third, fourth = (market.add(row) for row in (none, full, none, full))

    async def go(descending: bool) -> list[int]:
        async with catalogue(fresh_database.url) as service:
            return await walk(service, Asked(sort, descending, 1, "all"), None, "next_cursor")

    nullable = sort in ("unitPrice", "harvestedOn", "distance")
    up = [second, fourth, first, third] if nullable else [first, second, third, fourth]
    down = [fourth, second, third, first] if nullable else up[::-1]
    assert run(go(False)) == up
    assert run(go(True)) == down


def test_walks_at_once_do_not_disturb_each_other(fresh_shelf: Shelf, fresh_database: FreshDatabase) -> None:
    """Callers walk the same list at the same time, each to the end."""
    market = Market(fresh_shelf)
    row = {"name": "x", "category": "Fruits", "price_minor": 1, "created_at_us": 1, "organic": 0}
    ids = [
        market.add(row | {"unit_price_minor": None, "harvested_on": None, "seller": "near"})
        for _ in range(40)
    ]

    async def go() -> list[list[int]]:
        async with catalogue(fresh_database.url) as service:
            limits = (1, 3, 7, 39, 40, 41)
            walks = (walk(service, Asked("price", False, n, "all"), None, "next_cursor") for n in limits)
            return await asyncio.gather(*walks)

    assert run(go()) == [ids] * 6
