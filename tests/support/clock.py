"""Time that stands still until a test moves it."""

from datetime import UTC, date, datetime

from farmlokal.platform.clock import SystemClock

NOON = datetime(2026, 7, 24, 12, tzinfo=UTC)
"""When tests happen: the day of the newest published prices."""


class ManualClock(SystemClock):
    """A clock that only `advance` moves."""

    def __init__(self, at: datetime = NOON) -> None:
        self._us = round(at.timestamp() * 1_000_000)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._us += round(seconds * 1_000_000)

    def now_us(self) -> int:
        """Microseconds since 1970."""
        return self._us

    def monotonic_s(self) -> float:
        """Seconds."""
        return self._us / 1_000_000

    def lived_s(self) -> float:
        """Seconds."""
        return self.monotonic_s()

    def today(self) -> date:
        """The date in UTC."""
        return datetime.fromtimestamp(self._us // 1_000_000, UTC).date()
