"""Reads of the catalogue: pages, counts, single rows. Rows come back as plain tuples."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, bindparam, literal_column, select

from farmlokal.catalog import statements
from farmlokal.catalog.counts import Counts
from farmlokal.catalog.distance import ByDistance
from farmlokal.catalog.filters import Filters, filters, in_sellers
from farmlokal.catalog.listing import ListingQuery
from farmlokal.catalog.lists import Lists
from farmlokal.catalog.nearby import Nearby, Place
from farmlokal.catalog.pages import Pages
from farmlokal.catalog.planner import Planner
from farmlokal.catalog.reader import Reader
from farmlokal.catalog.schema import (
    catalogue_version,
    categories,
    postcodes,
    price_history,
    products,
    sellers,
)
from farmlokal.catalog.text import sort_key
from farmlokal.errors import Unavailable
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.compilers import compiled
from farmlokal.platform.database.json_rows import in_integers, integers
from farmlokal.platform.database.port import Database, Row
from farmlokal.platform.keyset.cursor import Position
from farmlokal.platform.keyset.ranges import Order, ranges

SELLER_COLUMNS = (
    *(sellers.c.id, sellers.c.kind, sellers.c.name, sellers.c.district, sellers.c.state, sellers.c.postcode),
    *(sellers.c.latitude_e6, sellers.c.longitude_e6),
    *(sellers.c.created_at_us, sellers.c.updated_at_us, sellers.c.version),
)

SELLER_FILTERS = {
    "state": sellers.c.state_key == bindparam("state"),
    "district": sellers.c.district_key == bindparam("district"),
    "kind": sellers.c.kind == bindparam("kind"),
}

CATEGORIES = 1000
"""Most categories; as many as a facet shows."""

CATEGORY = statements.ITEM_COLUMNS.index(products.c.category_id)


class CatalogueRepository:
    """The catalogue as it stands in a database."""

    def __init__(self, database: Database, clock: SystemClock | None = None) -> None:
        self._dialect = database.dialect
        self._reader = Reader(database)
        self._planner = Planner(self._reader, clock or SystemClock())
        lists = Lists(self._reader)
        self._pages = Pages(self._reader, self._planner, lists)
        self._counts = Counts(self._reader, self._planner, lists)
        self._distance = ByDistance(self._reader, self._planner, self._pages, lists)
        self._names: dict[int, str] = {}
        self._categories: dict[bytes, int] = {}

    async def page(
        self, query: ListingQuery, position: Position | None, rows: int, near: Nearby | None
    ) -> list[Row]:
        """(sort key, *ITEM_COLUMNS) of at most `rows` products next to `position`, in the order of reading,
        with the name of the category for its id.

        `near` comes from the method `nearby`, where the query's sort or radius needs it.
        """
        given = await self._filters(query, near)
        if given is None:
            return []
        if query.sort == "relevance":
            found = await self._pages.by_relevance(query, given, position, rows)
        elif query.sort == "distance":
            assert near is not None, "sort=distance has a place"
            found = await self._distance.page(query, given, position, rows, near)
        else:
            found = await self._pages.in_order(query, given, position, rows)
        return await self._named(found, CATEGORY + 1)

    async def count(self, query: ListingQuery, near: Nearby | None) -> int | None:
        """How many products the query selects; None where that takes too long to count."""
        given = await self._filters(query, near)
        return 0 if given is None else await self._counts.total(given)

    async def facet(self, query: ListingQuery, facet: str, near: Nearby | None) -> list[Row] | None:
        """(value, count) of one facet under the query's filters, most frequent first; None where that takes
        too long to count."""
        given = await self._filters(query, near)
        rows = [] if given is None else await self._counts.of(facet, given)
        if rows is None or facet != "category":
            return rows
        return sorted(await self._named(rows, 0), key=lambda row: (-row[1], row[0]))

    async def find_product(self, product_id: int) -> Row | None:
        """(*ITEM_COLUMNS, *DETAIL_COLUMNS), or None for an unknown or deleted one."""
        rows = await self._reader.fetch(("detail",), statements.detail_sql, {"id": product_id})
        return (await self._named(rows, CATEGORY))[0] if rows else None

    async def prices(self, product_id: int, position: Position | None, rows: int) -> list[Row]:
        """(observed_on, price, low, high) of a product, newest first."""
        columns = (price_history.c.price_minor, price_history.c.low_minor, price_history.c.high_minor)
        of_product = price_history.c.product_id == bindparam("id")
        order = Order(price_history.c.observed_on, descending=True, backward=_backward(position))
        [each] = ranges(order, position, merged=True)
        return await self._reader.fetch(
            ("prices", _kind(position)),
            lambda dialect: statements.keyset_sql(columns, price_history, [of_product], order, each, dialect),
            {"id": product_id, "page_rows": rows, **_at(position)},
        )

    async def sellers(self, given: dict[str, Any], position: Position | None, rows: int) -> list[Row]:
        """(id, *SELLER_COLUMNS) by id; `given` holds values for some of `SELLER_FILTERS`."""
        conditions = [sellers.c.deleted_at_us.is_(None), *(SELLER_FILTERS[name] for name in given)]
        order = Order(sellers.c.id, backward=_backward(position))
        [each] = ranges(order, position, merged=True)
        return await self._reader.fetch(
            ("sellers", tuple(given), _kind(position)),
            lambda dialect: statements.keyset_sql(SELLER_COLUMNS, sellers, conditions, order, each, dialect),
            {**given, "page_rows": rows, **_at(position)},
        )

    async def find_seller(self, seller_id: int) -> Row | None:
        """SELLER_COLUMNS, or None for an unknown or deleted one."""
        statement = select(*SELLER_COLUMNS).where(
            sellers.c.id == bindparam("id"), sellers.c.deleted_at_us.is_(None)
        )
        rows = await self._fetch("seller", statement, {"id": seller_id})
        return rows[0] if rows else None

    async def sellers_around(self, place: Place, radius_m: int, most: int) -> list[Row]:
        """(metres, *SELLER_COLUMNS) of the sellers inside a radius, nearest first, at most so many."""
        metres = await self._distance.around(place, radius_m)
        nearest = sorted(metres, key=lambda seller: (metres[seller], seller))[:most]
        if not nearest:
            return []
        statement = select(*SELLER_COLUMNS).where(
            in_integers(self._dialect, sellers.c.id, "ids"), sellers.c.deleted_at_us.is_(None)
        )
        rows = await self._fetch("sellers of ids", statement, {"ids": integers(self._dialect, nearest)})
        return sorted(((metres[row[0]], *row) for row in rows), key=lambda row: row[:2])

    async def categories(self) -> list[Row]:
        """(id, name, name_hi, name_ml, products) of all categories, by name; products None as in `facet`."""
        found = await self.facet(ListingQuery(), "category", None)
        counts: dict[str, int] | None = None if found is None else dict(found)
        named = (categories.c.id, categories.c.name, categories.c.name_hi, categories.c.name_ml)
        statement = select(*named).order_by(categories.c.name_key).limit(statements.FACET_VALUES)
        rows = await self._fetch("categories", statement, {}, stale_ok=True)
        return [(*row, None if counts is None else counts.get(row[1], 0)) for row in rows]

    async def version(self) -> int:
        """The version of the catalogue, which every write raises, where listings are read.

        Raises `Unavailable` where there is none: what cannot be told from older content must not be kept.
        """
        version = catalogue_version.c
        statement = select(version.version).where(version.id == literal_column("1"))
        rows = await self._fetch("version", statement, {}, stale_ok=True)
        if not rows:
            raise Unavailable("the catalogue has no version")
        return int(rows[0][0])

    async def find_place(self, postcode: str) -> Place | None:
        """Where a postcode is: its part with the most post offices."""
        statement = (
            select(postcodes.c.latitude_e6, postcodes.c.longitude_e6)
            .where(postcodes.c.postcode == bindparam("postcode"))
            .order_by(postcodes.c.offices.desc(), postcodes.c.state, postcodes.c.district)
            .limit(1)
        )
        rows = await self._fetch("place", statement, {"postcode": postcode})
        return (rows[0][0], rows[0][1]) if rows else None

    async def nearby(self, place: Place, radius_m: int | None) -> Nearby:
        """A place, with a radius the sellers inside it."""
        return Nearby(place, None if radius_m is None else await self._distance.around(place, radius_m))

    async def _filters(self, query: ListingQuery, near: Nearby | None) -> Filters | None:
        """The filters of a query; None when no seller is near enough for anything to match.

        The sellers of a radius are those of them that pass the other filters of sellers.
        """
        ids = {key: await self._category_id(key) for key in map(sort_key, query.category)}
        inside = None if near is None else near.metres
        given = filters(query, self._dialect, ids, None if inside is None else tuple(inside))
        if near is None or inside is None:
            return given
        its = await self._distance.of_filters(given, near)
        return given | in_sellers(self._dialect, tuple(its)) if its else None

    async def _category_id(self, key: bytes) -> int:
        """The id behind a folded name, 0 for none."""
        if key not in self._categories:
            await self._learn_categories()
        return self._categories.get(key, 0)

    async def _named(self, rows: list[Row], at: int) -> list[Row]:
        """The rows with the name of a category in the place of its id."""
        if any(row[at] not in self._names for row in rows):
            await self._learn_categories()
        names = self._names
        return [(*row[:at], names[row[at]], *row[at + 1 :]) for row in rows]

    async def _learn_categories(self) -> None:
        """Categories are few, never renamed, and read again when one is asked for that is not known."""
        statement = select(categories.c.id, categories.c.name, categories.c.name_key)
        for identity, name, key in await self._fetch("category names", statement.limit(CATEGORIES), {}):
            self._names[identity], self._categories[key] = name, identity

    async def _fetch(
        self, name: str, statement: Select[Any], given: Mapping[str, Any], *, stale_ok: bool = False
    ) -> list[Row]:
        return await self._reader.fetch(
            (name,), lambda dialect: compiled(statement, dialect), given, stale_ok=stale_ok
        )


def _at(position: Position | None) -> dict[str, Any]:
    return {} if position is None else {"after_tie": position.tie}


def _backward(position: Position | None) -> bool:
    return position is not None and position.backward


def _kind(position: Position | None) -> tuple[bool, bool] | None:
    return None if position is None else (position.backward, position.inclusive)
