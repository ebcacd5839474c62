"""The product's own reads over one connection to MariaDB, with the engine's count of the rows that each read.

`Handler_read…` counts rows that the engine handed up, `Handler_icp…` those that an index condition threw away
before. A page is planned anew each time: what the planner remembers for half a minute is forgotten.
"""

import time
from typing import NamedTuple

from farmlokal.catalog.listing import ListingQuery
from farmlokal.catalog.nearby import Nearby
from farmlokal.catalog.repository import CatalogueRepository
from farmlokal.platform.database.port import Database, Row, Transaction
from farmlokal.platform.keyset.cursor import Position
from tests.support.clock import ManualClock

LIMIT = 20

SORT_COLUMNS = {
    "id": "id",
    "price": "price_minor",
    "name": "name_key",
    "createdAt": "created_at_us",
    "unitPrice": "unit_price_minor",
    "harvestedOn": "harvested_on",
}
"""Of each sort with an index of its own, the column that it reads."""

_READS = (
    *("Handler_read_first", "Handler_read_last", "Handler_read_key", "Handler_read_next"),
    *("Handler_read_prev", "Handler_read_rnd", "Handler_read_rnd_next"),
)


class Page(NamedTuple):
    """One page: what it read, how long it took, what was asked."""

    rows_read: int
    seconds: float
    target: str


class CountedReads:
    """The catalogue over one connection, whose counters tell what a page read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._clock = ManualClock()
        self.repository = CatalogueRepository(database, self._clock)
        self._own = 0

    async def begin(self) -> None:
        """Learn what asking for the counters itself adds to them."""
        before = await self._counted()
        self._own = await self._counted() - before

    async def page(self, query: ListingQuery, position: Position | None, near: Nearby | None) -> list[Row]:
        """A page and the row that says whether there is another, planned anew."""
        self._clock.advance(60)
        return await self.repository.page(query, position, LIMIT + 1, near)

    async def measured(
        self, query: ListingQuery, position: Position | None, near: Nearby | None, target: str
    ) -> Page:
        """The same, counted and timed."""
        before = await self._counted()
        began = time.perf_counter()
        await self.page(query, position, near)
        seconds = time.perf_counter() - began
        return Page(await self._counted() - before - self._own, seconds, target)

    async def counted(self, query: ListingQuery, facet: str | None) -> float:
        """Seconds that the exact count takes, or a facet."""
        self._clock.advance(60)
        near = await self.near(query)
        began = time.perf_counter()
        if facet is None:
            await self.repository.count(query, near)
        else:
            await self.repository.facet(query.without(facet), facet, near)
        return time.perf_counter() - began

    async def near(self, query: ListingQuery) -> Nearby | None:
        """The sellers around the place of a query that needs them."""
        if query.near is None:
            return None
        return await self.repository.nearby(query.near, query.radius_m)

    async def rows(self, sql: str) -> list[Row]:
        """A read of the caller's own, which may take its time."""

        async def read(tx: Transaction) -> list[Row]:
            return await tx.fetch_all(sql)

        return await self._database.write(read, bulk=True)

    async def _counted(self) -> int:
        status: dict[str, str] = dict(
            await self._database.fetch_all("SHOW SESSION STATUS LIKE 'Handler\\_%'")
        )
        thrown_away = int(status["Handler_icp_attempts"]) - int(status["Handler_icp_match"])
        return sum(int(status[name]) for name in _READS) + thrown_away
