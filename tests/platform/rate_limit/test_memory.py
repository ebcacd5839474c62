"""The limiter of one process: its memory is bounded, and forgetting gives nobody anything."""

import tracemalloc

from farmlokal.platform.metrics import LimitCounts
from farmlokal.platform.rate_limit import MemoryLimiter, Policy
from farmlokal.platform.rate_limit.generations import Generations
from farmlokal.platform.rate_limit.memory import CALLERS, SHARED
from tests.support.clock import ManualClock

SMALL = Policy("small", 100, 60, 20)


def limiter(clock: ManualClock, policy: Policy = SMALL) -> MemoryLimiter:
    """One that nobody has asked."""
    return MemoryLimiter(policy, clock, LimitCounts())


def test_memory_comes_back(clock: ManualClock) -> None:
    """A flood of callers who never return is forgotten within twice the time in which a quota grows whole."""
    tracemalloc.start()
    try:
        alone = limiter(clock)
        alone.decide("first", 1)
        before, _ = tracemalloc.get_traced_memory()
        for number in range(CALLERS // 2):
            alone.decide(f"address:{number}", 20)
        assert len(alone) == CALLERS // 2 + 1
        flooded, _ = tracemalloc.get_traced_memory()
        clock.advance(2 * 12)
        alone.decide("first", 1)
        assert len(alone) == 1
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert flooded - before < 400 * CALLERS / 2
    assert after - before < 10_000


def test_a_million_callers_take_the_memory_of_a_hundred_thousand(clock: ManualClock) -> None:
    """However many callers come at once, no more than the bound are known; the others share, none gets more
    than the law, and when there is room again what they spent is not forgotten."""
    alone = limiter(clock)
    for number in range(1_000_000 // 4):
        alone.decide(f"address:{number}", 1)
    assert len(alone) == CALLERS
    # A newcomer has the quota that those with the same share have left him.
    late = [alone.decide("late", 1).admitted for _ in range(50)]
    assert sum(late) <= 20
    assert not alone.decide("late", 20).admitted
    clock.advance(11)
    alone.decide("address:1", 1)
    clock.advance(0.5)
    assert sum(alone.decide("late", 1).admitted for _ in range(50)) <= 20
    assert alone.decide("address:99", 20).admitted
    assert SHARED < CALLERS


def test_forgetting_waits_until_a_quota_is_whole(clock: ManualClock) -> None:
    """A caller who has spent everything is remembered until it has all grown back, and not much longer."""
    alone = limiter(clock)
    alone.decide("first", 1)
    for pause in (0.0, 3.3, 5.9, 0.7, 11.9):
        clock.advance(pause)
        held = alone.decide("a", 20)
        spent_anew = alone.decide("a", 20)
        assert not spent_anew.admitted
        assert held.remaining == 0 or not held.admitted
    clock.advance(24.1)
    alone.decide("first", 1)
    assert len(alone) == 1


def test_generations_keep_what_is_written_for_a_period() -> None:
    """An entry lives for one to two periods after it was written; reading prolongs nothing; a full map takes
    what it has already and nothing new."""
    kept: Generations[str] = Generations(10, most=2)
    assert kept.put("a", "1", 0)
    assert kept.get("a", 9) == "1"
    assert kept.put("b", "2", 9)
    assert not kept.put("c", "3", 9)
    assert kept.get("a", 10) == kept.get("a", 19) == "1"
    assert kept.put("a", "4", 15)
    assert not kept.put("c", "3", 15)
    assert (kept.get("b", 20), kept.get("a", 20)) == (None, "4")
    assert kept.put("c", "3", 20)
    assert (kept.get("a", 30), len(kept)) == (None, 1)
    assert kept.get("c", 1000) is None
    assert len(kept) == 0
