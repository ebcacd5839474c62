"""A supplier as a script: how long each attempt takes and what comes of it, and a note of every attempt."""

from collections.abc import Callable
from random import Random

import structlog

from farmlokal.platform.resilience.bulkhead import Bulkhead
from farmlokal.platform.resilience.call import ResilientCall
from farmlokal.platform.resilience.circuit_breaker import BreakerPolicy, CircuitBreaker
from farmlokal.platform.resilience.deadline import Deadline
from farmlokal.platform.resilience.failures import UpstreamFailed, UpstreamRefused
from tests.support.clock import ManualClock
from tests.support.simulation import elapse

DOWN = UpstreamFailed("status 503", retryable=True)


class Supplier:
    """Answers with the number of the attempt, or as `behave` says: an exception is raised, and text
    returned."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.takes_s = 0.02
        self.outcomes: list[Exception | str] = []
        self.always: Exception | None = None
        self.begun: list[float] = []
        self.under_way = 0
        self.most_under_way = 0
        self.deadlines: list[Deadline] = []
        self._begin_s = clock.monotonic_s()

    def now_s(self) -> float:
        """Seconds since this supplier began."""
        return round(self.clock.monotonic_s() - self._begin_s, 6)

    async def answer(self, deadline: Deadline) -> str:
        """One attempt."""
        number = len(self.begun)
        self.begun.append(self.now_s())
        self.deadlines.append(deadline)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await elapse(self.takes_s)
        finally:
            self.under_way -= 1
        outcome = self.outcomes.pop(0) if self.outcomes else self.always or f"answer {number}"
        if isinstance(outcome, Exception):
            raise again(outcome)
        return outcome


def again(error: Exception) -> Exception:
    """A fresh exception of the same content: one that is raised twice carries both traces."""
    if isinstance(error, UpstreamFailed):
        return UpstreamFailed(error.reason, retryable=error.retryable, retry_after_s=error.retry_after_s)
    if isinstance(error, UpstreamRefused):
        return UpstreamRefused(error.status, mended=error.mended)
    return error


def resilient(
    supplier: Supplier,
    *,
    policy: BreakerPolicy = BreakerPolicy(jitter=0.0),  # noqa: B008  an immutable value
    bulkhead: Bulkhead | None = None,
    size: Callable[[str], int] = len,
) -> tuple[ResilientCall[str, str], CircuitBreaker]:
    """A call to that supplier, and its breaker."""
    clock, random = supplier.clock, Random(5)
    breaker = CircuitBreaker("supplier", clock, random, structlog.get_logger(), policy)
    return ResilientCall(breaker, clock, random, size, bulkhead), breaker
