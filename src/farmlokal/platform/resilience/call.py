"""A call to somebody else's server that harms nobody when it fails: all parts of this folder, in their order.

From the outside in: what failed a moment ago; the caller's time; one flight for all who ask the same; the
flight's deadline; its attempts (`attempts.py`). Where all of it brings no answer, the last good one is served
with its age. docs/decisions/0014 says why in this order.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from random import Random
from typing import Generic, NamedTuple, TypeVar

from farmlokal.platform.clock import SystemClock
from farmlokal.platform.resilience.attempts import Attempts, Work
from farmlokal.platform.resilience.bulkhead import Bulkhead
from farmlokal.platform.resilience.circuit_breaker import CircuitBreaker
from farmlokal.platform.resilience.deadline import Deadline, DeadlineExceeded
from farmlokal.platform.resilience.failures import CallFailed, NotCalled, UpstreamRefused
from farmlokal.platform.resilience.kept import Store
from farmlokal.platform.resilience.single_flight import SingleFlight

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

TOTAL_S = 4.0
"""From the question to the answer, retries and waits included: our own choice."""

GRACE_S = 0.2
"""How much longer a caller waits for a flight, so that one which ends in time can still say why it failed.
Past it the caller goes, even if the work below does not heed its end."""

LAST_GOOD_S, LAST_GOOD_ENTRIES, LAST_GOOD_BYTES = 24 * 3600.0, 1_000, 16 * 1024 * 1024
FAILED_S, FAILED_ENTRIES = 5.0, 1_000
"""How long, how many and how large answers and failures are remembered: our own choice."""


class Fetched(NamedTuple, Generic[T]):
    """A value, when it came (microseconds since 1970), and the attempts that it took."""

    value: T
    at_us: int
    attempts: int


class Answer(NamedTuple, Generic[T]):
    """What a caller gets. `failure` says why it is the last good answer, and is None for a new one;
    `attempts` were made for this question; `coalesced`: another caller had asked it already."""

    value: T
    at_us: int
    age_s: float
    attempts: int
    failure: str | None = None
    coalesced: bool = False


class _Failure(NamedTuple):
    """How a question failed a moment ago. No exception: one that is raised again and again grows."""

    reason: str
    refused: int | None


class ResilientCall(Generic[K, T]):
    """Questions to one callee, by key. `size` is how many bytes a value takes."""

    def __init__(
        self,
        breaker: CircuitBreaker,
        clock: SystemClock,
        random: Random,
        size: Callable[[T], int],
        bulkhead: Bulkhead | None = None,
        total_s: float = TOTAL_S,
    ) -> None:
        self._breaker = breaker
        self._clock = clock
        self._total_s = total_s
        self._attempts = Attempts(breaker, bulkhead or Bulkhead(), clock, random)
        self._flights: SingleFlight[K, Fetched[T]] = SingleFlight()
        self._waiting: Counter[K] = Counter()
        self._good: Store[K, Fetched[T]] = Store(
            clock,
            LAST_GOOD_S,
            entries=LAST_GOOD_ENTRIES,
            bytes_in_all=LAST_GOOD_BYTES,
            size=lambda fetched: size(fetched.value),
        )
        self._failed: Store[K, _Failure] = Store(clock, FAILED_S, entries=FAILED_ENTRIES)

    async def close(self) -> None:
        """Cancel what is under way."""
        await self._flights.close()

    async def get(self, key: K, work: Work[T], deadline: Deadline | None = None) -> Answer[T]:
        """The answer to an idempotent question, at the latest when the total or `deadline` is over.

        `work` makes one attempt. Raises `CallFailed` with a `retry_after_s` when there is neither a new nor
        an old answer, and `UpstreamRefused`, which no old answer hides.
        """
        limit = deadline or Deadline.after(self._clock, self._total_s + GRACE_S)
        self._waiting[key] += 1
        try:
            self._recall(key)
            fetched, joined = await limit.within(self._total_s + GRACE_S).run(
                lambda: self._flights.run(key, lambda: self._fetch(key, work))
            )
            return Answer(fetched.value, fetched.at_us, 0.0, fetched.attempts, coalesced=joined)
        except DeadlineExceeded:
            return self._last_good(key, CallFailed("no time left"))
        except CallFailed as failure:
            return self._last_good(key, failure)
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]

    async def once(self, work: Work[T], deadline: Deadline | None = None) -> T:
        """The outcome of what must not be done twice: one attempt, shared with nobody and never an old one.

        Raises `CallFailed`, `UpstreamRefused`.
        """
        limit = deadline or Deadline.after(self._clock, self._total_s)
        return await self._attempts.once(work, limit.within(self._total_s))

    def _recall(self, key: K) -> None:
        """Raise what happened to the same question a moment ago, if it failed."""
        found = self._failed.find(key)
        if found is None:
            return
        if found.value.refused is not None:
            raise UpstreamRefused(found.value.refused)
        raise NotCalled(found.value.reason, retry_after_s=FAILED_S - found.age_s)

    async def _fetch(self, key: K, work: Work[T]) -> Fetched[T]:
        deadline = Deadline.after(self._clock, self._total_s)
        try:
            value, attempts = await self._attempts.idempotent(work, deadline, lambda: key in self._waiting)
        except UpstreamRefused as refusal:
            if refusal.gone:
                self._good.forget(key)
                self._failed.keep(key, _Failure(str(refusal), refusal.status))
            raise
        except CallFailed as failure:
            # Not for what was not asked: that costs nothing, and would outlast an open circuit.
            if failure.attempts:
                self._failed.keep(key, _Failure(failure.reason, None))
            raise
        fetched = Fetched(value, self._clock.now_us(), attempts)
        self._good.keep(key, fetched)
        return fetched

    def _last_good(self, key: K, failure: CallFailed) -> Answer[T]:
        kept = self._good.find(key)
        if kept is None:
            # What the callee asks for is in the breaker's time, and bounded there.
            own_s = FAILED_S if failure.attempts else failure.retry_after_s or 1.0
            failure.retry_after_s = max(own_s, self._breaker.state().retry_after_s)
            raise failure
        fetched, age_s = kept
        return Answer(fetched.value, fetched.at_us, age_s, failure.attempts, failure.reason)
