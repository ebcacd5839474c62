"""The limiter of one process: GCRA in integer nanoseconds of the monotonic clock.

Nanoseconds, because the time of a unit is rounded up, and of the greatest limit it is one microsecond.
"""

from farmlokal.platform.clock import SystemClock
from farmlokal.platform.metrics import LimitCounts
from farmlokal.platform.rate_limit.generations import Generations
from farmlokal.platform.rate_limit.law import Caller, Decision, Policy, decision

CALLERS = 100_000
"""Most callers whose quota is not whole that are known one by one: some 20 MB. Later ones share buckets."""

SHARED = 1024
"""Buckets that callers past `CALLERS` share by hash: none of them gets more than the law, some get less."""

_SECOND = 1_000_000_000


class MemoryLimiter:
    """Forgets only callers whose quota is whole: forgetting gives nobody anything."""

    def __init__(self, policy: Policy, clock: SystemClock, counts: LimitCounts) -> None:
        self._policy = policy
        self._clock = clock
        self._counts = counts
        self._unit_ns = policy.unit(_SECOND)
        self._full_ns = policy.burst * self._unit_ns
        # After this long without spending a quota is whole, so an entry lives at least as long.
        self._whole_at: Generations[int] = Generations(self._full_ns, CALLERS)
        self._shared: Generations[int] = Generations(self._full_ns, SHARED)

    async def ask(self, caller: Caller, cost: int) -> Decision:
        """See `Limiter`."""
        answer = self.decide(caller.key, cost)
        self._counts.count(admitted=answer.admitted)
        return answer

    def ask_now(self, caller: Caller, cost: int) -> Decision | None:
        """See `Limiter`."""
        answer = self.decide(caller.key, cost)
        if not answer.admitted:
            return None
        self._counts.count(admitted=True)
        return answer

    async def charge(self, caller: Caller, cost: int) -> Decision:
        """See `Limiter`."""
        return self.decide(caller.key, cost, forced=True)

    def decide(self, key: str, cost: int, *, forced: bool = False) -> Decision:
        """Ask, or charge when `forced`, without counting."""
        now = round(self._clock.monotonic_s() * 1_000_000) * 1000
        cost = min(cost, self._policy.burst)
        whole_at = self._whole_at.get(key, now)
        if whole_at is None and len(self._shared):  # it may have spent there while there was no room
            whole_at = self._shared.get(_share(key), now)
        if whole_at is None or whole_at < now:
            whole_at = now
        ahead = now + self._full_ns - whole_at
        price = cost * self._unit_ns
        fits = ahead >= max(price, self._unit_ns)
        if fits or forced:
            price = min(price, ahead)
            ahead -= price
            if price and not self._whole_at.put(key, whole_at + price, now):
                self._shared.put(_share(key), whole_at + price, now)
        return decision(self._policy, ahead, cost, second=_SECOND, admitted=fits)

    def note(self, key: str, cost: int, at_us: int) -> None:
        """Spend what another limiter has admitted, as of a moment of our clock, as far as it is there."""
        now = at_us * 1000
        whole_at = max(self._whole_at.get(key, now) or 0, now)
        self._whole_at.put(key, min(whole_at + cost * self._unit_ns, now + self._full_ns), now)

    def whole_in_us(self, key: str, at_us: int) -> int:
        """How long from then on until a caller's quota is whole: 0 for one who is not known by name."""
        return max(0, (self._whole_at.get(key, at_us * 1000) or 0) // 1000 - at_us)

    def forget(self) -> None:
        """Free what is due, for whoever asks here only now and then."""
        now = round(self._clock.monotonic_s() * 1_000_000) * 1000
        self._whole_at.forget(now)
        self._shared.forget(now)

    def __len__(self) -> int:
        """Callers that are known."""
        return len(self._whole_at)


def _share(key: str) -> str:
    return str(hash(key) % SHARED)
