"""A circuit breaker: stops calling what fails or crawls, and finds out with a few calls whether it is back.

Closed, it counts over a time window, and opens when too large a share failed or was slow. Open, it refuses.
Half open, it grants exactly so many probes, and decides as soon as their outcome can no longer change:
closed again, or open for twice as long. A verdict counts only in the state that granted its call: what was
begun before the circuit opened says nothing of a probe.

One breaker a process: sharing it would make every call depend on one more server, and a fleet is out of the
callee's way as fast, since each process sees the same failures. So N processes make N times the probes.
"""

import math
from enum import StrEnum
from random import Random
from types import TracebackType
from typing import NamedTuple

from msgspec import Struct
from structlog.typing import FilteringBoundLogger

from farmlokal.platform.clock import SystemClock
from farmlokal.platform.resilience.failures import NotCalled
from farmlokal.platform.resilience.window import Window


class State(StrEnum):
    """Whether calls go out."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class BreakerPolicy(NamedTuple):
    """When a breaker opens, and for how long. The numbers are our own choice; `jitter` is a share both
    ways, so that instances that opened together do not probe together."""

    window_s: float = 10.0
    least_calls: int = 20
    failed_share: float = 0.5
    slow_share: float = 0.8
    slow_s: float = 2.0
    open_s: float = 5.0
    longest_open_s: float = 60.0
    jitter: float = 0.2
    probes: int = 3
    longest_hold_s: float = 60.0


BREAKER = BreakerPolicy()


class BreakerState(Struct, frozen=True, rename="camel"):
    """What operators see: the state and since how many seconds; in how many seconds a call may be tried (0:
    now); calls, failures and slow calls in the window or among the probes; probes under way; how often it
    opened."""

    state: State
    for_s: float
    retry_after_s: float
    calls: int
    failed: int
    slow: int
    probing: int
    opened: int


class CircuitBreaker:
    """The state of one callee, as this process sees it."""

    def __init__(
        self,
        name: str,
        clock: SystemClock,
        random: Random,
        log: FilteringBoundLogger,
        policy: BreakerPolicy = BREAKER,
    ) -> None:
        self._clock = clock
        self._random = random
        self._log = log.bind(callee=name)
        self._policy = policy
        self._window = Window(clock, policy.window_s, counters=3)
        self._state = State.CLOSED
        self._since_s = clock.monotonic_s()
        self._open_until_s = self._held_until_s = self._since_s
        self._era = 0
        self._in_a_row = 0
        self._opened = 0
        self._probing = 0
        self._probed = [0, 0, 0]

    def check(self) -> None:
        """Raise `NotCalled` if a call would be refused now. Takes no permit."""
        self._tick()
        wait_s = self._wait_s()
        if wait_s > 0:
            held = self._state is not State.OPEN
            raise NotCalled("asked to wait" if held else "circuit open", retry_after_s=wait_s)
        if self._state is State.HALF_OPEN and self._probing + self._probed[0] >= self._policy.probes:
            raise NotCalled("circuit half-open", retry_after_s=self._policy.slow_s)

    def acquire(self) -> "Permit":
        """The right to make one call; raises `NotCalled`. To be used in a `with`, which gives it back."""
        self.check()
        if self._state is State.HALF_OPEN:
            self._probing += 1
        return Permit(self, self._era, self._clock.monotonic_s())

    def hold(self, seconds: float) -> None:
        """Refuse all calls for so long, whatever the state: the callee asked for it (``Retry-After``)."""
        until_s = self._clock.monotonic_s() + min(seconds, self._policy.longest_hold_s)
        self._held_until_s = max(self._held_until_s, until_s)

    def state(self) -> BreakerState:
        """The state now."""
        self._tick()
        half_open = self._state is State.HALF_OPEN
        calls, failed, slow = self._probed if half_open else self._window.totals()
        return BreakerState(
            state=self._state,
            for_s=round(self._clock.monotonic_s() - self._since_s, 3),
            retry_after_s=round(self._wait_s(), 3),
            calls=calls,
            failed=failed,
            slow=slow,
            probing=self._probing,
            opened=self._opened,
        )

    def ended(self, era: int, begun_s: float, *, failed: bool | None) -> None:
        """A call has ended; `failed` is None for one that says nothing. For `Permit`."""
        self._tick()
        if era != self._era:
            return
        if self._state is State.HALF_OPEN:
            self._probing -= 1
        if failed is None:
            return
        slow = self._clock.monotonic_s() - begun_s > self._policy.slow_s
        counts = (1, int(failed), int(slow))
        if self._state is State.HALF_OPEN:
            self._probed = [before + now for before, now in zip(self._probed, counts, strict=True)]
            self._judge_probes()
        else:
            self._window.add(counts)
            self._judge_window()

    def _judge_window(self) -> None:
        calls, failed, slow = self._window.totals()
        if calls >= self._policy.least_calls and (
            failed >= self._policy.failed_share * calls or slow >= self._policy.slow_share * calls
        ):
            self._open()

    def _judge_probes(self) -> None:
        done, failed, slow = self._probed
        probes, left = self._policy.probes, self._policy.probes - done
        too_many_failed = math.ceil(self._policy.failed_share * probes)
        too_many_slow = math.ceil(self._policy.slow_share * probes)
        if failed >= too_many_failed or slow >= too_many_slow:
            self._open()
        elif failed + left < too_many_failed and slow + left < too_many_slow:
            self._in_a_row = 0
            self._change(State.CLOSED)
            self._log.info("circuit closed")

    def _open(self) -> None:
        policy = self._policy
        open_s = min(policy.longest_open_s, policy.open_s * 2.0 ** min(self._in_a_row, 30))
        open_s *= self._random.uniform(1 - policy.jitter, 1 + policy.jitter)
        seen = self.state()
        self._in_a_row += 1
        self._opened += 1
        self._open_until_s = self._clock.monotonic_s() + open_s
        self._change(State.OPEN)
        self._log.warning(
            "circuit opened", for_s=round(open_s, 3), calls=seen.calls, failed=seen.failed, slow=seen.slow
        )

    def _tick(self) -> None:
        if self._state is State.OPEN and self._clock.monotonic_s() >= self._open_until_s:
            self._change(State.HALF_OPEN)

    def _wait_s(self) -> float:
        until_s = self._held_until_s
        if self._state is State.OPEN:
            until_s = max(until_s, self._open_until_s)
        return max(0.0, until_s - self._clock.monotonic_s())

    def _change(self, state: State) -> None:
        self._state, self._since_s = state, self._clock.monotonic_s()
        self._era += 1
        self._probing, self._probed = 0, [0, 0, 0]
        self._window.clear()


class Permit:
    """The right to make one call. Whoever leaves without a verdict, cancelled perhaps, gives it back
    unused."""

    __slots__ = ("_begun_s", "_breaker", "_ended", "_era")

    def __init__(self, breaker: CircuitBreaker, era: int, begun_s: float) -> None:
        self._breaker = breaker
        self._era = era
        self._begun_s = begun_s
        self._ended = False

    def __enter__(self) -> "Permit":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(None)

    def succeeded(self) -> None:
        """The callee did its work."""
        self._end(False)

    def failed(self) -> None:
        """The callee did not."""
        self._end(True)

    def _end(self, failed: bool | None) -> None:
        if not self._ended:
            self._ended = True
            self._breaker.ended(self._era, self._begun_s, failed=failed)
