"""The filters of a listing in SQL: the condition that each is, its parameters, the index that reads its rows.

With `listing`, this is all that knows a filter by name. Where a filter is a driver, the rows of a page can be
*gathered* by its index; where it is not, it is checked on rows that are read by another one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, bindparam
from sqlalchemy.engine import Dialect

from farmlokal.catalog import fulltext
from farmlokal.catalog.listing import ListingQuery
from farmlokal.catalog.schema import products, search_documents, sellers
from farmlokal.catalog.text import sort_key
from farmlokal.platform.database.compilers import PRIMARY
from farmlokal.platform.database.json_rows import in_integers, integers

HIGHEST = 2**63 - 1

Filters = dict[str, dict[str, Any]]
"""The filters of a query that are set, by name, with the values of their parameters."""


@dataclass(frozen=True, slots=True)
class Driver:
    """How the rows of a filter are gathered: from `first` (None: products alone), and by which indexes.

    `holds` are the filters that are checked inside the products' index; under others the rows are looked up.
    """

    index: str
    holds: frozenset[str]
    first: FromClause | None = None
    first_index: str | None = None


OF_SELLERS = frozenset(["state", "district", "unplaced"])
"""Filters that ask the seller and not the product."""

CHECKED = OF_SELLERS | {
    *("alive", "category", "organic", "seller", "radius", "search", "relevance", "wordings"),
}
"""Filters that every index of a sort holds the columns of, so that a walk passes over rows without a look."""

_RANGES = CHECKED | {"price", "harvested_after"}
_ALL = _RANGES | {"in_stock"}
_OF_SELLER, _OF_WORDING = "ix_products_of_seller", "ix_products_of_wording"

DRIVERS: Mapping[str, Driver] = {
    "ids": Driver(PRIMARY, _ALL | {"updated_since"}),
    "seller": Driver(_OF_SELLER, _ALL),
    "radius": Driver(_OF_SELLER, _ALL),
    "district": Driver(_OF_SELLER, _ALL, sellers, "ix_sellers_district"),
    "state": Driver(_OF_SELLER, _ALL, sellers, "ix_sellers_place"),
    "unplaced": Driver(_OF_SELLER, _ALL, sellers, "ix_sellers_box"),
    "search": Driver(_OF_WORDING, _ALL, search_documents),
    "wordings": Driver(_OF_WORDING, _ALL),
    "category": Driver("ix_products_category_by_price", _RANGES),
    "price": Driver("ix_products_by_price", _RANGES),
    "harvested_after": Driver("ix_products_by_harvested", _RANGES),
    "updated_since": Driver("ix_products_updated", frozenset()),
    "organic": Driver("ix_products_organic", frozenset()),
    "in_stock": Driver("ix_products_stock", frozenset()),
    "all": Driver(_OF_SELLER, _ALL),
}
"""`alive` is missing on purpose: deleted products are few. `all` is no filter: it reads every product, in an
index that holds all that is sorted, checked and counted."""


def filters(
    query: ListingQuery, dialect: Dialect, categories: Mapping[bytes, int], near: tuple[int, ...] | None
) -> Filters:
    """The filters that narrow a query, in a fixed order.

    `categories` are ids by folded name, `near` the ids of the sellers inside the radius, where there is one.
    """
    given = {name: parameters(query) for name, parameters in _PARAMETERS.items()}
    if query.category:
        ids = [categories.get(sort_key(name), 0) for name in query.category]
        given["category"] = {f"category_{i}": identity for i, identity in enumerate(ids)}
    if near is not None:
        given |= in_sellers(dialect, near)
    if query.search:
        given["search"] = fulltext.parameters(dialect, query.search)
    if query.updated_since is None:
        given["alive"] = {}
    return {name: value for name, value in given.items() if value is not None}


def by_ids(ids: Sequence[int]) -> Filters:
    """The filter that selects these products, deleted ones too."""
    return {"ids": {f"ids_{i}": identity for i, identity in enumerate(ids)}}


def in_sellers(dialect: Dialect, ids: Sequence[int]) -> Filters:
    """The filter that selects the products of these sellers, of which there is at least one."""
    return {"radius": {"radius": integers(dialect, ids)}}


def in_wordings(dialect: Dialect, given: Filters, ids: Sequence[int]) -> Filters:
    """The same filters with a list of wordings, at least one, in the place of the search."""
    rest = {name: values for name, values in given.items() if name not in ("search", "relevance")}
    return rest | {"wordings": {"wordings": integers(dialect, ids)}}


def sampled(dialect: Dialect, ids: Sequence[int]) -> Filters:
    """The filter that selects products of a sample."""
    return {"sample": {"sample": integers(dialect, ids)}}


def without(given: Filters, name: str) -> Filters:
    """All the filters but one."""
    return {each: values for each, values in given.items() if each != name}


def parameters(given: Filters) -> dict[str, Any]:
    """The values of all filters by parameter."""
    return {name: value for values in given.values() for name, value in values.items()}


def arity(given: Filters) -> tuple[tuple[str, int], ...]:
    """What a statement depends on of its filters: which, and with how many values."""
    return tuple((name, len(values)) for name, values in given.items())


def condition(
    name: str, given: Filters, dialect: Dialect, *, by_index: bool = False, row: FromClause = products
) -> ColumnElement[bool]:
    """What a filter demands of a product, whose columns `row` has. A search asks its words of the wording, or
    with `by_index` of the full-text index."""
    values = given[name]
    if name == "category":
        return _one_of(row.c.category_id, values)
    if name == "ids":
        return _one_of(row.c.id, values)
    if name == "sample":
        return in_integers(dialect, row.c.id, "sample")
    if name == "radius":
        return in_integers(dialect, row.c.seller_id, "radius")
    if name == "wordings":
        return in_integers(dialect, row.c.search_id, "wordings")
    if name == "search":
        words = sum(parameter.startswith("search_infix_") for parameter in values)
        return fulltext.matching(dialect) if by_index else fulltext.contains(words)
    if name == "price":
        return _between(row.c.price_minor, "price", values)
    if name == "in_stock":
        return _between(row.c.stock_milli, "stock", values)
    if name == "relevance":
        words = sum(parameter.startswith("search_word_") for parameter in values)
        return fulltext.relevance(words) == bindparam("search_class")
    return _CONDITIONS[name](row)


def _one_of(column: ColumnElement[Any], names: Iterable[str]) -> ColumnElement[bool]:
    """One value is an equality, which lets an index that goes on after the column give the order as well."""
    values: list[ColumnElement[Any]] = [bindparam(name) for name in names]
    return column == values[0] if len(values) == 1 else column.in_(values)


def _between(column: ColumnElement[Any], name: str, values: Mapping[str, Any]) -> ColumnElement[bool]:
    """A range, or the one value that it is: MariaDB reads and sorts all rows of BETWEEN 60 AND 60."""
    if name in values:
        return column == bindparam(name)
    return column.between(bindparam(f"{name}_low"), bindparam(f"{name}_high"))


def _one(name: str, encode: Callable[[Any], Any] = lambda value: value) -> Callable[[ListingQuery], Any]:
    def parameters(query: ListingQuery) -> dict[str, Any] | None:
        value = getattr(query, name)
        return None if value is None else {name: encode(value)}

    return parameters


def _ids(query: ListingQuery) -> dict[str, int] | None:
    return by_ids(query.ids)["ids"] if query.ids else None


def _price(query: ListingQuery) -> dict[str, int] | None:
    if query.min_price is None and query.max_price is None:
        return None
    if query.min_price == query.max_price:
        return {"price": query.min_price or 0}
    return {
        "price_low": query.min_price or 0,
        "price_high": HIGHEST if query.max_price is None else query.max_price,
    }


def _stock(query: ListingQuery) -> dict[str, int] | None:
    if query.in_stock is None:
        return None
    return {"stock_low": 1, "stock_high": HIGHEST} if query.in_stock else {"stock": 0}


_PARAMETERS: dict[str, Callable[[ListingQuery], Any]] = {
    "ids": _ids,
    "price": _price,
    "state": _one("state", sort_key),
    "district": _one("district", sort_key),
    "seller": _one("seller"),
    "organic": _one("organic", int),
    "in_stock": _stock,
    "harvested_after": _one("harvested_after"),
    "updated_since": _one("updated_since"),
}

_CONDITIONS: dict[str, Callable[[FromClause], ColumnElement[bool]]] = {
    "alive": lambda row: row.c.deleted_at_us.is_(None),
    "state": lambda _: sellers.c.state_key == bindparam("state"),
    "district": lambda _: sellers.c.district_key == bindparam("district"),
    "unplaced": lambda _: sellers.c.latitude_e6.is_(None),
    "seller": lambda row: row.c.seller_id == bindparam("seller"),
    "organic": lambda row: row.c.organic == bindparam("organic"),
    "harvested_after": lambda row: row.c.harvested_on > bindparam("harvested_after"),
    "updated_since": lambda row: row.c.updated_at_us >= bindparam("updated_since"),
}
