"""Counts of the last seconds, in slots: old ones fall out a slot at a time, and memory does not grow with
calls."""

from collections.abc import Sequence

from farmlokal.platform.clock import SystemClock

SLOTS = 10
"""Slots of a window: it reaches back between nine and ten tenths of its span."""


class Window:
    """Several counters over the same `span_s` seconds."""

    def __init__(self, clock: SystemClock, span_s: float, counters: int) -> None:
        self._clock = clock
        self._slot_s = span_s / SLOTS
        self._counters = counters
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._newest = self._slot()
        self._slots = [[0] * self._counters for _ in range(SLOTS)]

    def add(self, counts: Sequence[int]) -> None:
        """Add to each counter, now."""
        self._advance()
        slot = self._slots[self._newest % SLOTS]
        for counter, count in enumerate(counts):
            slot[counter] += count

    def totals(self) -> list[int]:
        """The sum of each counter over the window."""
        self._advance()
        return [sum(column) for column in zip(*self._slots, strict=True)]

    def _slot(self) -> int:
        return int(self._clock.monotonic_s() / self._slot_s)

    def _advance(self) -> None:
        now = self._slot()
        for slot in range(max(self._newest, now - SLOTS) + 1, now + 1):
            self._slots[slot % SLOTS] = [0] * self._counters
        self._newest = max(self._newest, now)
