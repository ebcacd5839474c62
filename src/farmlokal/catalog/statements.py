"""SQL of the listing: which condition each filter is, which column each sort is.

With `listing`, this is all that knows a filter or a sort by name. A statement depends on the *shape* of a
query (which filters, which sort, before or after which kind of key), not on its values: it is built and
compiled once a shape and then runs on the driver as text.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, Select, bindparam, func, select
from sqlalchemy.engine import Dialect

from farmlokal.catalog import fulltext
from farmlokal.catalog.cursor import Position
from farmlokal.catalog.keyset import Order, page
from farmlokal.catalog.listing import ListingQuery
from farmlokal.catalog.schema import categories, products, search_documents, sellers
from farmlokal.catalog.text import sort_key
from farmlokal.platform.database.json_rows import integer_pairs

FACET_VALUES = 1000
"""Most values of one facet: more districts than India has."""

STOCK_CEILING = 2**63 - 1

ITEM_COLUMNS = (
    *(products.c.id, products.c.name, products.c.name_hi, products.c.name_ml, categories.c.name),
    *(products.c.price_minor, products.c.created_at_us, products.c.pack_milli, products.c.pack_unit),
    *(products.c.unit_price_minor, products.c.stock_milli, products.c.organic, products.c.harvested_on),
    *(products.c.best_before, products.c.image_url, sellers.c.id, sellers.c.name, sellers.c.district),
    *(sellers.c.state, sellers.c.latitude_e6, sellers.c.longitude_e6, products.c.updated_at_us),
    *(products.c.version, products.c.deleted_at_us),
)

DETAIL_COLUMNS = (
    *(products.c.description, products.c.commodity, products.c.variety, products.c.grade),
    *(products.c.certification, products.c.price_on, products.c.source),
)

_SORT_COLUMNS: dict[str, ColumnElement[Any]] = {
    "price": products.c.price_minor,
    "name": products.c.name_key,
    "createdAt": products.c.created_at_us,
    "unitPrice": products.c.unit_price_minor,
    "harvestedOn": products.c.harvested_on,
}
_NULLABLE = frozenset(["unitPrice", "harvestedOn", "distance"])


class Statement(NamedTuple):
    """A statement as the driver takes it; `constants` are parameters that are the same for every request."""

    sql: str
    constants: dict[str, Any]


Filters = dict[str, Any]
"""The filters of a query that are set, by name, with the values of their parameters."""


def filters(query: ListingQuery, dialect: Dialect) -> Filters:
    """The filters of a query that narrow it, in a fixed order; with the distances comes a list of sellers."""
    given: Filters = {name: parameters(query) for name, parameters in _PARAMETERS.items()}
    if query.search:
        given["search"] = {"search_match": fulltext.match_parameter(dialect, query.search)}
    if query.updated_since is None:
        given["alive"] = {}
    return {name: value for name, value in given.items() if value is not None}


def _one(name: str, encode: Callable[[Any], Any] = lambda value: value) -> Callable[[ListingQuery], Any]:
    def parameters(query: ListingQuery) -> dict[str, Any] | None:
        value = getattr(query, name)
        return None if value is None else {name: encode(value)}

    return parameters


def _many(name: str, encode: Callable[[Any], Any] = lambda value: value) -> Callable[[ListingQuery], Any]:
    def parameters(query: ListingQuery) -> dict[str, Any] | None:
        values = getattr(query, name)
        return {f"{name}_{i}": encode(value) for i, value in enumerate(values)} if values else None

    return parameters


def _stock(query: ListingQuery) -> dict[str, int] | None:
    if query.in_stock is None:
        return None
    return (
        {"stock_low": 1, "stock_high": STOCK_CEILING} if query.in_stock else {"stock_low": 0, "stock_high": 0}
    )


_PARAMETERS: dict[str, Callable[[ListingQuery], Any]] = {
    "ids": _many("ids"),
    "category": _many("category", sort_key),
    "min_price": _one("min_price"),
    "max_price": _one("max_price"),
    "state": _one("state", sort_key),
    "district": _one("district", sort_key),
    "seller": _one("seller"),
    "organic": _one("organic", int),
    "in_stock": _stock,
    "harvested_after": _one("harvested_after"),
    "updated_since": _one("updated_since"),
}

_CONDITIONS: dict[str, ColumnElement[bool]] = {
    "alive": products.c.deleted_at_us.is_(None),
    "min_price": products.c.price_minor >= bindparam("min_price"),
    "max_price": products.c.price_minor <= bindparam("max_price"),
    "state": products.c.seller_id.in_(select(sellers.c.id).where(sellers.c.state_key == bindparam("state"))),
    "district": products.c.seller_id.in_(
        select(sellers.c.id).where(sellers.c.district_key == bindparam("district"))
    ),
    "seller": products.c.seller_id == bindparam("seller"),
    "organic": products.c.organic == bindparam("organic"),
    "in_stock": products.c.stock_milli.between(bindparam("stock_low"), bindparam("stock_high")),
    "harvested_after": products.c.harvested_on > bindparam("harvested_after"),
    "updated_since": products.c.updated_at_us >= bindparam("updated_since"),
}


def _conditions(query: ListingQuery, given: Filters, dialect: Dialect) -> Iterator[ColumnElement[bool]]:
    for name, parameters in given.items():
        if name == "ids":
            yield products.c.id.in_([bindparam(parameter) for parameter in parameters])
        elif name == "category":
            yield _of_categories([bindparam(parameter) for parameter in parameters])
        elif name == "search" and query.sort != "relevance":  # which joins the matching documents anyway
            matching = select(search_documents.c.id).where(fulltext.matching(dialect))
            yield products.c.search_id.in_(matching)
        elif name in _CONDITIONS:
            yield _CONDITIONS[name]


def _of_categories(keys: list[ColumnElement[Any]]) -> ColumnElement[bool]:
    """One category is an equality, which lets the index on (category, price) give the order as well."""
    ids = select(categories.c.id)
    if len(keys) == 1:
        return products.c.category_id == ids.where(categories.c.name_key == keys[0]).scalar_subquery()
    return products.c.category_id.in_(ids.where(categories.c.name_key.in_(keys)))


def _source(query: ListingQuery, dialect: Dialect) -> tuple[FromClause, ColumnElement[Any] | None]:
    """What the rows are read from, and the sort's column where it is not one of the product's own."""
    source: FromClause = products
    column = _SORT_COLUMNS.get(query.sort)
    if query.radius_m is not None or query.sort == "distance":
        near = integer_pairs(dialect, "distances", "seller_id", "distance_m")
        source = source.join(near, near.c.seller_id == products.c.seller_id, isouter=query.radius_m is None)
        if query.sort == "distance":
            column = near.c.distance_m
    if query.sort == "relevance":
        ranked = (
            select(search_documents.c.id, fulltext.relevance(len(query.search)).label("relevance"))
            .where(fulltext.matching(dialect))
            .subquery("ranked")
        )
        source = source.join(ranked, ranked.c.id == products.c.search_id)
        column = ranked.c.relevance
    return source, column


def page_sql(query: ListingQuery, given: Filters, position: Position | None, dialect: Dialect) -> Statement:
    """One page: (sort_key, *ITEM_COLUMNS) of at most `:page_rows` rows."""
    source, column = _source(query, dialect)
    order = Order(products.c.id, column, query.sort in _NULLABLE, query.descending)
    rows, order_by = page(source, list(_conditions(query, given, dialect)), order, position)
    shown = (
        rows.join(products, products.c.id == rows.c.tie)
        .join(sellers, sellers.c.id == products.c.seller_id)
        .join(categories, categories.c.id == products.c.category_id)
    )
    statement = select(rows.c.sort_key, *ITEM_COLUMNS).select_from(shown)
    return compiled(statement.order_by(*order_by).limit(bindparam("page_rows")), dialect)


def count_sql(query: ListingQuery, given: Filters, dialect: Dialect) -> Statement:
    """How many rows the filters select."""
    source, _ = _source(query, dialect)
    statement = select(func.count()).select_from(source).where(*_conditions(query, given, dialect))
    return compiled(statement, dialect)


def facet_sql(query: ListingQuery, facet: str, given: Filters, dialect: Dialect) -> Statement:
    """(value, count) of one facet, most frequent first, at most `FACET_VALUES`."""
    source, _ = _source(query, dialect)
    source = source.join(sellers, sellers.c.id == products.c.seller_id)
    source = source.join(categories, categories.c.id == products.c.category_id)
    value = {
        "category": categories.c.name,
        "state": sellers.c.state,
        "district": sellers.c.district,
        "organic": products.c.organic,
    }[facet]
    rows = func.count()
    statement = (
        select(value, rows)
        .select_from(source)
        .where(*_conditions(query, given, dialect))
        .group_by(value)
        .order_by(rows.desc(), value)
        .limit(FACET_VALUES)
    )
    return compiled(statement, dialect)


def shape(query: ListingQuery, given: Filters, position: Position | None) -> tuple[object, ...]:
    """What a page statement depends on: equal shapes share one statement."""
    where = None
    if position is not None:
        where = (position.key is None, position.backward, position.inclusive)
    arity = tuple((name, len(parameters)) for name, parameters in given.items())
    return query.sort, query.descending, query.radius_m is None, len(query.search), arity, where


def compiled(statement: Select[Any], dialect: Dialect) -> Statement:
    """The text of a statement in the driver's own parameter style, and the constants in it."""
    done = statement.compile(dialect=dialect)
    return Statement(str(done), {name: value for name, value in done.params.items() if value is not None})


def detail_sql(dialect: Dialect) -> Statement:
    """(*ITEM_COLUMNS, *DETAIL_COLUMNS) of the product `:id`, tombstones left out."""
    source: FromClause = products.join(sellers, sellers.c.id == products.c.seller_id)
    source = source.join(categories, categories.c.id == products.c.category_id)
    statement = (
        select(*ITEM_COLUMNS, *DETAIL_COLUMNS)
        .select_from(source)
        .where(products.c.id == bindparam("id"), products.c.deleted_at_us.is_(None))
    )
    return compiled(statement, dialect)


def keyset_sql(
    columns: Sequence[ColumnElement[Any]],
    source: FromClause,
    conditions: Sequence[ColumnElement[bool]],
    order: Order,
    position: Position | None,
    dialect: Dialect,
) -> Statement:
    """One page of a plain table whose tie-break is its only order: (tie, *columns)."""
    rows, order_by = page(source, conditions, order, position)
    statement = select(rows.c.tie, *columns).select_from(rows.join(source, order.tie == rows.c.tie))
    return compiled(statement.where(*conditions).order_by(*order_by).limit(bindparam("page_rows")), dialect)
