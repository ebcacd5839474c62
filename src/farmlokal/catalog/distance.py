"""Pages by distance, which is not in the database: sellers are ordered here, their products read group by
group.

Without a radius the sellers around the place are looked up ring by ring, so that the first pages do not
measure the way to every seller of the country.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from farmlokal.catalog import access, statements
from farmlokal.catalog.access import Access, gather
from farmlokal.catalog.filters import Filters, arity, in_sellers, parameters
from farmlokal.catalog.geo import latitude_band_e6
from farmlokal.catalog.listing import ListingQuery
from farmlokal.catalog.lists import Lists
from farmlokal.catalog.nearby import Nearby, Place, groups, measured
from farmlokal.catalog.pages import Pages
from farmlokal.catalog.planner import Planner
from farmlokal.catalog.reader import Reader
from farmlokal.platform.database.port import Row
from farmlokal.platform.keyset.cursor import Position

GROUPS_GROWTH = 4
"""Sellers are read in growing numbers of distances: 1, 4, 16, … A page seldom needs more than three."""

RINGS_M = (25_000, 100_000, 400_000, 1_600_000)
"""Outer edges of the rings in metres, each four times as far; beyond the last one are all the others."""

EVERYWHERE_E6 = (-90_000_000, 90_000_000)


class ByDistance:
    """Reads (metres, *ITEM_COLUMNS) in the order of reading: backwards for a position that goes back."""

    def __init__(self, reader: Reader, planner: Planner, pages: Pages, lists: Lists) -> None:
        self._reader = reader
        self._planner = planner
        self._pages = pages
        self._lists = lists

    async def page(
        self, query: ListingQuery, given: Filters, position: Position | None, rows: int, near: Nearby
    ) -> list[Row]:
        """Sellers of one distance after the other; those whose place is not known come last."""
        backward = position is not None and position.backward
        at_unplaced = position is not None and position.key is None
        parts: list[Callable[[int], Any]] = []
        if not at_unplaced or backward:
            start = None if at_unplaced else position
            reverse = query.descending != backward
            parts.append(lambda missing: self._placed(given, start, missing, near, reverse=reverse))
        if near.metres is None and (at_unplaced or not backward):
            begin = position if at_unplaced else None
            unplaced = given | {"unplaced": {}}
            parts.insert(
                0 if backward else len(parts),
                lambda missing: self._pages.in_order(query.by_id(), unplaced, begin, missing),
            )
        found: list[Row] = []
        for part in parts:
            if len(found) < rows:
                found += await part(rows - len(found))
        return found

    async def around(self, place: Place, radius_m: int | None) -> dict[int, int]:
        """Metres to the sellers around a place. The database narrows by latitude."""
        low, high = EVERYWHERE_E6 if radius_m is None else latitude_band_e6(place[0], radius_m)
        return measured(place, await self._sellers({"band": {"low": low, "high": high}}), radius_m)

    async def of_filters(self, given: Filters, near: Nearby) -> dict[int, int] | None:
        """Metres to the sellers that pass the filters which ask the seller, but for those whose place is not
        known. Without such a filter those of the radius, and None without one."""
        asked = {name: values for name, values in given.items() if name in access.OF_THE_SELLER - {"radius"}}
        if not asked:
            return near.metres
        metres = measured(near.place, await self._sellers(asked))
        if near.metres is None:
            return metres
        return {seller: distance for seller, distance in metres.items() if seller in near.metres}

    async def _placed(
        self, given: Filters, position: Position | None, rows: int, near: Nearby, *, reverse: bool
    ) -> list[Row]:
        """Candidates are read as (seller, id), ordered here, where the distances are, and then shown."""
        its = await self.of_filters(given, near)
        listed = await self._lists.of(
            {name: values for name, values in given.items() if name not in access.OF_THE_SELLER}
        )
        if listed is None:
            return []
        given = listed
        driver = (await self._planner.plan(given, access.BY_DISTANCE, rows)).access.driver
        if driver is not None:  # few match: all at once
            found = await self._candidates(given, gather(driver, given))
            metres = its if its is not None else await self._of(near.place, {seller for seller, _ in found})
            chosen = sorted(_beyond(found, metres, position, reverse), reverse=reverse)
            return await self._pages.by_ids(chosen[:rows])
        chosen = []
        async for ring in self._rings(near.place, its, position, reverse=reverse):
            size, after_m = 1, _metres(position)
            nearest = groups(ring, after_m, reverse=reverse)
            while len(chosen) < rows and (some := [*islice(nearest, size)]):
                sellers = [seller for group in some for seller in group]
                here = given | in_sellers(self._reader.dialect, sellers)
                found = await self._candidates(here, gather("radius", here))
                chosen += sorted(_beyond(found, ring, position, reverse), reverse=reverse)
                size *= GROUPS_GROWTH
            if len(chosen) >= rows:
                break
        return await self._pages.by_ids(chosen[:rows])

    async def _rings(
        self, place: Place, its: dict[int, int] | None, position: Position | None, *, reverse: bool
    ) -> AsyncIterator[dict[int, int]]:
        """Sellers by ring from the position on; all at once where they are known, and from the far end."""
        if its is not None or reverse:
            yield await self.around(place, None) if its is None else its
            return
        within_m = -1
        for edge_m in (*RINGS_M, None):
            if edge_m is None or edge_m > (_metres(position) or 0):
                around = await self.around(place, edge_m)
                yield {seller: metres for seller, metres in around.items() if metres > within_m}
                within_m = edge_m or within_m

    async def _of(self, place: Place, sellers: set[int]) -> dict[int, int]:
        """Metres to these sellers."""
        if not sellers:
            return {}
        return measured(place, await self._sellers(in_sellers(self._reader.dialect, sorted(sellers))))

    async def _sellers(self, asked: Filters) -> Sequence[Any]:
        return await self._reader.fetch(
            ("places", *arity(asked)),
            lambda dialect: statements.places_sql(asked, dialect),
            parameters(asked),
            stale_ok=True,
        )

    async def _candidates(self, given: Filters, by: Access) -> list[Row]:
        return await self._reader.fetch(
            ("candidates", by, *arity(given)),
            lambda dialect: statements.candidates_sql(given, by, dialect),
            parameters(given),
            stale_ok=True,
        )


def _metres(position: Position | None) -> int | None:
    if position is None:
        return None
    assert isinstance(position.key, int), "a distance is an integer"
    return position.key


def _beyond(
    found: Iterable[Row], metres: Mapping[int, int], position: Position | None, reverse: bool
) -> Iterator[tuple[int, int]]:
    """(metres, id) of the candidates after a position."""
    pairs = ((metres[seller], product) for seller, product in found if seller in metres)
    if position is None:
        return pairs
    at = (position.key, position.tie)
    return (
        pair for pair in pairs if (pair < at if reverse else pair > at) or (position.inclusive and pair == at)
    )
