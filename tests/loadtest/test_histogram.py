"""Percentiles from buckets."""

from hypothesis import given
from hypothesis import strategies as st

from farmlokal.loadtest.histogram import Histogram

DURATIONS = st.lists(st.integers(0, 10**9), min_size=1, max_size=200)


@given(DURATIONS, st.floats(0.1, 100))
def test_a_percentile_is_at_most_one_step_too_great(durations: list[int], percent: float) -> None:
    """A percentile is never less than the duration that sorting would give, and at most 1.6 % more."""
    histogram = Histogram()
    for duration in durations:
        histogram.add(duration)
    rank = next(n for n in range(1, len(durations) + 1) if n >= len(durations) * percent / 100)
    exact = sorted(durations)[rank - 1]
    assert exact <= histogram.percentile_us(percent) <= max(exact * 1.0157, exact)
    assert histogram.percentile_us(100) == max(durations)


@given(DURATIONS, DURATIONS)
def test_two_histograms_become_one(one: list[int], other: list[int]) -> None:
    """Merging two is counting all in one."""
    parts = [Histogram(), Histogram(), Histogram()]
    for histogram, durations in zip(parts, (one, other, [*one, *other]), strict=True):
        for duration in durations:
            histogram.add(duration)
    parts[0].merge(parts[1])
    assert vars(parts[0]) == vars(parts[2])


def test_nothing_counted_has_no_duration() -> None:
    """Without a duration every percentile is 0."""
    assert Histogram().percentile_us(99) == 0
