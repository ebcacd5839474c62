"""Whether to try again, and when: rules without I/O.

Backoff spreads the attempts of those who failed together. The budget bounds what retries add to a load, which
backoff alone does not: a callee that is down because of its load is kept down by everybody's second and third
attempts. So most of them are made only while failures are the exception.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random
from typing import NamedTuple

from farmlokal.platform.clock import SystemClock
from farmlokal.platform.resilience.window import Window

IDEMPOTENT = frozenset(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"])
"""Methods that may be repeated without harm (RFC 9110 §9.2.2)."""

RETRY_SHARE, RETRIES_PER_S = 0.2, 10
"""Retries of a second: this share of its calls, or this number where that is more. Our own choice."""

IN_A_ROW = 3
"""After so many failures with no success between them, whoever failed, the callee is down and not unlucky:
further failures are not retried."""

_DELAY = re.compile(r"[0-9]{1,12}")
_DATE_CHARS = 40


class RetryPolicy(NamedTuple):
    """How often, and after which waits: attempt `n` follows up to `first_s` · 2ⁿ⁻² after the one before."""

    attempts: int = 3
    first_s: float = 0.1
    longest_s: float = 2.0

    def backoff_s(self, retries: int, random: Random) -> float:
        """The wait before the next attempt, when so many retries were made: full jitter, from 0 to twice the
        bound of the wait before."""
        return random.uniform(0, min(self.longest_s, self.first_s * 2.0**retries))


RETRIES = RetryPolicy()
"""Our own choice."""


class RetryBudget:
    """What all callers of one callee may retry together."""

    def __init__(self, clock: SystemClock, forget_s: float = 10.0) -> None:
        self._clock = clock
        self._forget_s = forget_s
        self._second = Window(clock, 1.0, counters=2)
        self._in_a_row = 0
        self._failed_at_s = 0.0

    def called(self) -> None:
        """A call begins: its first attempt."""
        self._second.add((1, 0))

    def succeeded(self) -> None:
        """An attempt succeeded."""
        self._in_a_row = 0

    def failed(self) -> None:
        """An attempt failed. Failures further apart than `forget_s` are not of one trouble."""
        now_s = self._clock.monotonic_s()
        if now_s - self._failed_at_s > self._forget_s:
            self._in_a_row = 0
        self._failed_at_s = now_s
        self._in_a_row += 1

    def spend(self) -> bool:
        """Whether the attempt that failed last may be retried; if so, it is counted."""
        calls, retries = self._second.totals()
        if self._in_a_row > IN_A_ROW or retries >= max(RETRIES_PER_S, RETRY_SHARE * calls):
            return False
        self._second.add((0, 1))
        return True


def parse_retry_after(value: str | None, now_us: int, sent: str | None = None) -> float | None:
    """What a ``Retry-After`` asks for, in seconds from now, at least 0; None where it is absent or garbage.

    A date is counted from the response's own ``Date`` (`sent`) where it has a sound one: the callee's clock
    may be off by as much as it likes, and ours too. The number may be absurd: who waits for it bounds it.
    """
    if value is None:
        return None
    value = value.strip(" \t")
    if _DELAY.fullmatch(value):
        return float(value)
    until = _http_date(value)
    if until is None:
        return None
    since = _http_date(sent.strip(" \t")) if sent is not None else None
    since = since or datetime.fromtimestamp(now_us / 1_000_000, UTC)
    return max(0.0, (until - since).total_seconds())


def _http_date(text: str) -> datetime | None:
    """The three forms of RFC 9110 §5.6.7, which are all in UTC."""
    if len(text) > _DATE_CHARS or not text.isascii():
        return None
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return None if found.utcoffset() else found.replace(tzinfo=UTC)
