"""What happened between two looks at the same families: counters as differences, histograms as shares and
quantiles, gauges as they are now.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import inf

from farmlokal.platform.exposition import Family, Kind, Labels, Sample

SCRAPED = "farmlokal_scraped_seconds"

Wanted = Callable[[dict[str, str]], bool]


def any_of(_labels: dict[str, str]) -> bool:
    """Every sample."""
    return True


class Change:
    """From `before` to `after`. What is missing in either counts as 0: a route nobody had asked for yet."""

    def __init__(self, before: Sequence[Family], after: Sequence[Family]) -> None:
        old: dict[tuple[str, str, Labels], float] = {
            (family.name, each.suffix, each.labels): each.value
            for family in before
            for each in family.samples
        }
        self._now = {family.name: family.samples for family in after}
        self._grown: dict[str, list[tuple[dict[str, str], str, float]]] = {}
        for family in after:
            if family.kind in (Kind.COUNTER, Kind.HISTOGRAM):
                self._grown[family.name] = [
                    (
                        dict(each.labels),
                        each.suffix,
                        max(0.0, each.value - old.get((family.name, each.suffix, each.labels), 0.0)),
                    )
                    for each in family.samples
                ]
        then = next((family.samples[0].value for family in before if family.name == SCRAPED), 0.0)
        self.seconds = max(0.001, (self.now(SCRAPED) or 0.0) - then)
        """How far apart the two looks are."""

    def now(self, name: str) -> float | None:
        """A gauge without labels as it is; None where there is no such family."""
        samples = self._now.get(name)
        return samples[0].value if samples else None

    def samples(self, name: str) -> Sequence[Sample]:
        """All samples of a family as they are."""
        return self._now.get(name, ())

    def grown(self, name: str, wanted: Wanted = any_of, suffix: str = "") -> float:
        """By how much the samples that are wanted have grown, together."""
        return sum(
            by for labels, of, by in self._grown.get(name, ()) if of == suffix and by and wanted(labels)
        )

    def grown_by(self, name: str, label: str, suffix: str = "") -> dict[str, float]:
        """The same by the values of one label; those that did not grow are left out."""
        found: dict[str, float] = {}
        for labels, of, by in self._grown.get(name, ()):
            if of == suffix and by:
                found[labels[label]] = found.get(labels[label], 0.0) + by
        return found

    def beyond(self, name: str, bound_s: float, wanted: Wanted = any_of) -> tuple[float, float]:
        """How many of a histogram's new values are over a bound of its buckets, and how many there are."""
        buckets = self._buckets(name, wanted)
        all_of_them = buckets[-1][1] if buckets else 0.0
        below = max((count for bound, count in buckets if bound <= bound_s), default=0.0)
        return all_of_them - below, all_of_them

    def quantile_s(self, name: str, share: float, wanted: Wanted = any_of) -> float | None:
        """The value below which a share of a histogram's new values lies, interpolated in its bucket as
        Prometheus does; None without any."""
        buckets = self._buckets(name, wanted)
        if not buckets or not buckets[-1][1]:
            return None
        rank = share * buckets[-1][1]
        for (low, below), (high, upto) in pairwise([(0.0, 0.0), *buckets]):
            if upto >= rank and upto > below:
                return low if high == inf else low + (high - low) * (rank - below) / (upto - below)
        return None

    def _buckets(self, name: str, wanted: Wanted) -> list[tuple[float, float]]:
        found: dict[float, float] = {}
        for labels, of, by in self._grown.get(name, ()):
            if of == "_bucket" and wanted(labels):
                bound = float(labels["le"])
                found[bound] = found.get(bound, 0.0) + by
        return sorted(found.items())
