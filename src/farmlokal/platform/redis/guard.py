"""Whether Redis is up: after a few failures in a row nobody asks it any more, until a probe has succeeded.

Why not a circuit breaker with windows and rates: Redis is a help, never a need, so there is nothing to weigh.
A guard that shuts too early costs some reads of the database, one that shuts too late costs every caller
the time limit.
"""

from msgspec import Struct
from structlog.typing import FilteringBoundLogger

from farmlokal.platform.clock import SystemClock

FAILURES = 3
"""Failures in a row, nothing between them, that mean "down": one can be a stale connection, two a blip."""


class RedisState(Struct, frozen=True, rename="camel"):
    """What operators see: up or not, since how many seconds, why not, and how many calls failed or were
    spared so far."""

    up: bool
    for_s: float
    reason: str | None
    failed: int
    spared: int


class Guard:
    """Counts failures, knows the state, writes one line to the log at each change of it."""

    def __init__(self, clock: SystemClock, log: FilteringBoundLogger) -> None:
        self._clock = clock
        self._log = log
        self._reason: str | None = None
        self._since_s = clock.monotonic_s()
        self._in_a_row = 0
        self._failed = 0
        self._spared = 0

    @property
    def up(self) -> bool:
        """Whether calls may go out."""
        return self._reason is None

    @property
    def reason(self) -> str | None:
        """Why it is down."""
        return self._reason

    def spare(self) -> None:
        """Count a call that was not made."""
        self._spared += 1

    def succeeded(self) -> None:
        """A call came back. It opens nothing: a read works on a full or read-only server, too."""
        self._in_a_row = 0

    def failed(self, reason: str) -> None:
        """A call failed."""
        self._failed += 1
        self._in_a_row += 1
        if self.up and self._in_a_row >= FAILURES:
            self._change(reason)

    def probed(self, reason: str | None) -> None:
        """A probe wrote to Redis (None), or could not: that alone decides."""
        if reason is None:
            self._in_a_row = 0
        if (reason is None) != self.up:
            self._change(reason)
        elif reason is not None:
            self._reason = reason  # another one than before, perhaps: shown, not logged again

    def state(self) -> RedisState:
        """The state now."""
        lasted = self._clock.monotonic_s() - self._since_s
        return RedisState(self.up, round(lasted, 3), self._reason, self._failed, self._spared)

    def _change(self, reason: str | None) -> None:
        lasted = self.state().for_s
        self._reason, self._since_s, self._in_a_row = reason, self._clock.monotonic_s(), 0
        if reason is None:
            self._log.info("redis is back", down_for_s=lasted)
        else:
            self._log.warning("redis is down, going on without it", reason=reason)
