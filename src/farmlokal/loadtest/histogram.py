"""Durations counted in buckets: any percentile afterwards, at most 1.6 % off, whatever their number.

The layout is that of HdrHistogram: 64 equal buckets between each power of two and the next. Its package would
bring a C extension for these forty lines.
"""

from collections import Counter

_BITS = 6
_STEPS = 1 << _BITS


class Histogram:
    """Counts of durations in microseconds."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.greatest_us = 0

    def add(self, duration_us: int) -> None:
        """Count one; less than nothing counts as nothing."""
        duration_us = max(0, duration_us)
        self._buckets[_bucket(duration_us)] += 1
        self.count += 1
        self.greatest_us = max(self.greatest_us, duration_us)

    def merge(self, other: "Histogram") -> None:
        """Count all that the other has counted."""
        self._buckets.update(other._buckets)
        self.count += other.count
        self.greatest_us = max(self.greatest_us, other.greatest_us)

    def percentile_us(self, percent: float) -> int:
        """The least duration that so many percent do not exceed, or up to 1.6 % more; 0 where nothing was
        counted."""
        wanted, seen = self.count * percent / 100, 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return min(_greatest_of(bucket), self.greatest_us)
        return self.greatest_us


def _bucket(duration_us: int) -> int:
    shift = max(0, duration_us.bit_length() - _BITS - 1)
    return shift * _STEPS + (duration_us >> shift)


def _greatest_of(bucket: int) -> int:
    shift = max(0, bucket // _STEPS - 1)
    return ((bucket - shift * _STEPS + 1) << shift) - 1
