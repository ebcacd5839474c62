"""By which index a page is read: walk the sort's index and check the filters, or gather by a filter and sort.

Walking reads about `rows` ÷ (the share of products that match); gathering reads every row of one filter. The
cheaper of the two reads at most about √(rows × products), whatever the filter, if matches are spread evenly
over the sort: of 1M products 4,500 for a page of 20. They are not always (the dear category at the end of the
price index), so a walk that takes too long is given up for the gathering.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from farmlokal.catalog.filters import DRIVERS
from farmlokal.catalog.listing import ListingQuery
from farmlokal.platform.database.compilers import PRIMARY

SAMPLE = 256
"""Products, evenly spread over the ids, of which it is asked how many match all filters: about 0.5 ms."""

SAMPLE_ENOUGH = 8
"""So many matches of the sample say that a walk reads about 32 rows for each one shown: no other way is
looked for."""

COUNT_CEILING = 50_000
"""Most rows of a filter that are counted, in its index alone (5 ms), and most that are gathered while another
way is left."""

LAST_CEILING = 200_000
"""The same (20 ms) where a walk took too long, and where all rows of a query are read."""

WEIGHT, COVERED_WEIGHT = 0.5, 0.15
"""A row that is gathered, and one whose index holds all that is looked at, beside a row of a walk with its
seller (measured on MariaDB 10.11: 1 µs and 0.4 against 2 to 5)."""

WALK_LIMIT_S = 0.025
"""Longest walk where the rows could be gathered as well: then matches are not where they were expected."""

_SORT_INDEXES = {
    "id": PRIMARY,
    "price": "ix_products_price",
    "name": "ix_products_name",
    "createdAt": "ix_products_created",
    "unitPrice": "ix_products_unit_price",
    "harvestedOn": "ix_products_harvested",
}

_CATEGORY_INDEXES = {
    "id": "ix_products_category",
    "price": "ix_products_category_price",
    "name": "ix_products_category_name",
    "createdAt": "ix_products_category_created",
    "unitPrice": "ix_products_category_unit_price",
    "harvestedOn": "ix_products_category_harvested",
}

_SERVED = {"price": "price", "harvestedOn": "harvested_after"}
"""The filter that is a range of the sort's own index."""


@dataclass(frozen=True, slots=True)
class Access:
    """The index by which products are read, and the filter that drives; without one the index is walked."""

    index: str
    driver: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to read a page, and how long it may take before another is tried."""

    access: Access
    limit_s: float | None = None


@dataclass(frozen=True, slots=True)
class Walk:
    """How a sort is walked: its index, and the filters that only choose where in it."""

    index: str
    served: frozenset[str]


def gather(driver: str) -> Access:
    """The access by a filter's own index."""
    return Access(DRIVERS[driver].index, driver)


def walk(query: ListingQuery) -> Walk:
    """The walk of a query; below one category there is an index for each sort."""
    served = {"alive", _SERVED.get(query.sort, "alive")}
    if len(query.category) == 1 and query.sort in _CATEGORY_INDEXES:
        return Walk(_CATEGORY_INDEXES[query.sort], frozenset([*served, "category"]))
    return Walk(_SORT_INDEXES[query.sort], frozenset(served))


def budgets(drivers: Sequence[str], hits: int, products: int, rows: int) -> Iterator[float]:
    """How much a gathering may cost, in rows of a walk: no more than the walk that would be taken unasked;
    then no more than the walk to be expected, of `hits` in a sample.

    A filter that is the only one says itself how far the walk goes: both cost the same where it has
    √(rows × products ÷ weight) rows.
    """
    yield rows * SAMPLE / SAMPLE_ENOUGH
    walk = rows / _share(hits)
    yield walk if len(drivers) > 1 else min(walk, sqrt(rows * products * _weight(drivers[0])))


def cost(driver: str, count: int) -> float:
    """What it costs to gather so many rows by a filter, in rows of a walk."""
    return count * _weight(driver)


def ceiling(driver: str, budget: float) -> int:
    """How many rows of a filter can be gathered at that cost."""
    return min(COUNT_CEILING, ceil(budget / _weight(driver)))


def driver(counts: Mapping[str, int], budget: float, hits: int, products: int, rows: int) -> str | None:
    """The filter to gather by, or None where none is within the budget and cheaper than a walk.

    `counts` are rows by filter. The share of matches is at most about what the sample says, and less where
    the filters together say less.
    """
    independent = 1.0
    for count in counts.values():
        independent *= min(1.0, max(count, 1) / max(products, 1))
    walk = rows / min(_share(hits), independent)
    costs = {name: cost(name, count) for name, count in counts.items()}
    best = min(costs, key=lambda name: costs[name])
    return best if costs[best] < budget and costs[best] <= walk else None


def _share(hits: int) -> float:
    return max(hits, 0.5) / SAMPLE


def _weight(driver: str) -> float:
    return COVERED_WEIGHT if DRIVERS[driver].covers else WEIGHT
