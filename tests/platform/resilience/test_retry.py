"""Retries: how long they wait, how many there may be, and what a supplier may ask for."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.platform.resilience.retry import (
    IN_A_ROW,
    RETRIES,
    RETRIES_PER_S,
    RetryBudget,
    parse_retry_after,
)
from tests.support.clock import ManualClock

DAY_S = 86_400
NOON_US = ManualClock().now_us()
NOON = "Fri, 24 Jul 2026 12:00:00 GMT"


def test_first_retries_are_spread_evenly() -> None:
    """The first waits of 1,000 callers are uniform from 0 to 0.1 s, not a spike."""
    random = Random(7)
    waits = sorted(RETRIES.backoff_s(0, random) for _ in range(1000))
    farthest = max(
        max(abs((place + 1) / 1000 - wait / 0.1), abs(place / 1000 - wait / 0.1))
        for place, wait in enumerate(waits)
    )
    assert farthest < 1.63 / 1000**0.5, "Kolmogorov and Smirnov at p = 0.01"


@pytest.mark.parametrize(
    ("retries", "bound_s"), [(0, 0.1), (1, 0.2), (2, 0.4), (4, 1.6), (5, 2.0), (60, 2.0)]
)
def test_waits_double_up_to_two_seconds(retries: int, bound_s: float) -> None:
    """Each wait is drawn from 0 to twice the bound before, and to 2 s at most."""
    random = Random(7)
    waits = [RETRIES.backoff_s(retries, random) for _ in range(500)]
    assert 0 <= min(waits) < 0.05 * bound_s
    assert 0.95 * bound_s < max(waits) <= bound_s


def test_a_few_calls_may_be_retried() -> None:
    """Ten failures a second that are mended by one retry each are all retried."""
    clock = ManualClock()
    budget = RetryBudget(clock)
    for _ in range(100):
        budget.called()
        budget.failed()
        assert budget.spend()
        budget.succeeded()
        clock.advance(0.1)


def test_retries_add_a_fifth() -> None:
    """Of many calls of which each other one fails, a fifth is retried."""
    clock = ManualClock()
    budget = RetryBudget(clock)
    retried = 0
    for _ in range(5000):
        budget.called()
        budget.failed()
        retried += budget.spend()
        budget.succeeded()
        clock.advance(1 / 500)
    assert 950 <= retried <= 1000 + RETRIES_PER_S


def test_nothing_is_retried_while_all_fails() -> None:
    """After three failures in a row, of whomever, no failure is retried until an attempt has succeeded."""
    clock = ManualClock()
    budget = RetryBudget(clock)
    may = []
    for _ in range(10):
        budget.called()
        budget.failed()
        may.append(budget.spend())
        clock.advance(0.5)
    assert may == [True] * IN_A_ROW + [False] * 7
    budget.succeeded()
    budget.failed()
    assert budget.spend()


def test_failures_far_apart_are_not_in_a_row() -> None:
    """A caller who comes once a minute is retried, even if each attempt fails."""
    clock = ManualClock()
    budget = RetryBudget(clock)
    for _ in range(10):
        for _ in range(2):
            budget.failed()
            assert budget.spend()
        clock.advance(60)


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("7", 7),
        ("  7\t", 7),
        ("0", 0),
        ("999999", 999_999),
        ("Fri, 24 Jul 2026 12:00:07 GMT", 7),
        ("Friday, 24-Jul-26 12:00:07 GMT", 7),
        ("Fri Jul 24 12:00:07 2026", 7),
        ("Fri, 24 Jul 2026 11:00:00 GMT", 0),
        ("Sat, 25 Jul 2026 12:00:00 GMT", DAY_S),
        (None, None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1_0", None),
        ("7.5", None),
        ("７", None),
        ("1e3", None),
        ("nan", None),
        ("soon", None),
        ("9" * 13, None),
        ("Fri, 24 Jul 2026 12:00:07 +0530", None),
        ("Fri, 32 Jul 2026 12:00:07 GMT", None),
        ("Fri, 24 Jul 99999999 12:00:07 GMT", None),
        ("Fri, 24 Jul 2026 12:00:07 GMT" * 100, None),
    ],
)
def test_retry_after_in_its_forms(value: str | None, wait_s: float | None) -> None:
    """Whole seconds and the three forms of a date are read, anything else counts as absent."""
    assert parse_retry_after(value, NOON_US) == wait_s


def test_a_date_counts_from_the_date_of_its_response() -> None:
    """A supplier whose clock is a day slow, or ours, asks for what it means."""
    until = "Thu, 23 Jul 2026 12:00:07 GMT"
    assert parse_retry_after(until, NOON_US) == 0
    assert parse_retry_after(until, NOON_US, "Thu, 23 Jul 2026 12:00:00 GMT") == 7
    assert parse_retry_after("Fri, 24 Jul 2026 12:00:07 GMT", NOON_US, "yesterday") == 7


DATES = st.one_of(st.from_regex(r"[A-Za-z]{3}, [0-9: -]+ [A-Z]{3}"), st.just(NOON))


@given(st.one_of(st.text(max_size=60), DATES), st.one_of(st.none(), st.text(max_size=60), DATES))
def test_no_retry_after_is_an_accident(value: str, sent: str | None) -> None:
    """Whatever a supplier sends is read as some seconds from 0 on, or as nothing."""
    wait_s = parse_retry_after(value, NOON_US, sent)
    assert wait_s is None or wait_s >= 0
