"""What a run has to reach: ``p99=50`` (milliseconds), ``errors=0.1%``, ``goodput=480`` (a second)."""

import re
from dataclasses import dataclass

from farmlokal.errors import Fault, Invalid
from farmlokal.loadtest.tally import Tally

_PERCENTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,3})?)")
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?")
_ACCEPTED = "p99=50 (milliseconds), errors=0.1% (of arrivals) or goodput=480 (good answers a second)"


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on what is measured: `text` as it was given, `name` pNN, errors or goodput, in its unit."""

    text: str
    name: str
    bound: float

    def measured(self, tally: Tally) -> float:
        """Milliseconds, percent, or answers a second."""
        if self.name == "errors":
            return tally.error_percent
        if self.name == "goodput":
            return tally.goodput
        return tally.total.durations.percentile_us(float(self.name[1:])) / 1000

    def met(self, tally: Tally) -> bool:
        """Whether it was reached; never where nothing arrived."""
        if not tally.total.arrivals:
            return False
        measured = self.measured(tally)
        if self.name == "goodput":
            return measured >= self.bound
        # Percentiles are of those that were answered well or not at all: of none there is no percentile.
        return measured <= self.bound and (self.name == "errors" or tally.total.durations.count > 0)


def parse_goal(text: str) -> Goal:
    """Raises `Invalid`."""
    name, _, bound = text.partition("=")
    number = bound.removesuffix("%") if name == "errors" else bound
    known = name in ("errors", "goodput") or _PERCENTILE.fullmatch(name)
    if not known or not _NUMBER.fullmatch(number) or (name == "errors" and number == bound):
        raise Invalid("The goal is not understood.", Fault("goal", "malformed", _ACCEPTED))
    return Goal(text, name, float(number))
