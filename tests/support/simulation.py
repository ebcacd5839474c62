"""Hours in a moment: an event loop on a manual clock, which jumps to the next timer when all else is done.

The code under test runs as it is, with its sleeps and timeouts; only no time passes outside. One run is like
the next, and a wait that nothing can end fails at once.
"""

import asyncio
import math
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from tests.support.clock import ManualClock

T = TypeVar("T")


class _Jump(selectors.SelectSelector):
    """Waits by moving the clock."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now; where nothing is, time passes until the next timer."""
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise AssertionError("everybody waits, and nothing will ever happen")
            self._clock.advance(math.ceil(timeout * 1_000_000) / 1_000_000)
        return ready


class _SimulatedLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._begin_us = clock.now_us()
        super().__init__(_Jump(clock))

    def time(self) -> float:
        """From 0 on: so many seconds as since 1970 would leave the loop's comparisons no digits."""
        return (self._clock.now_us() - self._begin_us) / 1_000_000


def simulate(work: Coroutine[Any, Any, T], clock: ManualClock) -> T:
    """Run to the end, in the time of the clock."""
    with asyncio.Runner(loop_factory=lambda: _SimulatedLoop(clock)) as runner:
        return runner.run(work)


async def elapse(seconds: float) -> None:
    """Let simulated time pass, and all that is due in it happen."""
    await asyncio.sleep(seconds)


async def settle() -> None:
    """Let everything happen that needs no time."""
    for _ in range(20):
        await asyncio.sleep(0)
