"""Reads of the catalogue: one statement a question, rows back as plain tuples."""

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import Select, and_, bindparam, func, literal_column, select

from farmlokal.catalog import fulltext, geo, statements
from farmlokal.catalog.cursor import Position
from farmlokal.catalog.keyset import Order
from farmlokal.catalog.listing import ListingQuery
from farmlokal.catalog.schema import (
    catalogue_version,
    categories,
    postcodes,
    price_history,
    products,
    sellers,
)
from farmlokal.errors import Unavailable
from farmlokal.platform.database.sqlite import Parameters, Row, SqliteDatabase

STATEMENTS = 256
"""Compiled statements kept, about 4 kB each: more shapes than shop pages use. When full, all are dropped."""

Place = tuple[int, int]
"""Latitude and longitude in millionths of a degree."""

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


class CatalogueRepository:
    """The catalogue as it stands in a database."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._dialect = database.dialect
        self._statements: dict[tuple[object, ...], statements.Statement] = {}

    async def page(
        self, query: ListingQuery, position: Position | None, rows: int, distances: str | None
    ) -> list[Row]:
        """(sort key, *ITEM_COLUMNS) of at most `rows` products next to `position`, in page order.

        `distances` comes from the method of that name, where the query's sort or radius needs one.
        """
        given = statements.filters(query, self._dialect)
        statement = self._statement(
            ("page", *statements.shape(query, given, position)),
            lambda: statements.page_sql(query, given, position, self._dialect),
        )
        return await self._run(
            statement, _parameters(query, given, distances) | _at(position) | {"page_rows": rows}
        )

    async def count(self, query: ListingQuery, distances: str | None) -> int:
        """How many products the query selects."""
        given = statements.filters(query, self._dialect)
        statement = self._statement(
            ("count", *statements.shape(query, given, None)),
            lambda: statements.count_sql(query, given, self._dialect),
        )
        [(total,)] = await self._run(statement, _parameters(query, given, distances))
        return int(total)

    async def facet(self, query: ListingQuery, facet: str, distances: str | None) -> list[Row]:
        """(value, count) of one facet under the query's filters, most frequent first."""
        given = statements.filters(query, self._dialect)
        statement = self._statement(
            (facet, *statements.shape(query, given, None)),
            lambda: statements.facet_sql(query, facet, given, self._dialect),
        )
        return await self._run(statement, _parameters(query, given, distances))

    async def find_product(self, product_id: int) -> Row | None:
        """(*ITEM_COLUMNS, *DETAIL_COLUMNS), or None for an unknown or deleted one."""
        statement = self._statement(("detail",), lambda: statements.detail_sql(self._dialect))
        rows = await self._run(statement, {"id": product_id})
        return rows[0] if rows else None

    async def prices(self, product_id: int, position: Position | None, rows: int) -> list[Row]:
        """(observed_on, price, low, high) of a product, newest first."""
        columns = (price_history.c.price_minor, price_history.c.low_minor, price_history.c.high_minor)
        of_product = price_history.c.product_id == bindparam("id")
        order = Order(price_history.c.observed_on, descending=True)
        statement = self._statement(
            ("prices", _kind(position)),
            lambda: statements.keyset_sql(
                columns, price_history, [of_product], order, position, self._dialect
            ),
        )
        return await self._run(statement, {"id": product_id, "page_rows": rows, **_at(position)})

    async def sellers(self, given: dict[str, Any], position: Position | None, rows: int) -> list[Row]:
        """(id, *SELLER_COLUMNS) by id; `given` holds values for some of `SELLER_FILTERS`."""
        conditions = [sellers.c.deleted_at_us.is_(None), *(SELLER_FILTERS[name] for name in given)]
        statement = self._statement(
            ("sellers", tuple(given), _kind(position)),
            lambda: statements.keyset_sql(
                SELLER_COLUMNS, sellers, conditions, Order(sellers.c.id), position, self._dialect
            ),
        )
        return await self._run(statement, {**given, "page_rows": rows, **_at(position)})

    async def find_seller(self, seller_id: int) -> Row | None:
        """SELLER_COLUMNS, or None for an unknown or deleted one."""
        statement = select(*SELLER_COLUMNS).where(
            sellers.c.id == bindparam("id"), sellers.c.deleted_at_us.is_(None)
        )
        rows = await self._fetch("seller", statement, {"id": seller_id})
        return rows[0] if rows else None

    async def categories(self) -> list[Row]:
        """(id, name, name_hi, name_ml, products) of all categories, by name."""
        counted = and_(products.c.category_id == categories.c.id, products.c.deleted_at_us.is_(None))
        statement = (
            select(
                *(categories.c.id, categories.c.name, categories.c.name_hi, categories.c.name_ml),
                select(func.count()).select_from(products).where(counted).scalar_subquery(),
            )
            .order_by(categories.c.name_key)
            .limit(statements.FACET_VALUES)
        )
        return await self._fetch("categories", statement, {})

    async def version(self) -> int:
        """The version of the catalogue, which every write raises. Raises `Unavailable` where there is none:
        what cannot be told apart from older content must not be kept."""
        version = catalogue_version.c
        statement = select(version.version).where(version.id == literal_column("1"))
        rows = await self._fetch("version", statement, {})
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

    async def distances(self, place: Place, radius_m: int | None) -> str:
        """The sellers with their distance from a place in metres, as JSON ``[[id, metres], …]``.

        With a radius only those inside it. The distance is ours to compute, so that it is one number on
        every engine; the database narrows by latitude.
        """
        low, high = (
            (-90_000_000, 90_000_000) if radius_m is None else geo.latitude_band_e6(place[0], radius_m)
        )
        statement = select(sellers.c.id, sellers.c.latitude_e6, sellers.c.longitude_e6).where(
            sellers.c.latitude_e6.between(bindparam("low"), bindparam("high"))
        )
        rows = await self._fetch("distances", statement, {"low": low, "high": high})
        measured = [(identity, geo.distance_m(*place, *at)) for identity, *at in rows]
        return json.dumps([pair for pair in measured if radius_m is None or pair[1] <= radius_m])

    async def _fetch(self, name: str, statement: Select[Any], parameters: Parameters) -> list[Row]:
        compiled = self._statement((name,), lambda: statements.compiled(statement, self._dialect))
        return await self._run(compiled, parameters)

    def _statement(
        self, shape: tuple[object, ...], build: Callable[[], statements.Statement]
    ) -> statements.Statement:
        statement = self._statements.get(shape)
        if statement is None:
            if len(self._statements) >= STATEMENTS:
                self._statements.clear()
            statement = self._statements[shape] = build()
        return statement

    async def _run(self, statement: statements.Statement, parameters: Parameters) -> list[Row]:
        return await self._database.fetch_all(statement.sql, {**statement.constants, **parameters})


def _parameters(query: ListingQuery, given: statements.Filters, distances: str | None) -> dict[str, Any]:
    parameters = {name: value for values in given.values() for name, value in values.items()}
    if distances is not None:
        parameters["distances"] = distances
    if query.sort == "relevance":
        parameters |= fulltext.relevance_parameters(query.search)
    return parameters


def _at(position: Position | None) -> dict[str, Any]:
    return {} if position is None else {"after_key": position.key, "after_tie": position.tie}


def _kind(position: Position | None) -> tuple[bool, bool] | None:
    return None if position is None else (position.backward, position.inclusive)
