"""What this process has done since it started, in numbers that cost nothing to keep."""

import os
import resource
import sys
from bisect import bisect_left
from collections import Counter
from pathlib import Path

from msgspec import Struct

from farmlokal.platform.exposition import Histogram


class Memory(Struct, frozen=True):
    """Memory of this process in bytes: resident now, and the most it ever was."""

    rss: int
    peak: int


BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Bounds of the histograms of times: from what a page of the cache takes to what no answer may take."""

NOWHERE = "other"
"""The route of what matched none."""

METHODS = frozenset(("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"))


class Timings:
    """Durations in seconds by two names of ours, and how much is under way. Bounded: callers choose neither
    name."""

    def __init__(self) -> None:
        self.by_name: dict[tuple[str, str], Histogram] = {}
        self.in_flight = 0

    def add(self, what: str, outcome: str, seconds: float) -> None:
        """Record one."""
        found = self.by_name.get((what, outcome))
        if found is None:
            found = self.by_name[what, outcome] = Histogram(BOUNDS_S)
        found.counts[bisect_left(BOUNDS_S, seconds)] += 1
        found.total += seconds


class RequestCounts:
    """Answers by class of status, and by route, method and status with their times. Bounded whatever callers
    send: the routes are ours, and so are methods but for one that stands for all others."""

    def __init__(self) -> None:
        self.by_status_class: Counter[str] = Counter()
        self.by_route: Counter[tuple[str, str, int]] = Counter()
        self.times: dict[tuple[str, str], Histogram] = {}
        self.in_flight = 0

    def count(self, status: int, route: str = NOWHERE, method: str = "GET", seconds: float = 0.0) -> None:
        """Record one finished answer: `route` is the template of its path."""
        if method not in METHODS:
            method = NOWHERE
        self.by_status_class[_CLASSES[status // 100]] += 1
        self.by_route[route, method, status] += 1
        times = self.times.get((route, method))
        if times is None:
            times = self.times[route, method] = Histogram(BOUNDS_S)
        times.counts[bisect_left(BOUNDS_S, seconds)] += 1
        times.total += seconds


_CLASSES = tuple(f"{number}xx" for number in range(10))


class LimitCounts:
    """Requests that the rate limiter admitted and refused, and how many of both it decided without Redis
    because Redis did not answer."""

    def __init__(self) -> None:
        self.admitted = 0
        self.refused = 0
        self.by_fallback = 0

    def count(self, *, admitted: bool) -> None:
        """Record one decision."""
        if admitted:
            self.admitted += 1
        else:
            self.refused += 1


OUTCOMES = (
    *("processed", "duplicate", "stale", "replayed"),
    *("mismatched", "malformed", "failed", "dead", "unsigned"),
)
"""What may come of a delivery."""


class WebhookCounts:
    """Deliveries by what came of them: one of `OUTCOMES`."""

    def __init__(self) -> None:
        self.by_outcome: Counter[str] = Counter()

    def count(self, outcome: str) -> None:
        """Record one delivery."""
        self.by_outcome[outcome] += 1


def memory() -> Memory:
    """Read from the kernel; where there is no /proc (macOS), the peak stands for both."""
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = usage if sys.platform == "darwin" else usage * 1024
    statm = Path("/proc/self/statm")
    rss = int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else peak
    return Memory(rss=rss, peak=peak)
