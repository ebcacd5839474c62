"""The store of one process: the law itself, on the clock that sets no lives back."""

import random

from farmlokal.oauth.upstream import law
from farmlokal.oauth.upstream.law import State, Stored, Timing, Verdict, ms
from farmlokal.oauth.upstream.port import Found, Granted, Held, Locked
from farmlokal.oauth.upstream.token import Grant, UpstreamToken, identity
from farmlokal.platform.clock import SystemClock


class MemoryTokenStore:
    """Shared by the callers of one process."""

    def __init__(self, clock: SystemClock, timing: Timing = Timing()) -> None:  # noqa: B008  immutable
        self._clock = clock
        self._timing = timing
        self._state = State()
        self._token: UpstreamToken | None = None

    async def claim(
        self, owner: str, known: str, *, rejected: bool = False
    ) -> Found | Locked | Held | Granted:
        """See `TokenStore`."""
        since_s = self._clock.lived_s()
        self._state, claim = law.claim(
            self._state, ms(since_s), owner, known, self._timing, rejected=rejected
        )
        match claim.verdict:
            case Verdict.FOUND:
                assert self._token is not None
                return Found(self._token)
            case Verdict.LOCKED:
                return Locked(claim.ms / 1000)
            case Verdict.HELD:
                return Held(claim.ms / 1000)
            case Verdict.GRANTED:
                return Granted(owner, since_s, claim.ms)

    async def settle(self, granted: Granted, grant: Grant, rejected: str = "") -> UpstreamToken | None:
        """See `TokenStore`."""
        life = ms(grant.life_s)
        token = Stored(identity(grant.value), b"", granted.at + life, life)
        self._state, stored = law.settle(
            self._state,
            self._now(),
            granted.owner,
            token,
            self._timing,
            rejected=rejected,
            jitter=jitter(),
        )
        if stored is None:
            self._token = None
        elif stored is token:
            ends_s = granted.since_s + grant.life_s
            self._token = UpstreamToken.of(grant.value, grant.scope, grant.life_s, ends_s, self._timing)
        return self._token

    async def fail(self, granted: Granted, wait_s: float) -> float:
        """See `TokenStore`."""
        self._state, pause = law.fail(
            self._state, self._now(), granted.owner, ms(wait_s), self._timing, jitter=jitter()
        )
        return pause / 1000

    async def abandon(self, granted: Granted) -> None:
        """See `TokenStore`."""
        self._state, _ = law.fail(self._state, self._now(), granted.owner, -1, self._timing)

    def _now(self) -> int:
        return ms(self._clock.lived_s())


def jitter() -> int:
    """Thousandths that a pause is made longer by: only longer, so that the number of calls has its bound."""
    return random.randrange(200)  # noqa: S311
