"""Decides by which index a page is read, from a sample and from counts that are kept for a moment."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from farmlokal.catalog import access, statements
from farmlokal.catalog.access import COUNT_CEILING, Access, Plan, Sample, Walk, gather
from farmlokal.catalog.filters import DRIVERS, Filters, arity, parameters, sampled
from farmlokal.catalog.reader import Reader
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import Row

ESTIMATE_LIFE_S = 30.0
"""How long a count is used. It only chooses the cheaper way: a page never shows it."""

ESTIMATES = 4096
"""Most counts kept, some 500 bytes each. When full, all are dropped."""

NOWHERE = Walk("", frozenset(), frozenset())
"""No walk: every filter may drive."""


class Planner:
    """What the number of matches advises."""

    def __init__(self, reader: Reader, clock: SystemClock) -> None:
        self._reader = reader
        self._clock = clock
        self._estimates: dict[tuple[object, ...], tuple[float, Row]] = {}
        self._instead: dict[tuple[object, ...], tuple[float, Plan]] = {}

    async def plan(self, given: Filters, walk: Walk, rows: int) -> Plan:
        """How to read `rows`: by the walk, or gathered by a filter that the walk does not serve anyway."""
        drivers = _drivers(given, walk)
        walked = walk.access(given)
        if not drivers:
            return Plan(walked)
        if "ids" in drivers:
            return Plan(gather("ids", given))
        began, instead = self._instead.get(_key(walk.index, given), (0.0, None))
        if instead is not None and self._clock.monotonic_s() - began < ESTIMATE_LIFE_S:
            return instead
        sample = await self._sample(given, walk)
        products = await self.products()
        if access.is_short(sample, products, rows):
            return Plan(walked, access.SHORTEST_WALK_S)
        walk_s = access.walk_s(sample, walk, given, products, rows)
        driver, gather_s = await self._cheapest(given, drivers, sample, products)
        return Plan(gather(driver, given)) if gather_s < walk_s else Plan(walked, access.limit_s(gather_s))

    async def instead(self, given: Filters, walk: Walk, after: Plan) -> Plan:
        """What to do after a walk that took too long.

        A longer one, where gathering would take longer than that one did. Else gather, or walk to the end if
        that is expected to be over sooner; which is then remembered for a while.
        """
        sample, products = await self._sample(given, walk), await self.products()
        driver, gather_s = await self._cheapest(given, [*_drivers(given, walk), "all"], sample, products)
        if after.limit_s is not None and after.limit_s < access.limit_s(gather_s):
            return Plan(after.access, access.limit_s(gather_s))
        to_the_end = access.walk_s(sample, walk, given, products, products)
        plan = Plan(gather(driver, given) if gather_s < to_the_end else walk.access(given))
        if len(self._instead) >= ESTIMATES:
            self._instead.clear()
        self._instead[_key(walk.index, given)] = (self._clock.monotonic_s(), plan)
        return plan

    async def all_rows(self, given: Filters, *, by_seller: bool) -> Access:
        """How every row of a query is read to be counted, `by_seller` or not."""
        drivers = _drivers(given, NOWHERE)
        if not drivers:
            return access.count("all", given, by_seller=by_seller)
        sample, products = await self._sample(given, NOWHERE), await self.products()
        driver, _ = await self._cheapest(given, [*drivers, "all"], sample, products)
        return access.count(driver, given, by_seller=by_seller)

    async def _cheapest(
        self, given: Filters, drivers: list[str], sample: Sample, products: int
    ) -> tuple[str, float]:
        """The filter that is gathered by soonest, and how long that takes."""
        times = {}
        for name in drivers:
            hits = sample.alone.get(name, sample.seen)
            rows = products * hits // max(sample.seen, 1)
            if hits < access.SEEN_ENOUGH and name != "all":
                rows = max(rows, await self._count(name, given))
            times[name] = access.gather_s(name, rows, given, sample)
        best = min(times, key=lambda name: times[name])
        return best, times[best]

    async def _sample(self, given: Filters, walk: Walk) -> Sample:
        products = await self.products()
        size = min(access.SAMPLE, max(access.LEAST_SAMPLE, products // access.SAMPLED_SHARE))
        step = max(1, products // size)
        here = sampled(self._reader.dialect, range(max(1, step // 2), products + 1, step) or [1])
        drivers = _drivers(given, NOWHERE)
        seen, served, checked, matching, *alone = await self._estimate(
            ("sample", walk, *_key("", given)),
            ("sample", walk, *arity(given)),
            lambda dialect: statements.sample_sql(given, here, walk, drivers, dialect),
            parameters(given) | parameters(here),
        )
        return Sample(seen, served, checked, matching, dict(zip(drivers, alone, strict=True)))

    async def _count(self, name: str, given: Filters) -> int:
        """Rows of one filter, up to `COUNT_CEILING`; of a search in one class of relevance, of that class."""
        ranked = ("relevance",) if name == "search" else ()
        alone = {each: given[each] for each in (name, *ranked) if each in given}
        (count,) = await self._estimate(
            _key("rows", alone),
            ("rows", *arity(alone)),
            lambda dialect: statements.rows_sql(name, alone, dialect),
            parameters(alone) | {"ceiling": COUNT_CEILING},
        )
        return count

    async def products(self) -> int:
        """About how many products there are: the greatest id."""
        (greatest,) = await self._estimate(("products",), ("greatest id",), statements.greatest_id_sql, {})
        return greatest

    async def _estimate(
        self,
        key: tuple[object, ...],
        shape: tuple[object, ...],
        build: statements.Build,
        given: Mapping[str, Any],
    ) -> tuple[int, ...]:
        """The numbers of one row, NULL as 0, looked at again after `ESTIMATE_LIFE_S`."""
        now = self._clock.monotonic_s()
        taken, numbers = self._estimates.get(key, (now - ESTIMATE_LIFE_S, ()))
        if now - taken < ESTIMATE_LIFE_S:
            return numbers
        [found] = await self._reader.fetch(shape, build, given)
        numbers = tuple(int(number or 0) for number in found)
        if len(self._estimates) >= ESTIMATES:
            self._estimates.clear()
        self._estimates[key] = (now, numbers)
        return numbers


def _drivers(given: Filters, walk: Walk) -> list[str]:
    return [name for name in given if name in DRIVERS and name not in walk.served]


def _key(what: str, given: Filters) -> tuple[object, ...]:
    """Short, however long the lists among the parameters are."""
    values = msgspec.msgpack.encode([*parameters(given).values()])
    return (what, arity(given), blake2b(values, digest_size=16).digest())
