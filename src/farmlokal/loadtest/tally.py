"""What came of the arrivals: by what they wanted, and by the second in which they were due.

Only a 2xx is a success. A 429 is the server defending itself and a 5xx a failure; both are often quick, so
neither lends its duration to the percentiles. An arrival without an answer does, with the time until it was
given up: leaving those out would make a server look quicker the more it loses.
"""

from collections import Counter
from dataclasses import dataclass, field

from farmlokal.loadtest.histogram import Histogram

OUTCOMES = ("good", "refused", "failed", "other", "unanswered")
"""2xx; 429; 5xx; any other status; no answer in time, a broken connection, or never sent."""


@dataclass(slots=True)
class Part:
    """Some of the arrivals."""

    outcomes: Counter[str] = field(default_factory=Counter)
    durations: Histogram = field(default_factory=Histogram)

    @property
    def arrivals(self) -> int:
        """All of them."""
        return self.outcomes.total()

    def add(self, outcome: str, duration_us: int) -> None:
        """Count one."""
        self.outcomes[outcome] += 1
        if outcome in ("good", "unanswered"):
            self.durations.add(duration_us)


class Tally:
    """Counts one run of `seconds` seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.total = Part()
        self.kinds: dict[str, Part] = {}
        self.timeline: dict[int, Part] = {}
        self.statuses: Counter[str] = Counter()
        """How often each status other than 2xx came, and each reason why none did."""
        self.lateness = Histogram()
        """How long after its instant each arrival was ready to be sent: the load generator's own slowness."""

    def add(self, kind: str, due_s: float, duration_us: int, status: int, reason: str = "") -> None:
        """Count one arrival that was due so long after the start; status 0 and a reason for no answer."""
        outcome = _outcome(status)
        if outcome != "good":
            self.statuses[reason or str(status)] += 1
        second = int(due_s)
        for part in (
            self.total,
            self.kinds.setdefault(kind, Part()),
            self.timeline.setdefault(second, Part()),
        ):
            part.add(outcome, duration_us)

    @property
    def goodput(self) -> float:
        """Good answers a second."""
        return self.total.outcomes["good"] / self.seconds

    @property
    def error_percent(self) -> float:
        """Arrivals without a success, of a hundred."""
        if not self.total.arrivals:
            return 0.0
        return 100 * (1 - self.total.outcomes["good"] / self.total.arrivals)


def _outcome(status: int) -> str:
    if status == 0:
        return "unanswered"
    if 200 <= status < 300:
        return "good"
    if status == 429:
        return "refused"
    return "failed" if status >= 500 else "other"
