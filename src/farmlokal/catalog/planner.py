"""Decides by which index a page is read, from a sample and from counts that are kept for a moment."""

from collections.abc import Mapping
from typing import Any

from farmlokal.catalog import access, statements
from farmlokal.catalog.access import Access, Plan, Walk, gather
from farmlokal.catalog.filters import DRIVERS, Filters, arity, parameters, sampled
from farmlokal.catalog.reader import Reader
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.compilers import PRIMARY

ESTIMATE_LIFE_S = 30.0
"""How long a count is used. It only chooses the cheaper way: a page never shows it."""

ESTIMATES = 4096
"""Most counts kept, some 300 bytes each. When full, all are dropped."""


class Planner:
    """What the number of matches advises."""

    def __init__(self, reader: Reader, clock: SystemClock) -> None:
        self._reader = reader
        self._clock = clock
        self._estimates: dict[tuple[object, ...], tuple[float, int]] = {}
        self._instead: dict[tuple[object, ...], tuple[float, Plan | None]] = {}

    async def plan(self, given: Filters, walk: Walk, rows: int) -> Plan:
        """How to read `rows`: by the walk, or gathered by a filter that the walk does not serve anyway."""
        drivers = _drivers(given, walk)
        if not drivers:
            return Plan(Access(walk.index))
        if "ids" in drivers:
            return Plan(gather("ids"))
        began, instead = self._instead.get(_key(walk.index, given), (0.0, None))
        if instead is not None and self._clock.monotonic_s() - began < ESTIMATE_LIFE_S:
            return instead
        products = await self._products()
        hits = await self._hits(given, products)
        driver = None
        if hits < access.SAMPLE_ENOUGH:
            for budget in access.budgets(drivers, hits, products, rows):
                counts = await self._counts(given, drivers, budget)
                if driver := access.driver(counts, budget, hits, products, rows):
                    break
        return Plan(gather(driver)) if driver else Plan(Access(walk.index), access.WALK_LIMIT_S)

    async def instead(self, given: Filters, walk: Walk) -> Plan:
        """What to do after a walk that took too long, now and for a while.

        A walk to the end would take five times as long as an index that covers.
        """
        plan = Plan(gather(await self._least(given, _drivers(given, walk))))
        if len(self._instead) >= ESTIMATES:
            self._instead.clear()
        self._instead[_key(walk.index, given)] = (self._clock.monotonic_s(), plan)
        return plan

    async def all_rows(self, given: Filters) -> Access:
        """How every row of a query is read."""
        return gather(await self._least(given, _drivers(given, Walk("", frozenset()))))

    async def _least(self, given: Filters, drivers: list[str]) -> str:
        """The filter with the fewest rows; where all have too many to count, one whose index covers."""
        counts = {name: await self._count(name, given, access.LAST_CEILING) for name in drivers}
        best = min(counts, key=lambda name: counts[name], default=None)
        if best and counts[best] < access.LAST_CEILING:
            return best
        return next((name for name in drivers if DRIVERS[name].covers), "all")

    async def _counts(self, given: Filters, drivers: list[str], budget: float) -> dict[str, int]:
        """Rows of each filter, no further than matters: up to the budget, then to the cheapest so far."""
        counts = {}
        for name in drivers:
            counts[name] = await self._count(name, given, access.ceiling(name, budget))
            budget = min(budget, access.cost(name, counts[name]))
        return counts

    async def _hits(self, given: Filters, products: int) -> int:
        """Matches among `SAMPLE` products."""
        ids = range(max(1, products // access.SAMPLE // 2), products + 1, max(1, products // access.SAMPLE))
        here = given | sampled(self._reader.dialect, ids or [1])
        by = Access(PRIMARY)
        return await self._estimate(
            _key("hits", given),
            ("count", by, *arity(here)),
            lambda dialect: statements.count_sql(here, by, dialect),
            parameters(here),
        )

    async def _count(self, name: str, given: Filters, ceiling: int) -> int:
        """Rows of one filter, up to `ceiling`; of a search in one class of relevance, of that class."""
        alone = {each: given[each] for each in (name, "relevance") if each in given}
        if name != "search":
            alone.pop("relevance", None)
        return await self._estimate(
            (ceiling, *_key("rows", alone)),
            ("rows", *arity(alone)),
            lambda dialect: statements.rows_sql(name, alone, dialect),
            parameters(alone) | {"ceiling": ceiling},
        )

    async def _products(self) -> int:
        """About how many products there are: the greatest id."""
        return await self._estimate(("products",), ("greatest id",), statements.greatest_id_sql, {})

    async def _estimate(
        self,
        key: tuple[object, ...],
        shape: tuple[object, ...],
        build: statements.Build,
        given: Mapping[str, Any],
    ) -> int:
        now = self._clock.monotonic_s()
        taken, count = self._estimates.get(key, (now - ESTIMATE_LIFE_S, 0))
        if now - taken < ESTIMATE_LIFE_S:
            return count
        [(found,)] = await self._reader.fetch(shape, build, given)
        count = int(found or 0)
        if len(self._estimates) >= ESTIMATES:
            self._estimates.clear()
        self._estimates[key] = (now, count)
        return count


def _drivers(given: Filters, walk: Walk) -> list[str]:
    return [name for name in given if name in DRIVERS and name not in walk.served]


def _key(what: str, given: Filters) -> tuple[object, ...]:
    return (what, arity(given), *parameters(given).values())
