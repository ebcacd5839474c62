"""The limiter of all instances: one script call a batch of requests, on the clock of Redis.

An instance asks for what waits, and for a lease on top when the caller has been quick: the next requests are
then admitted without a call. Requests of one caller that arrive during a call wait for the next one: a
thousand at once are a few calls, not a thousand. When Redis does not answer, each instance limits on its own,
on an account of all that it has admitted itself: however often Redis comes and goes, no instance admits more
than the law.
"""

import asyncio
import secrets
from collections import deque
from functools import cache
from itertools import count
from pathlib import Path

from farmlokal.platform.clock import SystemClock
from farmlokal.platform.metrics import LimitCounts
from farmlokal.platform.rate_limit.generations import Generations
from farmlokal.platform.rate_limit.law import Caller, Decision, Policy, decision
from farmlokal.platform.rate_limit.memory import MemoryLimiter
from farmlokal.platform.redis import RedisConnections, RedisUnavailable, Script

LEASE_US = 1_000_000
"""Longest that leased units may be spent: what an instance that dies or falls silent can keep from others."""

LEASE_FOR_US = 100_000
"""A lease is as large as what was spent in such a time: ten calls a second do not show, little lies idle."""

MEASURED_US = 20_000
"""Shortest time from which a pace is told. Two requests a millisecond apart are a page, not a flood."""

REFUSED_US = 100_000
"""Longest that a refusal is repeated without asking: another instance may have given units back."""

ATTEMPTS = 2
"""Most calls for one batch."""

BATCH = 128
"""Most requests of one caller decided in one call."""

WAITING = 4096
"""Most requests of one caller that wait for a call; past it they are refused at once."""

CALLERS = 100_000
"""Most callers of the last second or two that are remembered; past it none gets a lease."""

_SECOND = 1_000_000


class _Waiting:
    """One request that waits for a call. `cost` is negative when it is charged after the fact."""

    __slots__ = ("answer", "cost")

    def __init__(self, cost: int, answer: "asyncio.Future[Decision]") -> None:
        self.cost = cost
        self.answer = answer


class _Known:
    """What this instance knows of one caller: its lease, and what Redis said last, at which of our times."""

    __slots__ = (
        "ahead_us",
        "asked_us",
        "lease",
        "refused",
        "serving",
        "since_us",
        "spent",
        "till_us",
        "units",
        "waiting",
    )

    def __init__(self, now_us: int) -> None:
        self.lease = ""
        self.units = 0
        self.till_us = 0
        self.ahead_us = 0
        self.asked_us = now_us
        self.refused = False
        self.since_us = now_us
        self.spent = 0
        self.waiting: deque[_Waiting] = deque()
        self.serving: asyncio.Task[None] | None = None


class RedisLimiter:
    """Keys are `farmlokal:limit:<policy>:<caller>`, and end when the caller's quota is whole."""

    def __init__(
        self, redis: RedisConnections, policy: Policy, clock: SystemClock, counts: LimitCounts
    ) -> None:
        self._redis = redis
        self._policy = policy
        self._clock = clock
        self._counts = counts
        self._alone = MemoryLimiter(policy, clock, counts)
        self._unit_us = policy.unit(_SECOND)
        self._known: Generations[_Known] = Generations(LEASE_US + REFUSED_US, CALLERS)
        self._instance = secrets.token_hex(6)
        self._leases = count()

    async def ask(self, caller: Caller, cost: int) -> Decision:
        """See `Limiter`. Waits for two calls to Redis that fail at most, and for none while Redis is down."""
        cost = min(cost, self._policy.burst)
        answer = await self._decide(caller.key, cost)
        self._counts.count(admitted=answer.admitted)
        return answer

    def ask_now(self, caller: Caller, cost: int) -> Decision | None:
        """See `Limiter`: from the lease."""
        now, key = self._now_us(), caller.key
        known = self._known.get(key, now)
        if known is None or known.refused:
            return None
        answer = self._without_asking(key, known, min(cost, self._policy.burst), now)
        if answer is None:
            return None
        self._known.put(key, known, now)
        self._counts.count(admitted=True)
        return answer

    async def charge(self, caller: Caller, cost: int) -> Decision:
        """See `Limiter`."""
        return await self._decide(caller.key, -cost)

    async def _decide(self, key: str, cost: int) -> Decision:
        now = self._now_us()
        known = self._known.get(key, now) or _Known(now)
        self._known.put(key, known, now)
        answer = self._without_asking(key, known, cost, now)
        if answer is None and len(known.waiting) >= WAITING:
            answer = decision(self._policy, 0, abs(cost), second=_SECOND, admitted=False)
        if answer is not None:
            return answer
        waiting = _Waiting(cost, asyncio.get_running_loop().create_future())
        known.waiting.append(waiting)
        if known.serving is None:
            # A task of its own: a caller who hangs up must not take the answers of the others along.
            known.serving = asyncio.create_task(self._serve(key, known))
        return await waiting.answer

    def _without_asking(self, key: str, known: _Known, cost: int, now_us: int) -> Decision | None:
        """The decision, where a lease or the last refusal gives it."""
        if cost < 0 or known.waiting:  # who waits came first
            return None
        if max(1, cost) <= known.units and now_us < known.till_us:
            known.units -= cost
            known.spent += cost
            self._alone.note(key, cost, now_us)
            return self._decision(known, cost, now_us, admitted=True)
        since_us = now_us - known.asked_us
        if (
            known.refused
            and since_us < REFUSED_US
            and max(1, cost) * self._unit_us > known.ahead_us + since_us
        ):
            return self._decision(known, cost, now_us, admitted=False)
        return None

    async def _serve(self, key: str, known: _Known) -> None:
        """Ask Redis until nobody of this caller waits."""
        batch: list[_Waiting] = []
        try:
            while known.waiting:
                batch = [known.waiting.popleft() for _ in range(min(BATCH, len(known.waiting)))]
                batch = [waiting for waiting in batch if not waiting.answer.done()]  # done: hung up
                if batch:
                    await self._serve_batch(key, known, batch)
        except BaseException as error:
            for waiting in (*batch, *known.waiting):
                if not waiting.answer.done():
                    waiting.answer.set_exception(error if isinstance(error, Exception) else RuntimeError())
            known.waiting.clear()
            raise
        finally:
            known.serving = None

    async def _serve_batch(self, key: str, known: _Known, batch: list[_Waiting]) -> None:
        try:
            sent_us, lease, reply = await self._call(key, known, [waiting.cost for waiting in batch])
        except RedisUnavailable:
            # Whoever came meanwhile shares the outcome, too: nobody waits for further calls that fail.
            failed = [waiting for waiting in (*batch, *known.waiting) if not waiting.answer.done()]
            known.waiting.clear()
            for waiting in failed:
                self._answer(waiting, self._alone.decide(key, abs(waiting.cost), forced=waiting.cost < 0))
            self._counts.by_fallback += len(failed)
            return
        self._alone.forget()
        spent, leased, ahead_us = (int(number) for number in reply)
        if spent:
            self._alone.note(key, spent, sent_us)  # as early as it can have been: see `spend.lua`
        known.lease, known.units = lease if leased else "", leased
        known.till_us = sent_us + LEASE_US  # counted from before Redis counts, so it ends here first
        known.asked_us, known.refused = self._now_us(), False
        known.ahead_us = ahead_us
        known.spent += spent
        for waiting in batch:
            # Redis went through the same costs in the same order, with the same outcome.
            cost = abs(waiting.cost)
            fits = cost <= spent if cost else known.units > 0 or ahead_us >= self._unit_us
            known.refused |= not fits
            if fits or waiting.cost < 0:
                spent -= min(cost, spent)
            self._answer(waiting, self._decision(known, cost, known.asked_us, admitted=fits))

    async def _call(self, key: str, known: _Known, costs: list[int]) -> tuple[int, str, list[bytes]]:
        """(when it was sent, the new lease, the reply) of a call, or of a second one.

        A single call that fails is no outage: to decide alone at every hiccup would add up to more than the
        law. Where it is one, the guard is shut soon and there is no second call. What the first one may have
        spent is lost to the caller, and its lease ends by itself.
        """
        now_us = self._now_us()
        closed, back = known.lease, known.units if now_us < known.till_us else 0
        known.lease, known.units = "", 0  # from here on they are Redis' again, whatever becomes of the call
        wanted = self._wanted(known, now_us)
        names, policy = [f"farmlokal:limit:{self._policy.name}:{key}"], self._policy
        for attempt in range(ATTEMPTS):
            sent_us, lease = self._now_us(), f"{self._instance}:{next(self._leases)}"
            account_us = self._alone.whole_in_us(key, sent_us)
            arguments: list[str | int] = [self._unit_us, policy.burst, LEASE_US, account_us]
            arguments += [closed, back, lease, wanted, *costs]
            try:
                return sent_us, lease, await self._redis.run_script(_script(), names, arguments)
            except RedisUnavailable:
                if attempt + 1 == ATTEMPTS or not self._redis.up:
                    raise
        raise AssertionError

    def _wanted(self, known: _Known, now_us: int) -> int:
        """Units to lease: what the caller spends in `LEASE_FOR_US` at its present pace."""
        lasted_us = now_us - known.since_us
        wanted = known.spent * LEASE_FOR_US // max(lasted_us, MEASURED_US)
        if lasted_us >= MEASURED_US:
            known.since_us, known.spent = now_us, 0
        return min(wanted, self._policy.burst)

    def _decision(self, known: _Known, cost: int, now_us: int, *, admitted: bool) -> Decision:
        """In time ahead, the lease counts as what it is worth: the caller may spend it."""
        ahead_us = known.ahead_us + (now_us - known.asked_us) + known.units * self._unit_us
        return decision(self._policy, ahead_us, cost, second=_SECOND, admitted=admitted)

    @staticmethod
    def _answer(waiting: _Waiting, answer: Decision) -> None:
        if not waiting.answer.done():
            waiting.answer.set_result(answer)

    def _now_us(self) -> int:
        return round(self._clock.monotonic_s() * 1_000_000)


@cache
def _script() -> Script:
    return Script(Path(__file__).with_name("spend.lua").read_text(encoding="utf-8"))
