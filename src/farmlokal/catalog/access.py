"""By which index a page is read: walk the sort's index and check the filters, or gather by a filter and sort.

Walking passes about `rows` ÷ (the share of products that match) entries, gathering reads every row of one
filter. The cheaper of the two reads at most about √(rows × products), whatever the filter, if matches are
spread evenly over the sort. They are not always (the dear category at the end of the price index), so a walk
is given up once it has taken as long as the gathering would: together at most twice the better one.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from math import sqrt

from farmlokal.catalog.filters import CHECKED, DRIVERS, OF_SELLERS, Filters
from farmlokal.catalog.listing import ListingQuery
from farmlokal.platform.database.compilers import PRIMARY

SAMPLE, LEAST_SAMPLE, SAMPLED_SHARE = 512, 64, 64
"""Most products, evenly spread over the ids, of which it is asked how many pass which filters: 1.5 ms. In a
small catalogue one in `SAMPLED_SHARE`: the sample is not to cost more than what it decides about."""

SEEN_ENOUGH = 8
"""So many of a sample tell how many there are in all, give or take a third. What has fewer is counted."""

COUNT_CEILING = 50_000
"""Where such a count ends, after 5 ms. The sample says of more how many they are."""

# Measured on MariaDB 10.11 with 1,000,000 products in memory, in seconds.
ENTRY_S = 0.15e-6
"""To pass over an entry of an index that holds what is looked at."""
ROW_S = 2.5e-6
"""To look up a row by an entry."""
JOINED_S = 0.5e-6
"""To look at the seller or the wording of an entry."""
IN_ORDER_OF_IDS_S = 0.6e-6
"""To pass over a row of the table itself, in its own order."""
SHORTEST_WALK_S, LONGEST_WALK_S = 0.025, 0.3
"""How long a walk may take at least before it is given up, since a busy machine is slow, and at most: the
statement limit leaves as much and more for the gathering."""

_SORT_INDEXES = {
    "id": PRIMARY,
    "price": "ix_products_by_price",
    "name": "ix_products_by_name",
    "createdAt": "ix_products_by_created",
    "unitPrice": "ix_products_by_unit_price",
    "harvestedOn": "ix_products_by_harvested",
}

_CATEGORY_INDEXES = {
    "id": "ix_products_category",
    "price": "ix_products_category_by_price",
    "name": "ix_products_category_by_name",
    "createdAt": "ix_products_category_by_created",
    "unitPrice": "ix_products_category_by_unit_price",
    "harvestedOn": "ix_products_category_by_harvested",
}

_HOLDS = {driver.index: driver.holds for driver in DRIVERS.values()}
"""What the indexes check that are walked and gathered by."""

_RANGES = {"price": "price", "harvestedOn": "harvested_after"}
"""The filter that is a range of the sort's own index."""


@dataclass(frozen=True, slots=True)
class Access:
    """The index by which products are read, and the filter that drives; without one the index is walked.

    `checked` are the filters that are checked in the index before the row is looked up; none where there is
    nothing to look at but the index, or the row.
    """

    index: str
    driver: str | None = None
    checked: frozenset[str] = field(default=frozenset())


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to read a page, and how long it may take before another is tried."""

    access: Access
    limit_s: float | None = None


@dataclass(frozen=True, slots=True)
class Walk:
    """How a sort is walked: its index, the filters that only choose where in it, those that it can check."""

    index: str
    served: frozenset[str]
    checks: frozenset[str]

    def access(self, given: Filters) -> Access:
        """The walk under these filters. Where the index checks none, a look at the entry before the row would
        be one too many."""
        if not self.narrows(given):
            return Access(self.index)
        return Access(self.index, checked=frozenset((self.served | self.checks) & given.keys()))

    def narrows(self, given: Filters) -> bool:
        """Whether there are filters that the index checks on the way."""
        return bool(self.checks & given.keys() - self.served)


BY_DISTANCE = Walk(DRIVERS["seller"].index, frozenset(["alive"]), DRIVERS["seller"].holds)
"""Seller after seller, whose products are read in any order."""

OF_THE_SELLER = OF_SELLERS | {"seller", "radius"}
"""Filters that choose sellers: where these are walked, they are chosen first."""


def gather(driver: str, given: Filters) -> Access:
    """The access by a filter's own index, which checks what it holds before the rows are looked up."""
    holds = DRIVERS[driver].holds
    return Access(
        DRIVERS[driver].index, driver, frozenset(holds & given.keys() if given.keys() - holds else ())
    )


def count(driver: str, given: Filters, *, by_seller: bool) -> Access:
    """The access by which all rows of a driver are counted: an index of half the width where it holds enough,
    but for what is grouped `by_seller` the one in the order of sellers."""
    narrow = driver == "category" or (driver == "all" and not by_seller)
    if narrow and given.keys() <= CHECKED:
        return Access(_CATEGORY_INDEXES["createdAt"], driver)
    return gather(driver, given)


def walk(query: ListingQuery) -> Walk:
    """The walk of a query; below one category there is an index for each sort."""
    served = {"alive", _RANGES.get(query.sort, "alive")}
    index = _SORT_INDEXES[query.sort]
    if len(query.category) == 1:
        index = _CATEGORY_INDEXES[query.sort]
        served.add("category")
    checks = frozenset() if query.sort == "id" else _HOLDS.get(index, CHECKED)
    return Walk(index, frozenset(served), checks)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a sample says: products seen, and of them those that pass the walk's own filters, those that pass
    what its index checks too, and those that pass all; and those that pass each filter alone."""

    seen: int
    served: int
    checked: int
    matching: int
    alone: Mapping[str, int]

    @property
    def share(self) -> float:
        """Of what the walk goes through, the share that matches. Where the sample saw none, the filters are
        taken to be independent, and no more than one in two samples."""
        served = max(self.served, 1)
        if self.matching:
            return min(1.0, self.matching / served)
        independent = 1.0
        for hits in self.alone.values():
            independent *= max(hits, 0.5) / max(self.seen, 1)
        return min(independent, 0.5 / served)


def is_short(sample: Sample, products: int, rows: int) -> bool:
    """Whether a walk is expected to pass so few entries that no other way needs to be looked for."""
    return bool(sample.matching) and rows / sample.share <= sqrt(rows * products)


def walk_s(sample: Sample, way: Walk, given: Filters, products: int, rows: int) -> float:
    """How long a walk is expected to take if what matches is spread evenly over it."""
    longest = products * max(sample.served, 1) / max(sample.seen, 1)
    passed = min(rows / sample.share, longest)
    if way.index == PRIMARY:
        return passed * (IN_ORDER_OF_IDS_S + _joined_s(given.keys()))
    looked_up = passed * min(1.0, max(sample.checked, 0.5) / max(sample.served, 1))
    if not way.narrows(given):
        looked_up = passed
    return passed * (ENTRY_S + _joined_s(given.keys())) + looked_up * ROW_S


def gather_s(driver: str, rows: int, given: Filters, sample: Sample) -> float:
    """How long it takes to read `rows` of a driver and to sort what matches."""
    holds = DRIVERS[driver].holds
    read_s = rows * (2 * ENTRY_S + _joined_s(given.keys() - {driver}))
    if given.keys() <= holds:
        return read_s
    looked_up = float(rows)
    for name in holds & sample.alone.keys() - {driver}:
        looked_up *= max(sample.alone[name], 0.5) / max(sample.seen, 1)
    return read_s + looked_up * ROW_S


def limit_s(instead_s: float) -> float:
    """How long a walk may take where something else would take `instead_s`."""
    return min(max(instead_s, SHORTEST_WALK_S), LONGEST_WALK_S)


def _joined_s(names: Set[str]) -> float:
    return JOINED_S * (("search" in names) + bool(names & OF_SELLERS))
