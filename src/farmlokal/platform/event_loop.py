"""How late the event loop is: what runs too long in it makes everybody wait."""

import asyncio
from bisect import bisect_left

from farmlokal.platform.clock import SystemClock
from farmlokal.platform.exposition import Histogram
from farmlokal.platform.metrics import BOUNDS_S

EVERY_S = 0.25
"""Pause between two looks: four a second cost nothing, and see whatever holds the loop for longer."""


class LoopDelay:
    """Goes to sleep again and again, and notes how much later than asked for it was woken."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self._watch: asyncio.Task[None] | None = None
        self.histogram = Histogram(BOUNDS_S)

    async def open(self) -> None:
        """Begin."""
        self._watch = asyncio.create_task(self._look(), name="loop-delay")

    async def close(self) -> None:
        """End."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            began = self._clock.monotonic_s()
            await asyncio.sleep(EVERY_S)
            late_s = max(0.0, self._clock.monotonic_s() - began - EVERY_S)
            self.histogram.counts[bisect_left(BOUNDS_S, late_s)] += 1
            self.histogram.total += late_s
