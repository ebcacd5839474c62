"""Pages of products: in the order of a column, by relevance, by distance.

The order of a column is a walk of its index or a gathering by another (`access`). Relevance is four walks of
ids, one a class. Distance is not in the database: sellers are ordered here, and their products read group by
group.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any

from farmlokal.catalog import access, fulltext, statements
from farmlokal.catalog.access import Access, Plan, gather
from farmlokal.catalog.cursor import Position
from farmlokal.catalog.filters import Filters, arity, by_ids, in_sellers, parameters
from farmlokal.catalog.keyset import Order, Range, ranges, whole
from farmlokal.catalog.listing import ListingQuery
from farmlokal.catalog.nearby import Nearby
from farmlokal.catalog.planner import Planner
from farmlokal.catalog.reader import Reader
from farmlokal.platform.database.port import Row, StatementTimeout

GROUPS_GROWTH = 4
"""Sellers are read in growing numbers of distances: 1, 4, 16, … A page seldom needs more than two."""


class Pages:
    """Reads (sort key, *ITEM_COLUMNS) in the order of reading: backwards for a position that goes back."""

    def __init__(self, reader: Reader, planner: Planner) -> None:
        self._reader = reader
        self._planner = planner
        self._merged = reader.dialect.name != "sqlite"

    async def in_order(
        self,
        query: ListingQuery,
        given: Filters,
        position: Position | None,
        rows: int,
        *,
        backward: bool = False,
    ) -> list[Row]:
        """A page in the order of a column, walked or gathered, whichever reads less.

        `backward` says where to begin without a position: at the end.
        """
        walk = access.walk(query)
        plan = await self._planner.plan(given, walk, rows)
        while True:
            of = statements.order(
                query.sort,
                plan.access,
                descending=query.descending,
                backward=_backward(position, backward),
            )
            try:
                return await self._follow(plan, of, given, position, rows)
            except StatementTimeout:
                if plan.limit_s is None:
                    raise
                plan = await self._planner.instead(given, walk, plan)

    async def _follow(
        self, plan: Plan, of: Order, given: Filters, position: Position | None, rows: int
    ) -> list[Row]:
        """Range after range until the page is full; what is gathered is one range."""
        gathered = plan.access.driver is not None
        all_ranges = [whole(of, position)] if gathered else ranges(of, position, merged=self._merged)
        found: list[Row] = []
        for number, each in enumerate(all_ranges):
            if len(found) < rows:
                found += await self._range(of, given, plan, number, each, position, rows - len(found))
        return found

    async def by_relevance(
        self, query: ListingQuery, given: Filters, position: Position | None, rows: int
    ) -> list[Row]:
        """Class after class, each in the order of ids."""
        backward = _backward(position)
        reverse = query.descending != backward
        found: list[Row] = []
        for number in reversed(fulltext.CLASSES) if reverse else fulltext.CLASSES:
            here = _in_class(position, number, reverse=reverse)
            if here is not _PASSED and len(found) < rows:
                ranked = given | {"relevance": fulltext.relevance_parameters(query.search, number)}
                more = await self.in_order(query.by_id(), ranked, here, rows - len(found), backward=backward)
                found += [(number, *row[1:]) for row in more]
        return found

    async def by_distance(
        self, query: ListingQuery, given: Filters, position: Position | None, rows: int, near: Nearby
    ) -> list[Row]:
        """Sellers of one distance after the other; those whose place is not known come last."""
        backward = _backward(position)
        at_unplaced = position is not None and position.key is None
        parts: list[Callable[[int], Any]] = []
        if not at_unplaced or backward:
            start = None if at_unplaced else position
            parts.append(lambda missing: self._placed(query, given, start, missing, near, backward=backward))
        if not near.within and (at_unplaced or not backward):
            begin = position if at_unplaced else None
            unplaced = given | {"unplaced": {}}
            parts.insert(
                0 if backward else len(parts),
                lambda missing: self.in_order(query.by_id(), unplaced, begin, missing),
            )
        found: list[Row] = []
        for part in parts:
            if len(found) < rows:
                found += await part(rows - len(found))
        return found

    async def _placed(
        self,
        query: ListingQuery,
        given: Filters,
        position: Position | None,
        rows: int,
        near: Nearby,
        *,
        backward: bool,
    ) -> list[Row]:
        """Candidates are read as (seller, id), ordered here, where the distances are, and then shown."""
        reverse = query.descending != backward
        near, given = await self._of_its_sellers(near, given)
        driver = (await self._planner.plan(given, access.BY_DISTANCE, rows)).access.driver
        start = position.key if position else None
        assert start is None or isinstance(start, int), "a distance is an integer"
        groups = near.groups(start, reverse=reverse)
        chosen: list[tuple[int, int]] = []
        size = 1
        while len(chosen) < rows and (some := [*islice(groups, size)]):
            if driver is None:
                sellers = [seller for group in some for seller in group]
                here = given | in_sellers(self._reader.dialect, sellers)
                found = await self._candidates(here, gather("radius"))
            else:  # few match: all at once
                found = await self._candidates(given, gather(driver))
                groups = iter(())
            measured = ((near.metres[seller], product) for seller, product in found if seller in near.metres)
            chosen += sorted((pair for pair in measured if _beyond(pair, position, reverse)), reverse=reverse)
            size *= GROUPS_GROWTH
        return await self._shown(chosen[:rows])

    async def _of_its_sellers(self, near: Nearby, given: Filters) -> tuple[Nearby, Filters]:
        """The sellers around the place that the filters leave, and the filters that ask the product."""
        of_product = {name: values for name, values in given.items() if name not in access.OF_THE_SELLER}
        asked = {name: values for name, values in given.items() if name in access.OF_THE_SELLER - {"radius"}}
        if not asked:
            return near, of_product
        found = await self._reader.fetch(
            ("its sellers", *arity(asked)),
            lambda dialect: statements.sellers_sql(asked, dialect),
            parameters(asked),
            stale_ok=True,
        )
        left = {seller: near.metres[seller] for (seller,) in found if seller in near.metres}
        return near._replace(metres=left), of_product

    async def _candidates(self, given: Filters, by: Access) -> list[Row]:
        return await self._reader.fetch(
            ("candidates", by, *arity(given)),
            lambda dialect: statements.candidates_sql(given, by, dialect),
            parameters(given),
            stale_ok=True,
        )

    async def _shown(self, chosen: list[tuple[int, int]]) -> list[Row]:
        """(metres, *ITEM_COLUMNS) of the chosen (metres, id), those that are still there."""
        if not chosen:
            return []
        given = by_ids([product for _, product in chosen])
        plan = Plan(gather("ids"))
        of = statements.order("id", plan.access, descending=False, backward=False)
        rows = await self._follow(plan, of, given, None, len(chosen))
        shown = {row[1]: row for row in rows}
        return [(metres, *shown[product][1:]) for metres, product in chosen if product in shown]

    async def _range(
        self,
        of: Order,
        given: Filters,
        plan: Plan,
        number: int,
        each: Range,
        position: Position | None,
        rows: int,
    ) -> list[Row]:
        where = position and (position.key is None, position.inclusive)
        at = {} if position is None else {"after_key": position.key, "after_tie": position.tie}
        return await self._reader.fetch(
            ("page", str(of.key), of.descending, of.backward, plan.access, number, where, *arity(given)),
            lambda dialect: statements.page_sql(of, given, plan.access, each, dialect),
            parameters(given) | at | {"page_rows": rows},
            plan.limit_s,
            stale_ok=True,
        )


_PASSED = Position(None, 0)
"""Stands for a class that the walk is past."""


def _in_class(position: Position | None, number: int, *, reverse: bool) -> Position | None:
    """Where a walk by relevance stands in a class: a position, None for its beginning, or `_PASSED`."""
    if position is None:
        return None
    assert isinstance(position.key, int), "a class of relevance is an integer"
    if position.key == number:
        return Position(None, position.tie, position.backward, position.inclusive)
    return None if (number < position.key) == reverse else _PASSED


def _backward(position: Position | None, otherwise: bool = False) -> bool:
    return otherwise if position is None else position.backward


def _beyond(pair: tuple[int, int], position: Position | None, reverse: bool) -> bool:
    if position is None:
        return True
    at = (position.key, position.tie)
    return (position.inclusive and pair == at) or (pair < at if reverse else pair > at)
