"""What this process has done since it started, in numbers that cost nothing to keep."""

import os
import resource
import sys
from collections import Counter
from pathlib import Path

from msgspec import Struct


class Memory(Struct, frozen=True):
    """Memory of this process in bytes: resident now, and the most it ever was."""

    rss: int
    peak: int


class RequestCounts:
    """Answers by class of status. Bounded: five classes, whatever callers send."""

    def __init__(self) -> None:
        self.by_status_class: Counter[str] = Counter()
        self.in_flight = 0

    def count(self, status: int) -> None:
        """Record one finished answer."""
        self.by_status_class[f"{status // 100}xx"] += 1


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


class WebhookCounts:
    """Deliveries by what came of them. Bounded: the names are ours."""

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
