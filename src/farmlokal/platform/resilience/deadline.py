"""A deadline: the moment after which an answer is worth nothing, passed down to everything done for one call.

It is a moment and not a duration, so that what was spent above is never granted again below. Each wait is
bounded by it on its own, instead of one timeout around all: the place where time ran out then knows that it
was the callee's time, and not a caller who left.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from farmlokal.platform.clock import SystemClock

T = TypeVar("T")


class DeadlineExceeded(Exception):
    """The time is up. Not a TimeoutError, which work raises for shorter limits of its own."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock."""

    clock: SystemClock
    at_s: float

    @classmethod
    def after(cls, clock: SystemClock, budget_s: float) -> "Deadline":
        """The deadline `budget_s` from now."""
        return cls(clock, clock.monotonic_s() + budget_s)

    def within(self, budget_s: float) -> "Deadline":
        """A deadline for a part: at most `budget_s` from now, and never later than this one."""
        return Deadline(self.clock, min(self.at_s, self.clock.monotonic_s() + budget_s))

    def remaining_s(self) -> float:
        """Seconds left, 0 when there are none."""
        return max(0.0, self.at_s - self.clock.monotonic_s())

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """The outcome of work that is cancelled at the deadline, and not begun after it.

        Raises `DeadlineExceeded`, or what the work raises.
        """
        remaining_s = self.remaining_s()
        if not remaining_s:
            raise DeadlineExceeded
        try:
            async with asyncio.timeout(remaining_s) as limit:
                return await work()
        except TimeoutError:
            if limit.expired():
                raise DeadlineExceeded from None
            raise
