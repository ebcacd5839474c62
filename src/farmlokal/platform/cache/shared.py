"""The cache that instances share: `MemoryCache` with Redis behind it, and one loader a key in the fleet.

Who finds nothing takes a lease on the key and loads; the others wait for what it stores. A lease ends by
itself, so a loader that dies costs its waiters `LEASE_S` and no more. Redis that fails costs a load from the
source. Each script works on one key and its lease, which share a hash tag and hence a cluster slot.
"""

import asyncio
import hmac
import random
import secrets
from collections.abc import Sequence
from hashlib import blake2b
from typing import Generic, TypeVar

from farmlokal.platform.cache.generations import Generations
from farmlokal.platform.cache.memory import GRACE_S, Filled, MemoryCache
from farmlokal.platform.cache.port import CacheCounts, Codec, Found, Load, Outcome
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.redis import RedisConnections, RedisUnavailable, Script

T = TypeVar("T")

LEASE_S = 2.0
"""How long a loader is waited for: more than a listing may take, and a dead one is forgiven soon."""

_WAIT_S = (0.01, 0.04)
"""Pause between two looks of a waiter, at random between these."""

VALUE_BYTES = 1024 * 1024
"""Largest entry that is stored in Redis."""

_MAGIC = b"FLC1"
"""First bytes of an entry: the layout of its header. A new layout gets another number, and old entries are
misses then."""

_GRACE_MS = int(GRACE_S * 1000)
_DIGITS, _CHECK = 20, 8
_HEADER = len(_MAGIC) + _DIGITS + _CHECK

# The generation stands in decimal digits, which Lua reads as a number: its own comparison of strings goes by
# the locale of the server. KEYS: entry, lease.
_LOOK = Script(
    """
local entry = redis.pcall('GET', KEYS[1])
if type(entry) == 'string' and string.sub(entry, 1, 4) == 'FLC1' then
  local generation = tonumber(string.sub(entry, 5, 24))
  if generation and generation >= tonumber(ARGV[1]) then
    local left = redis.call('PTTL', KEYS[1])
    if left >= tonumber(ARGV[2]) then return {entry, left} end
  end
end
local left = redis.call('PTTL', KEYS[2])
if left < 0 or left > tonumber(ARGV[4]) then
  redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
  return {1}
end
return {0}
"""
)
"""ARGV: generation wanted, milliseconds it must still live, token, lease in milliseconds. The entry and its
time left; or 1, the lease is the caller's; or 0, another's. What never expires is no lease of ours."""

_STORE = Script(
    """
if redis.pcall('GET', KEYS[2]) == ARGV[4] then redis.call('DEL', KEYS[2]) end
if ARGV[2] == '' then return 0 end
local entry = redis.pcall('GET', KEYS[1])
if type(entry) == 'string' and string.sub(entry, 1, 4) == 'FLC1' and redis.call('PTTL', KEYS[1]) >= 0 then
  local generation = tonumber(string.sub(entry, 5, 24))
  if generation and generation > tonumber(ARGV[1]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
)
"""ARGV: generation, entry or nothing, time to live in milliseconds, token. Gives the lease back, and stores
the entry unless one of a later generation is there."""


class RedisCache(Generic[T]):
    """Read-through cache of a fleet. `namespace` names all that makes another fleet's entries foreign."""

    def __init__(
        self,
        connections: RedisConnections,
        namespace: bytes,
        generations: Generations,
        codec: Codec[T],
        clock: SystemClock,
        counts: CacheCounts,
    ) -> None:
        self._connections = connections
        self._namespace = namespace
        self._generations = generations
        self._codec = codec
        self._clock = clock
        self._counts = counts
        self._near = MemoryCache(generations, codec, clock, counts)

    async def open(self) -> None:
        """Begin to follow the generation. The connections are opened by whoever made them."""
        await self._near.open()

    async def close(self) -> None:
        """Cancel what is being loaded."""
        await self._near.close()

    async def get_or_load(self, key: bytes, load: Load[T]) -> Found[T]:
        """See `Cache`."""
        return await self._near.get_or_fill(key, lambda renew: self._fill(key, load, renew))

    def still(self, key: bytes, value: T) -> bool:
        """See `Cache`: in this process."""
        return self._near.still(key, value)

    async def _fill(self, key: bytes, load: Load[T], renew: bool) -> Filled[T]:
        """From Redis; else from the source, when this is the caller to load it; else from whoever is."""
        if not self._connections.up:
            return await self._near.filled(load)
        keys, token = self._keys(key), secrets.token_hex(8)
        try:
            found = await self._look(keys, token, renew)
        except RedisUnavailable:
            self._counts.by_name["errors"] += 1
            return await self._near.filled(load)
        if found is not None:
            return found
        try:
            filled = await self._near.filled(load)
        except BaseException:
            # Also when it is cancelled: whoever waits shall not wait for a lease that nobody works under.
            await asyncio.shield(self._store(keys, token, None))
            raise
        await self._store(keys, token, filled)
        return filled

    async def _look(self, keys: Sequence[str], token: str, renew: bool) -> Filled[T] | None:
        """The entry in Redis, waited for while another loads it; None when the caller is to load it."""
        until = self._clock.monotonic_s() + LEASE_S
        # A renewal wants one that is more than a remainder: with time left beyond the grace.
        least_ms = _GRACE_MS if renew else 0
        waited = False
        while (generation := self._generations.current()) is not None:
            args = (generation, least_ms, token, int(LEASE_S * 1000))
            reply = await self._connections.run_script(_LOOK, keys, args)
            if len(reply) == 2:
                found = await self._unpacked(keys, reply[0])
                if found is not None:
                    left_ms = reply[1] - _GRACE_MS
                    outcome = Outcome.HIT if left_ms > 0 else Outcome.STALE
                    return Filled(
                        found[0], Outcome.COALESCED if waited else outcome, found[1], max(0, left_ms / 1000)
                    )
                await self._connections.execute("UNLINK", keys[0])
            elif reply[0] == 1:
                return None
            if self._clock.monotonic_s() > until:
                return None
            waited = True
            await asyncio.sleep(random.uniform(*_WAIT_S))  # noqa: S311
        return None

    async def _unpacked(self, keys: Sequence[str], data: bytes) -> tuple[T, int] | None:
        """(value, generation) of an entry; None for what is none, or of a generation that never was."""
        digits, check, body = data[4:24], data[24:_HEADER], data[_HEADER:]
        if not hmac.compare_digest(check, self._check(keys, digits, body)):
            return None
        generation = int(digits)
        if generation != self._generations.latest:
            # Another instance has polled later than this one. If not, the database is an older one restored.
            await self._generations.refresh()
            if generation != self._generations.latest:
                return None
        try:
            return self._codec.decode(body), generation
        except ValueError:
            return None

    async def _store(self, keys: Sequence[str], token: str, filled: Filled[T] | None) -> None:
        """Store what was loaded, if anything that may be kept, and give the lease back."""
        data, generation, kept_ms = b"", 0, 1
        if filled is not None and filled.generation is not None:
            digits, body = b"%0*d" % (_DIGITS, filled.generation), self._codec.encode(filled.value)
            if len(body) <= VALUE_BYTES:
                data = _MAGIC + digits + self._check(keys, digits, body) + body
                generation, kept_ms = filled.generation, int(filled.fresh_s * 1000) + _GRACE_MS
        try:
            await self._connections.run_script(_STORE, keys, (generation, data, kept_ms, token))
        except RedisUnavailable:
            self._counts.by_name["errors"] += 1  # the lease ends by itself

    def _keys(self, key: bytes) -> tuple[str, str]:
        """(entry, lease) of a key. Hashed once more with the namespace: short, and one slot for both."""
        name = blake2b(key, key=self._namespace, digest_size=16).hexdigest()
        return f"farmlokal:cache:{{{name}}}", f"farmlokal:lease:{{{name}}}"

    def _check(self, keys: Sequence[str], digits: bytes, body: bytes) -> bytes:
        """Over the key too: an entry that was copied to another one is none."""
        return blake2b(
            b"\0".join((keys[0].encode(), digits, body)), key=self._namespace, digest_size=_CHECK
        ).digest()
