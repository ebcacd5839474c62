"""The statements of the catalogue: built and compiled once for each *shape* of a query, run as text.

A shape is which filters are set, which sort, which range of which index; the values are parameters. Joins are
read from left to right and products by the index that `access` names (`platform/database/compilers.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.engine import Dialect

from farmlokal.catalog import fulltext
from farmlokal.catalog.access import Access, Walk
from farmlokal.catalog.filters import DRIVERS, OF_SELLERS, Filters, condition
from farmlokal.catalog.schema import products, search_documents, sellers
from farmlokal.platform.database.compilers import PRIMARY, Statement, compiled
from farmlokal.platform.database.json_rows import in_integers
from farmlokal.platform.keyset.ranges import Order, Range, whole

FACET_VALUES = 1000
"""Most values of one facet: more districts than India has."""

ITEM_COLUMNS = (
    *(products.c.id, products.c.name, products.c.name_hi, products.c.name_ml, products.c.category_id),
    *(products.c.price_minor, products.c.created_at_us, products.c.pack_milli, products.c.pack_unit),
    *(products.c.unit_price_minor, products.c.stock_milli, products.c.organic, products.c.harvested_on),
    *(products.c.best_before, products.c.image_url, sellers.c.id, sellers.c.name, sellers.c.district),
    *(sellers.c.state, sellers.c.latitude_e6, sellers.c.longitude_e6, products.c.updated_at_us),
    *(products.c.version, products.c.deleted_at_us),
)
"""What a listing shows. The category is its id: a handful of names is known without a join."""

DETAIL_COLUMNS = (
    *(products.c.description, products.c.commodity, products.c.variety, products.c.grade),
    *(products.c.certification, products.c.price_on, products.c.source),
)

entries = products.alias("entry")
"""An index of products, walked for its own sake: what it holds is looked at before the row is looked up."""

_SORT_COLUMNS = {
    "price": "price_minor",
    "name": "name_key",
    "createdAt": "created_at_us",
    "unitPrice": "unit_price_minor",
    "harvestedOn": "harvested_on",
}
_NULLABLE = frozenset(["unitPrice", "harvestedOn"])

_FACETS: dict[str, ColumnClause[Any]] = {
    "category": products.c.category_id,
    "state": sellers.c.state,
    "district": sellers.c.district,
    "organic": products.c.organic,
}

FACETS_OF_SELLERS = frozenset(name for name, value in _FACETS.items() if value.table is sellers)
"""Facets that are counted by seller first: there are far fewer of them to look up than products."""


Build = Callable[[Dialect], Statement]
"""Makes a statement for a dialect, when its shape is asked for the first time."""


def order(sort: str, access: Access, *, descending: bool, backward: bool) -> Order:
    """The order of a sort whose key is a column of products, or of ids, in the rows that `access` reads."""
    row = entries if access.checked else products
    key = row.c[_SORT_COLUMNS[sort]] if sort in _SORT_COLUMNS else None
    return Order(row.c.id, key, sort in _NULLABLE, descending, backward)


def page_sql(of: Order, given: Filters, access: Access, rows: Range, dialect: Dialect) -> Statement:
    """(sort key, *ITEM_COLUMNS) of at most `:page_rows` rows of a range."""
    if access.driver is None:
        walked = _matching(select(_key(of), *ITEM_COLUMNS), given, access, dialect).where(*rows.where)
        return compiled(walked.order_by(*rows.order_by).limit(bindparam("page_rows")), dialect)
    # What is gathered is sorted by key and id alone, in the driver's index; only the page is looked up.
    found: Select[Any] = select(of.tie)
    found = _matching(found, given, access, dialect, shown=False).where(*rows.where)
    chosen = found.order_by(*rows.order_by).limit(bindparam("page_rows")).subquery("chosen")
    source = chosen.join(products, products.c.id == chosen.c.id).join(sellers, _refers(products, sellers))
    key = None if of.key is None else products.c[cast("ColumnClause[Any]", of.key).name]
    shown = replace(of, tie=products.c.id, key=key)
    statement = select(_key(shown), *ITEM_COLUMNS).select_from(source).with_hint(products, PRIMARY)
    return compiled(statement.order_by(*whole(shown, None).order_by), dialect)


def _key(of: Order) -> ColumnElement[Any]:
    return literal_column("NULL") if of.key is None else of.key


def candidates_sql(given: Filters, access: Access, dialect: Dialect) -> Statement:
    """(seller id, id) of every product that matches, in no order."""
    columns = (products.c.seller_id, products.c.id)
    return compiled(_matching(select(*columns), given, access, dialect, shown=False), dialect)


def places_sql(given: Filters, dialect: Dialect) -> Statement:
    """(id, latitude, longitude) of the sellers that pass filters of the seller, or lie in the `band`."""
    of_id: dict[str, ColumnElement[bool]] = {
        "band": sellers.c.latitude_e6.between(bindparam("low"), bindparam("high")),
        "seller": sellers.c.id == bindparam("seller"),
        "radius": in_integers(dialect, sellers.c.id, "radius"),
    }
    demands = (of_id[name] if name in of_id else condition(name, given, dialect) for name in given)
    columns = (sellers.c.id, sellers.c.latitude_e6, sellers.c.longitude_e6)
    return compiled(select(*columns).where(*demands), dialect)


def sellers_sql(places: Filters, most: int, dialect: Dialect) -> Statement:
    """(id,) of at most so many sellers that pass filters of their place."""
    index = DRIVERS["district" if "district" in places else "state"].first_index
    demands = (condition(name, places, dialect) for name in places)
    statement = select(sellers.c.id).with_hint(sellers, index or PRIMARY).where(*demands)
    return compiled(statement.limit(most), dialect)


def wordings_sql(words: int, most: int, dialect: Dialect) -> Statement:
    """(id, class) of at most so many wordings that match a search; without `words` (id,)."""
    classes = (fulltext.relevance(words),) if words else ()
    statement = select(search_documents.c.id, *classes).where(fulltext.matching(dialect))
    return compiled(statement.limit(most), dialect)


def count_sql(given: Filters, access: Access, dialect: Dialect) -> Statement:
    """How many rows match."""
    return compiled(_matching(select(func.count()), given, access, dialect, shown=False), dialect)


def facet_sql(facet: str, given: Filters, access: Access, dialect: Dialect) -> Statement:
    """(value, count) of one facet, most frequent first, at most `FACET_VALUES`."""
    value, rows = _FACETS[facet], cast("ColumnElement[Any]", func.count())
    if facet not in FACETS_OF_SELLERS:
        counted = _matching(select(value, rows), given, access, dialect, shown=False)
    else:
        seller = products.c.seller_id
        of_seller = select(seller, rows.label("rows_of_seller")).group_by(seller)
        by_seller = _matching(of_seller, given, access, dialect, shown=False).subquery("by_seller")
        rows = func.sum(by_seller.c.rows_of_seller)
        source = by_seller.join(sellers, by_seller.c.seller_id == sellers.c.id)
        counted = select(value, rows).select_from(source)
    return compiled(counted.group_by(value).order_by(rows.desc(), value).limit(FACET_VALUES), dialect)


def rows_sql(driver: str, given: Filters, dialect: Dialect) -> Statement:
    """How many rows a driver has, counted in its index up to `:ceiling`."""
    access = Access(DRIVERS[driver].index, driver)
    rows = _matching(select(literal_column("1")), given, access, dialect, shown=False)
    counted = rows.limit(bindparam("ceiling")).subquery("counted")
    return compiled(select(func.count()).select_from(counted), dialect)


def sample_sql(
    given: Filters, sample: Filters, walk: Walk, drivers: Sequence[str], dialect: Dialect
) -> Statement:
    """The numbers of `access.Sample`, of the products of a sample."""
    source: FromClause = products
    if "search" in given:
        source = source.join(search_documents, _refers(products, search_documents))
    if given.keys() & OF_SELLERS:
        source = source.join(sellers, _refers(products, sellers))
    # Each condition stands in the text once: a list of sellers may be long.
    passes = [condition(name, given, dialect).label(name) for name in given]
    here = (condition(name, sample, dialect) for name in sample)
    seen = select(products.c.id, *passes).select_from(source).where(*here).with_hint(products, PRIMARY)
    row = seen.subquery("seen").c
    served = [row[name] for name in given if name in walk.served]
    checked = [row[name] for name in given if name in walk.served | walk.checks]
    sets = (served, checked, [row[name] for name in given], *([row[name]] for name in drivers))
    one: ColumnElement[int] = literal_column("1")
    none: ColumnElement[int] = literal_column("0")
    sums: list[ColumnElement[Any]] = [
        func.sum(case((and_(true(), *each), one), else_=none)) if each else func.count() for each in sets
    ]
    return compiled(select(func.count(row.id), *sums), dialect)


def greatest_id_sql(dialect: Dialect) -> Statement:
    """The greatest id of a product; NULL when there is none."""
    return compiled(select(func.max(products.c.id)), dialect)


def _matching(
    statement: Select[Any], given: Filters, access: Access, dialect: Dialect, *, shown: bool = True
) -> Select[Any]:
    """The statement over the rows that pass all filters, read as `access` says; `shown` joins the sellers.

    Where there is something to check in the index first, the row is joined to what has passed.
    """
    row: FromClause = entries if access.checked else products
    driver = DRIVERS[access.driver] if access.driver else None
    first = None if driver is None else driver.first
    source = row if first is None else first.join(row, _refers(row, first))
    if "search" in given and first is not search_documents:
        source = source.join(search_documents, _refers(row, search_documents))
    if asked := bool(given.keys() & OF_SELLERS) and first is not sellers:
        source = source.join(sellers, _refers(row, sellers))
    if access.checked:
        source = source.join(products, products.c.id == entries.c.id)
        statement = statement.with_hint(products, PRIMARY)
    if shown and not asked and first is not sellers:
        source = source.join(sellers, _refers(products, sellers))
    statement = statement.select_from(source).with_hint(row, access.index)
    if driver is not None and first is not None and driver.first_index:
        statement = statement.with_hint(first, driver.first_index)
    for name in given:
        of_row = row if name in access.checked else products
        statement = statement.where(
            condition(name, given, dialect, by_index=access.driver == "search", row=of_row)
        )
    return statement


def _refers(row: FromClause, table: FromClause) -> ColumnElement[bool]:
    """How a product, whose columns `row` has, refers to a table."""
    column = row.c.seller_id if table is sellers else row.c.search_id
    return column == table.c.id


def detail_sql(dialect: Dialect) -> Statement:
    """(*ITEM_COLUMNS, *DETAIL_COLUMNS) of the product `:id`, tombstones left out."""
    statement = (
        select(*ITEM_COLUMNS, *DETAIL_COLUMNS)
        .select_from(products.join(sellers, _refers(products, sellers)))
        .where(products.c.id == bindparam("id"), products.c.deleted_at_us.is_(None))
    )
    return compiled(statement, dialect)


def keyset_sql(
    columns: Sequence[ColumnElement[Any]],
    source: FromClause,
    conditions: Sequence[ColumnElement[bool]],
    of: Order,
    rows: Range,
    dialect: Dialect,
) -> Statement:
    """One page of a plain table whose tie-break is its only order: (tie, *columns)."""
    statement = select(of.tie, *columns).select_from(source).where(*conditions, *rows.where)
    return compiled(statement.order_by(*rows.order_by).limit(bindparam("page_rows")), dialect)
