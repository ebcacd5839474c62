"""What features ask for the upstream token.

The token at hand is handed out without a question to anyone while it has life enough. Near its end one
caller of the fleet fetches the next one in the background; only callers for whom it has too little left
wait. What is served never depends on a clock that can be set.
"""

import asyncio
import math
import secrets
from typing import NamedTuple, Protocol

import structlog
from msgspec import Struct

from farmlokal.errors import Unavailable
from farmlokal.oauth.upstream.law import Timing
from farmlokal.oauth.upstream.port import Found, Granted, Held, Locked, TokenStore
from farmlokal.oauth.upstream.token import Grant, NoGrant, TokenCounts, UpstreamToken
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.resilience.single_flight import SingleFlight

WAITING = 2_000
"""Most callers that wait for a token in one process; past it they are refused at once."""

LOOK_AGAIN_S = 1.0
"""Longest that the answer "nobody calls now" is believed without asking the store again."""

_TURNS = 4
"""Most refreshes that one caller waits through: one that others began, its own, and two that were
overtaken."""


class Provider(Protocol):
    """Who gives tokens."""

    async def open(self) -> None:
        """Make ready."""

    async def close(self) -> None:
        """Close what is open."""

    async def fetch(self, within_s: float) -> Grant:
        """One call of at most `within_s`. Raises `NoGrant`."""


class TokenState(Struct, frozen=True, rename="camel"):
    """What operators see: seconds of life that the token at hand has left (null without one), and how often a
    token was fetched, could not be had, was taken over from another instance, was rejected by a resource; how
    often nobody called because of a pause, and how often Redis did not answer."""

    left_s: float | None
    fetched: int
    failed: int
    adopted: int
    rejected: int
    held: int
    alone: int


class _Outcome(NamedTuple):
    """How a refresh went: whether whoever waits should give up, and when to come back."""

    final: bool
    retry_s: float


class TokenSource:
    """One upstream token."""

    def __init__(
        self,
        provider: Provider,
        store: TokenStore,
        clock: SystemClock,
        counts: TokenCounts,
        timing: Timing = Timing(),  # noqa: B008  immutable
    ) -> None:
        self._provider = provider
        self._store = store
        self._clock = clock
        self._counts = counts.by_name
        self._timing = timing
        self._log = structlog.get_logger("farmlokal.oauth")
        self._flights: SingleFlight[str, _Outcome] = SingleFlight()
        self._held: UpstreamToken | None = None
        self._rejected = ""
        self._ask_from_s = self._early_from_s = self._held_until_s = 0.0
        self._waiting = 0

    def state(self) -> TokenState:
        """For metrics."""
        left_s = None if self._held is None else round(self._held.left_s(self._clock.lived_s()), 3)
        return TokenState(left_s if left_s is None or left_s > 0 else None, **self._counts)

    async def get(self, least_s: float | None = None) -> UpstreamToken:
        """A token with a life of `least_s` at least (30 s by default). Raises `Unavailable` where there is
        none, after waiting for at most a lock and a call (12 s)."""
        least_s = self._timing.least_s if least_s is None else least_s
        now_s, token = self._clock.lived_s(), self._held
        if token is not None and token.left_s(now_s) >= least_s:
            if now_s >= token.early_s:
                self._renew_early(now_s)
            return token
        if token is not None and now_s < token.early_s:
            # The next one would have no more life than this one had.
            raise Unavailable("The provider's tokens live too short a time.", retry_after_s=1)
        return await self._wait(least_s, "")

    async def replace(self, rejected: UpstreamToken, least_s: float | None = None) -> UpstreamToken:
        """Another token than the one that a resource has just refused. However many ask for it, and
        wherever, the provider is called once. Raises `Unavailable`: also when a new token was refused a
        moment ago."""
        least_s = self._timing.least_s if least_s is None else least_s
        self._counts["rejected"] += 1
        self._rejected = rejected.id
        token = self._held
        if token is not None and token.id != rejected.id and token.left_s(self._clock.lived_s()) >= least_s:
            return token
        return await self._wait(least_s, rejected.id)

    async def open(self) -> None:
        """Make ready. The first token is fetched when it is asked for."""
        await self._provider.open()

    async def close(self) -> None:
        """End what is under way, and let the other instances know."""
        await self._flights.close()
        await self._provider.close()

    def _renew_early(self, now_s: float) -> None:
        """Begin a refresh that nobody waits for."""
        if "" not in self._flights and now_s >= max(self._early_from_s, self._ask_from_s):
            self._flights.begin("", lambda: self._refresh(""))

    async def _wait(self, least_s: float, rejected: str) -> UpstreamToken:
        """The token that a refresh brings, whoever makes it."""
        if self._waiting >= WAITING:
            raise Unavailable("Too many wait for a token.", retry_after_s=1)
        until_s = self._clock.lived_s() + self._timing.lock_s + self._timing.call_s
        outcome = _Outcome(False, 1.0)
        self._waiting += 1
        try:
            for _ in range(_TURNS):
                outcome, _ = await self._flights.run(rejected, lambda: self._refresh(rejected))
                token, now_s = self._held, self._clock.lived_s()
                if token is not None and token.id != rejected and token.left_s(now_s) >= least_s:
                    return token
                if outcome.final or now_s >= until_s:
                    break
        finally:
            self._waiting -= 1
        raise Unavailable(
            "No token can be had from the provider now.", retry_after_s=max(1, math.ceil(outcome.retry_s))
        )

    async def _refresh(self, rejected: str) -> _Outcome:
        """Find or fetch another token than the one at hand (or the one that was rejected)."""
        owner, until_s = secrets.token_hex(16), self._clock.lived_s() + self._timing.lock_s
        known = rejected or (self._held.id if self._held else "")
        if not rejected and self._clock.lived_s() < self._ask_from_s:
            return _Outcome(True, self._held_until_s - self._clock.lived_s())
        while True:
            claim = await self._store.claim(owner, known, rejected=known == self._rejected != "")
            match claim:
                case Found(token):
                    known = token.id
                    self._adopt(token, rejected)
                    now_s = self._clock.lived_s()
                    usable = token.left_s(now_s) >= self._timing.least_s or now_s < token.early_s
                    if usable and token is self._held:
                        self._counts["adopted"] += 1
                        return _Outcome(False, 1.0)
                case Granted():
                    return await self._fetch(claim, rejected)
                case Held(wait_s):
                    self._counts["held"] += 1
                    return self._held_back(wait_s, rejected)
                case Locked(wait_s):
                    now_s = self._clock.lived_s()
                    if not self._waiting or now_s > until_s:
                        self._early_from_s = now_s + min(wait_s, LOOK_AGAIN_S)
                        return _Outcome(False, wait_s)
                    await asyncio.sleep(self._timing.poll_s)

    async def _fetch(self, granted: Granted, rejected: str) -> _Outcome:
        """Call the provider, having the right to."""
        left_s = granted.since_s + self._timing.call_s - self._clock.lived_s()
        if left_s <= 0:  # we were asleep: by now the lock may be another's
            await self._store.abandon(granted)
            return _Outcome(False, 1.0)
        try:
            grant = await self._provider.fetch(left_s)
        except NoGrant as failure:
            pause_s = await self._store.fail(granted, failure.retry_after_s)
            self._counts["failed"] += 1
            self._log.warning("no upstream token", reason=str(failure), retry_s=round(pause_s, 1))
            return self._held_back(pause_s, rejected)
        except BaseException:
            # Cancelled: whoever waits elsewhere shall not wait for the end of the lock.
            await asyncio.shield(self._store.abandon(granted))
            raise
        # Counted from before the request, and from before the right to it: the provider counts from later.
        ends_s = granted.since_s + grant.life_s
        ours = UpstreamToken.of(grant.value, grant.scope, grant.life_s, ends_s, self._timing)
        stored = await self._store.settle(granted, grant, rejected)
        for token in (ours, stored):
            if token is not None:
                self._adopt(token, rejected)
        self._counts["fetched"] += 1
        left_s = ends_s - self._clock.lived_s()
        self._log.info("upstream token fetched", token_sha256=ours.name, left_s=round(left_s, 1))
        return _Outcome(True, self._timing.apart_s)

    def _held_back(self, pause_s: float, rejected: str) -> _Outcome:
        """Nobody calls for a while: believed for a moment without asking the store for each caller."""
        if not rejected:
            now_s = self._clock.lived_s()
            self._held_until_s, self._ask_from_s = now_s + pause_s, now_s + min(pause_s, LOOK_AGAIN_S)
        return _Outcome(True, pause_s)

    def _adopt(self, token: UpstreamToken, rejected: str) -> None:
        """Hold a token from now on, unless the one at hand is better. The same token seen once more keeps
        the end that it had: a clock that was set cannot make it live longer."""
        held = self._held
        if token.id == self._rejected or token.id == rejected:
            return
        if (
            held is None
            or held.id == rejected
            or held.id == self._rejected
            or (token.id != held.id and token.ends_s > held.ends_s)
        ):
            self._held = token
