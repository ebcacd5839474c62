"""Counts over all that a query selects, which grow with the catalogue as pages do not.

A count that takes too long is None: a page without its total is worth more than no page.
"""

from typing import Any

from farmlokal.catalog import statements
from farmlokal.catalog.filters import Filters, arity, parameters
from farmlokal.catalog.lists import Lists
from farmlokal.catalog.planner import Planner
from farmlokal.catalog.reader import Reader
from farmlokal.platform.database.port import Row, StatementTimeout

COUNT_LIMIT_S = 0.5
"""Longest that one count may take: five million products, where nothing narrows them (0.1 µs an entry)."""


class Counts:
    """Counts of what filters select."""

    def __init__(self, reader: Reader, planner: Planner, lists: Lists) -> None:
        self._reader = reader
        self._planner = planner
        self._lists = lists

    async def total(self, asked: Filters) -> int | None:
        """How many products pass."""
        given = await self._lists.of(asked)
        if given is None:
            return 0
        by = await self._planner.all_rows(given, by_seller=False)
        rows = await self._counted(
            ("count", by), lambda dialect: statements.count_sql(given, by, dialect), given
        )
        return None if rows is None else int(rows[0][0])

    async def of(self, facet: str, asked: Filters) -> list[tuple[Any, int]] | None:
        """(value, count) of one facet, most frequent first; of the category its id."""
        given = await self._lists.of(asked)
        if given is None:
            return []
        by = await self._planner.all_rows(given, by_seller=facet in statements.FACETS_OF_SELLERS)
        rows = await self._counted(
            (facet, by), lambda dialect: statements.facet_sql(facet, given, by, dialect), given
        )
        return None if rows is None else [(value, int(count)) for value, count in rows]

    async def _counted(
        self, what: tuple[object, ...], build: statements.Build, given: Filters
    ) -> list[Row] | None:
        try:
            return await self._reader.fetch(
                (*what, *arity(given)), build, parameters(given), COUNT_LIMIT_S, stale_ok=True
            )
        except StatementTimeout:
            return None
