"""The attempts of one call: retries outside, then the breaker's word, a place, the breaker's permit, the
attempt.

The permit is taken after the place, and not before: who waited for a place asks a circuit that may have
opened meanwhile, no probe of a half-open circuit is spent on waiting, and the callee's slowness is not our
queue's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from farmlokal.platform.clock import SystemClock
from farmlokal.platform.resilience.bulkhead import Bulkhead
from farmlokal.platform.resilience.circuit_breaker import CircuitBreaker
from farmlokal.platform.resilience.deadline import Deadline, DeadlineExceeded
from farmlokal.platform.resilience.failures import CallFailed, NotCalled, UpstreamFailed, UpstreamRefused
from farmlokal.platform.resilience.retry import RETRIES, RetryBudget, RetryPolicy

T = TypeVar("T")

LEAST_ATTEMPT_S = 0.1
"""An attempt with less time than this is not begun: it would be cut off, and the callee blamed for it."""

Work = Callable[[Deadline], Awaitable[T]]
"""One attempt, which keeps to the deadline. It raises `UpstreamFailed`, `UpstreamRefused`, or `NotCalled`
when it did not get to ask; whatever else it raises says nothing of the callee, and passes through."""


class Attempts:
    """Calls one callee, whatever it is asked."""

    def __init__(
        self,
        breaker: CircuitBreaker,
        bulkhead: Bulkhead,
        clock: SystemClock,
        random: Random,
        policy: RetryPolicy = RETRIES,
    ) -> None:
        self._breaker = breaker
        self._bulkhead = bulkhead
        self._random = random
        self._policy = policy
        self._budget = RetryBudget(clock)

    async def idempotent(
        self, work: Work[T], deadline: Deadline, wanted: Callable[[], bool] = lambda: True
    ) -> tuple[T, int]:
        """(outcome, attempts). No attempt begins once nobody wants the outcome. Raises `CallFailed`,
        `UpstreamRefused`."""
        self._budget.called()
        mended = False
        for retries in range(self._policy.attempts):
            try:
                return await self._attempt(work, deadline, wanted), retries + 1
            except UpstreamRefused as refusal:
                if mended or not refusal.mended or retries + 1 >= self._policy.attempts:
                    raise
                mended = True
            except CallFailed as failure:
                failure.attempts = retries + isinstance(failure, UpstreamFailed)
                wait_s = self._wait_s(failure, retries, deadline)
                if wait_s is None or not self._budget.spend():
                    raise
                await asyncio.sleep(wait_s)
                if not wanted():
                    raise
        raise AssertionError("the last attempt is not retried")

    async def once(self, work: Work[T], deadline: Deadline) -> T:
        """The outcome of one attempt: for what must not be done twice. Raises `CallFailed`,
        `UpstreamRefused`."""
        self._budget.called()
        return await self._attempt(work, deadline, lambda: True)

    def _wait_s(self, failure: CallFailed, retries: int, deadline: Deadline) -> float | None:
        """The wait before another attempt, or None if there is to be none."""
        if not isinstance(failure, UpstreamFailed) or not failure.retryable:
            return None
        if retries + 1 >= self._policy.attempts:
            return None
        # On top of what the callee asks for: else all who wait for it come back in one moment.
        wait_s = (failure.retry_after_s or 0.0) + self._policy.backoff_s(retries, self._random)
        return wait_s if wait_s + LEAST_ATTEMPT_S <= deadline.remaining_s() else None

    async def _attempt(self, work: Work[T], deadline: Deadline, wanted: Callable[[], bool]) -> T:
        self._breaker.check()
        async with self._bulkhead.place(deadline.remaining_s()):
            if not wanted():
                raise NotCalled("nobody waits any more")
            if deadline.remaining_s() < LEAST_ATTEMPT_S:
                raise NotCalled("no time left")
            return await self._permitted(work, deadline)

    async def _permitted(self, work: Work[T], deadline: Deadline) -> T:
        with self._breaker.acquire() as permit:
            try:
                value = await deadline.run(lambda: work(deadline))
            except (UpstreamFailed, DeadlineExceeded) as error:
                permit.failed()
                self._budget.failed()
                if isinstance(error, DeadlineExceeded):
                    raise UpstreamFailed("no answer in time", retryable=False) from None
                if error.retry_after_s:
                    self._breaker.hold(error.retry_after_s)
                raise
            except UpstreamRefused:
                permit.succeeded()
                self._budget.succeeded()
                raise
            permit.succeeded()
            self._budget.succeeded()
            return value
