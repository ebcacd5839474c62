"""Pages of products in the order of a column or by relevance.

The order of a column is a walk of its index or a gathering by another (`access`). Relevance is four walks of
ids, one a class.
"""

from collections.abc import Sequence

from farmlokal.catalog import access, fulltext, statements
from farmlokal.catalog.access import Plan, gather
from farmlokal.catalog.filters import Filters, arity, by_ids, parameters
from farmlokal.catalog.listing import ListingQuery
from farmlokal.catalog.lists import Lists
from farmlokal.catalog.planner import Planner
from farmlokal.catalog.reader import Reader
from farmlokal.platform.database.port import Row, StatementTimeout
from farmlokal.platform.keyset.cursor import Position
from farmlokal.platform.keyset.ranges import Order, Range, ranges, whole

NAMES_TIE = 200_000
"""With so many products a name has a hundred of them, and a page seldom leaves the tie that it begins in.
That range alone is planned sooner than the two joined by OR, by a twentieth of the page."""


class Pages:
    """Reads (sort key, *ITEM_COLUMNS) in the order of reading: backwards for a position that goes back."""

    def __init__(self, reader: Reader, planner: Planner, lists: Lists) -> None:
        self._reader = reader
        self._planner = planner
        self._lists = lists
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
        listed = await self._lists.of(given)
        return [] if listed is None else await self._planned(query, listed, position, rows, backward)

    async def _planned(
        self, query: ListingQuery, given: Filters, position: Position | None, rows: int, backward: bool
    ) -> list[Row]:
        walk = access.walk(query)
        plan = await self._planner.plan(given, walk, rows)
        merged = self._merged
        if merged and query.sort == "name":
            merged = await self._planner.products() < NAMES_TIE
        while True:
            of = statements.order(
                query.sort,
                plan.access,
                descending=query.descending,
                backward=_backward(position, backward),
            )
            try:
                return await self._follow(plan, of, given, position, rows, merged=merged)
            except StatementTimeout:
                if plan.limit_s is None:
                    raise
                plan = await self._planner.instead(given, walk, plan)

    async def _follow(
        self,
        plan: Plan,
        of: Order,
        given: Filters,
        position: Position | None,
        rows: int,
        *,
        merged: bool = False,
    ) -> list[Row]:
        """Range after range until the page is full; what is gathered is one range."""
        if plan.access.driver is not None:
            all_ranges: tuple[Range, ...] = (whole(of, position),)
        else:
            all_ranges = ranges(of, position, merged=merged)
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
        ranks = [fulltext.relevance_parameters(query.search, number) for number in fulltext.CLASSES]
        classes = await self._lists.by_class(given, ranks[0])
        if classes is None:
            classes = {number: given | {"relevance": ranks[number]} for number in fulltext.CLASSES}
        found: list[Row] = []
        for number in reversed(fulltext.CLASSES) if reverse else fulltext.CLASSES:
            here = _in_class(position, number, reverse=reverse)
            if number in classes and here is not _PASSED and len(found) < rows:
                ranked = classes[number]
                more = await self.in_order(query.by_id(), ranked, here, rows - len(found), backward=backward)
                found += [(number, *row[1:]) for row in more]
        return found

    async def by_ids(self, chosen: Sequence[tuple[int, int]]) -> list[Row]:
        """(key, *ITEM_COLUMNS) of the chosen (key, id) in their order, those that are still there."""
        if not chosen:
            return []
        given = by_ids([product for _, product in chosen])
        plan = Plan(gather("ids", given))
        of = statements.order("id", plan.access, descending=False, backward=False)
        rows = await self._follow(plan, of, given, None, len(chosen))
        shown = {row[1]: row for row in rows}
        return [(key, *shown[product][1:]) for key, product in chosen if product in shown]

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
            ("page", of, plan.access, number, where, *arity(given)),
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
