"""The cache of one process: the entries used last, in bounded memory, and what is being loaded just now.

A hit touches nothing outside the process, neither Redis nor the database. An entry that has just been
overtaken by a write is still served while its successor is loaded, for as long as the promise of a second
allows (`VISIBLE_S`), so that a write does not make everybody wait at once.
"""

import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from farmlokal.platform.cache.generations import UNPOLLED_S, VISIBLE_S, Generations
from farmlokal.platform.cache.port import CacheCounts, Codec, Found, Load, Loaded, Outcome
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.resilience.single_flight import SingleFlight

T = TypeVar("T")

ENTRIES = 20_000
BYTES, PACKED_BYTES = 8 * 1024 * 1024, 8 * 1024 * 1024
"""Most memory of the entries that are as they came, and of those that were pushed out of it and packed: some
three thousand pages. With what Python adds, a million keys stay under 50 MB."""

_ENTRY_OVERHEAD = 700
"""Bytes of an entry besides its value: key, node of the list, objects (measured: 560)."""

FRESH_S, EMPTY_FRESH_S = 30.0, 8.0
"""Age at which an entry is loaded anew although nothing was written through us: for whoever writes past us,
with SQL of his own. An empty result is looked at sooner, since it is the one that surprises."""

GRACE_S = 10.0
"""How much longer an entry is kept: served once more, stale, while it is loaded anew. An empty result is
gone after 19 s at the latest."""

JITTER = 0.1
"""Freshness varies by this share both ways, so that what was loaded together is not loaded anew together."""

RENEWALS = 32
"""Most entries loaded anew in the background at once."""


@dataclass(slots=True)
class _Entry(Generic[T]):
    value: T
    generation: int
    fresh_until_s: float
    kept_until_s: float
    size: int


class Filled(NamedTuple, Generic[T]):
    """What a lookup that missed has brought: kept for a time when its generation is known."""

    value: T
    outcome: Outcome
    generation: int | None
    fresh_s: float


Fill = Callable[[bool], Awaitable[Filled[T]]]
"""Gets a value from further away; the flag says that the one at hand is too old to be got again."""


class MemoryCache(Generic[T]):
    """Read-through cache in this process."""

    def __init__(
        self, generations: Generations, codec: Codec[T], clock: SystemClock, counts: CacheCounts
    ) -> None:
        self.generations = generations
        self._codec = codec
        self._clock = clock
        self._counts = counts.by_name
        self._entries: OrderedDict[bytes, _Entry[T]] = OrderedDict()
        self._packed: OrderedDict[bytes, _Entry[T]] = OrderedDict()
        self._bytes = self._packed_bytes = 0
        self._flights: SingleFlight[tuple[int | None, bytes], Filled[T]] = SingleFlight()
        self._renewals: SingleFlight[bytes, Filled[T]] = SingleFlight()

    async def open(self) -> None:
        """Begin to follow the generation."""
        await self.generations.open()

    async def close(self) -> None:
        """Cancel what is being loaded."""
        await self.generations.close()
        await self._renewals.close()
        await self._flights.close()

    async def get_or_load(self, key: bytes, load: Load[T]) -> Found[T]:
        """See `Cache`."""
        return await self.get_or_fill(key, lambda _renew: self.filled(load))

    def still(self, key: bytes, value: T) -> bool:
        """See `Cache`."""
        entry = self._entry(key)
        if entry is None or entry.value is not value or self._outcome(entry) is not Outcome.HIT:
            return False
        self._counts[Outcome.HIT] += 1
        return True

    async def filled(self, load: Load[T]) -> Filled[T]:
        """Load from the source, under the generation known before."""
        generation, place = self.generations.current(), self.generations.place()
        value, empty = Loaded(*await load())
        if place != self.generations.place():
            generation = None  # of the server that it was read at nobody knows the generation
        fresh_s = (EMPTY_FRESH_S if empty else FRESH_S) * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
        return Filled(value, Outcome.MISS, generation, fresh_s)

    async def get_or_fill(self, key: bytes, fill: Fill[T]) -> Found[T]:
        """The entry here, or what `fill` brings."""
        entry = self._entry(key)
        if entry is not None:
            outcome = self._outcome(entry)
            if outcome is not None:
                self._counts[outcome] += 1
                if outcome is Outcome.STALE:
                    self._renew(key, fill)
                return Found(entry.value, outcome)
        # By generation: nobody who knows of a write joins a flight that began before it.
        flight = (self.generations.current(), key)
        filled, joined = await self._flights.run(flight, lambda: self._fill(key, fill, renew=False))
        outcome = Outcome.COALESCED if joined else filled.outcome
        self._counts[outcome] += 1
        return Found(filled.value, outcome)

    def _entry(self, key: bytes) -> _Entry[T] | None:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
            return entry
        entry = self._packed.get(key)
        if entry is not None:
            self._packed.move_to_end(key)
        return entry

    def _outcome(self, entry: _Entry[T]) -> Outcome | None:
        """Whether an entry may be served, and as what."""
        now = self._clock.monotonic_s()
        if now >= entry.kept_until_s:
            return None
        age_s = self.generations.age_s(entry.generation)
        if age_s <= VISIBLE_S:
            latest = entry.generation == self.generations.latest
            return Outcome.HIT if latest and now < entry.fresh_until_s else Outcome.STALE
        if age_s <= UNPOLLED_S and self.generations.current() is None:
            return Outcome.STALE  # the source does not answer, so nobody knows better
        return None

    def _renew(self, key: bytes, fill: Fill[T]) -> None:
        """Load an entry anew in the background, unless that is under way or the source does not answer."""
        if (
            key not in self._renewals
            and len(self._renewals) < RENEWALS
            and self.generations.current() is not None
        ):
            self._renewals.begin(key, lambda: self._fill(key, fill, renew=True))

    async def _fill(self, key: bytes, fill: Fill[T], *, renew: bool) -> Filled[T]:
        filled = await fill(renew)
        if filled.generation is not None:
            self._keep(key, filled, filled.generation)
        return filled

    def _keep(self, key: bytes, filled: Filled[T], generation: int) -> None:
        now, size = self._clock.monotonic_s(), self._codec.size(filled.value) + _ENTRY_OVERHEAD
        if generation != self.generations.latest or size > PACKED_BYTES // 16:
            return  # overtaken while it was loaded, or so large that it would push out too much
        self._drop(key)
        fresh_until_s = now + filled.fresh_s
        self._entries[key] = _Entry(filled.value, generation, fresh_until_s, fresh_until_s + GRACE_S, size)
        self._bytes += size
        while self._bytes > BYTES:
            self._pack()
        while self._packed_bytes > PACKED_BYTES or len(self._entries) + len(self._packed) > ENTRIES:
            self._drop(next(iter(self._packed or self._entries)))

    def _pack(self) -> None:
        """Pack the entry that was not asked for for the longest time."""
        key, entry = self._entries.popitem(last=False)
        self._bytes -= entry.size
        self._codec.pack(entry.value)
        entry.size = self._codec.size(entry.value) + _ENTRY_OVERHEAD
        self._packed[key] = entry
        self._packed_bytes += entry.size

    def _drop(self, key: bytes) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._bytes -= entry.size
        elif (entry := self._packed.pop(key, None)) is not None:
            self._packed_bytes -= entry.size
