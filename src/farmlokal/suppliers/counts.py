"""What was asked of a supplier and what came of it, in numbers. Bounded: every label is ours."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

from msgspec import Struct

from farmlokal.platform.resilience.circuit_breaker import BreakerState

OUTCOMES = ("fresh", "coalesced", "stale", "refused", "unavailable")
BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Upper ends of the buckets of attempts by duration; the last one has none."""


class SupplierState(Struct, frozen=True, rename="camel"):
    """What operators see: the circuit; attempts, and how many of them took at most so many seconds; answers
    to callers by what they were; items that were dropped as invalid."""

    breaker: BreakerState
    attempts: int
    attempt_seconds: Mapping[str, int]
    answers: Mapping[str, int]
    dropped: int


class SupplierCounts:
    """Of one supplier in one process."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self.dropped = 0
        self._buckets = [0] * (len(BOUNDS_S) + 1)

    def attempted(self, took_s: float) -> None:
        """One attempt, however it ended."""
        self._buckets[bisect_left(BOUNDS_S, took_s)] += 1

    def state(self, breaker: BreakerState) -> SupplierState:
        """All of it."""
        names = [*(f"{bound:g}" for bound in BOUNDS_S), "more"]
        took = dict(zip(names, self._buckets, strict=True))
        return SupplierState(breaker, sum(self._buckets), took, dict(self.answers), self.dropped)
