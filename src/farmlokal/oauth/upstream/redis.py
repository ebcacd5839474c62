"""The store of all instances: the law inside Redis, and alone where Redis does not answer.

A claim that fails is tried again at once, because the alternative, calling the provider on one's own, costs
more; no call to Redis is repeated below this one.
"""

from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from farmlokal.oauth.seal import UPSTREAM_TOKEN, Seal
from farmlokal.oauth.upstream.law import Timing, Verdict, ms
from farmlokal.oauth.upstream.memory import MemoryTokenStore, jitter
from farmlokal.oauth.upstream.port import Found, Granted, Held, Locked
from farmlokal.oauth.upstream.token import Grant, TokenCounts, UpstreamToken, identity
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.redis import RedisConnections, RedisUnavailable, Script

TRIES = 3
"""How often a step is asked for while Redis counts as up: one slow moment must not send every instance to the
provider."""


class RedisTokenStore:
    """Shared by all who have the same Redis, secret key and `whose` (provider, client and scope)."""

    def __init__(
        self,
        redis: RedisConnections,
        secret_key: bytes,
        whose: str,
        clock: SystemClock,
        counts: TokenCounts,
        timing: Timing = Timing(),  # noqa: B008  immutable
    ) -> None:
        self._redis = redis
        self._clock = clock
        self._counts = counts
        self._timing = timing
        self._alone = MemoryTokenStore(clock, timing)
        name = blake2b(whose.encode(), key=blake2b(secret_key).digest(), digest_size=16)
        self._key = f"farmlokal:token:{name.hexdigest()}"
        self._seal = Seal([secret_key], UPSTREAM_TOKEN)
        times = (timing.lock_s, timing.apart_s, timing.most_wait_s, timing.most_retry_after_s)
        self._times = [ms(each) for each in (*times, timing.refused_s, timing.most_life_s)]

    async def claim(
        self, owner: str, known: str, *, rejected: bool = False
    ) -> Found | Locked | Held | Granted:
        """See `TokenStore`."""
        since_s, replaces = self._clock.lived_s(), b""
        reply = await self._ask("claim", owner, known, int(rejected))
        if reply and reply[0] == Verdict.FOUND:
            token = self._opened(reply, since_s)
            if token is not None:
                return Found(token)
            # Not sealed by us: it will not do, and nothing that it says of its life counts.
            since_s, replaces = self._clock.lived_s(), reply[4]
            reply = await self._ask("claim", owner, replaces, 1)
        match reply:
            case [Verdict.LOCKED, wait]:
                return Locked(wait / 1000)
            case [Verdict.HELD, wait]:
                return Held(wait / 1000)
            case [Verdict.GRANTED, at]:
                return Granted(owner, since_s, at, replaces=replaces)
        if reply:  # another unreadable one, in the same moment
            return Held(self._timing.apart_s)
        self._counts.by_name["alone"] += 1
        claim = await self._alone.claim(owner, known, rejected=rejected)
        return Granted(owner, claim.since_s, claim.at, alone=True) if isinstance(claim, Granted) else claim

    async def settle(self, granted: Granted, grant: Grant, rejected: str = "") -> UpstreamToken | None:
        """See `TokenStore`."""
        if granted.alone:
            return await self._alone.settle(granted, grant, rejected)
        life = ms(grant.life_s)
        sealed = self._seal.seal(msgspec.msgpack.encode((grant.value, grant.scope)), self._key)
        since_s = self._clock.lived_s()
        reply = await self._ask(
            "settle",
            granted.owner,
            identity(grant.value),
            sealed,
            granted.at + life,
            life,
            granted.replaces or rejected,
            jitter(),
        )
        return self._opened(reply, since_s) if reply and reply[0] == Verdict.FOUND else None

    async def fail(self, granted: Granted, wait_s: float) -> float:
        """See `TokenStore`."""
        if granted.alone:
            return await self._alone.fail(granted, wait_s)
        reply = await self._ask("fail", granted.owner, ms(wait_s), jitter())
        return reply[0] / 1000 if reply else max(wait_s, self._timing.apart_s)

    async def abandon(self, granted: Granted) -> None:
        """See `TokenStore`."""
        if granted.alone:
            await self._alone.abandon(granted)
        else:
            await self._ask("fail", granted.owner, -1, 0)

    async def _ask(self, step: str, owner: str, *args: str | bytes | int) -> list[Any]:
        """One step of the law; nothing when Redis does not answer."""
        for _ in range(TRIES):
            try:
                reply: list[Any] = await self._redis.run_script(
                    _script(), [self._key], [step, owner, *self._times, *args]
                )
            except RedisUnavailable:
                if not self._redis.up:
                    break
            else:
                return reply
        return []

    def _opened(self, reply: list[Any], since_s: float) -> UpstreamToken | None:
        """The token of a reply that was asked for at `since_s`; None for what is none of ours."""
        _, left, life, _, id_, sealed = reply
        try:
            value, scope = msgspec.msgpack.decode(
                self._seal.open(sealed, self._key), type=tuple[str, str | None]
            )
        except (ValueError, msgspec.MsgspecError):
            return None
        if identity(value).encode() != id_:
            return None
        return UpstreamToken.of(value, scope, life / 1000, since_s + left / 1000, self._timing)


@cache
def _script() -> Script:
    return Script(Path(__file__).with_name("refresh.lua").read_text(encoding="utf-8"))
