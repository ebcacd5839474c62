"""Caches over a source that a test writes to, holds back and takes away."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import blake2b

from farmlokal.errors import Unavailable
from farmlokal.platform.cache import Cache, CacheCounts, Generations, Loaded, MemoryCache, RedisCache
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.redis import RedisConnections
from tests.support.servers.valkey import PATIENT_S, Valkey

NAMESPACE = b"the tests"


class TextCodec:
    """Text as UTF-8."""

    def encode(self, value: str) -> bytes:
        """To bytes."""
        return value.encode()

    def decode(self, data: bytes) -> str:
        """From bytes."""
        return data.decode()

    def size(self, value: str) -> int:
        """Bytes."""
        return 2 * len(value)

    def pack(self, value: str) -> None:
        """Text stays as it is."""


@dataclass
class Source:
    """Where the values come from: a table with a generation that every write raises, as the database has."""

    value: str = "one"
    generation: int = 1
    away: bool = False
    place: int = 0
    loads: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def read_generation(self) -> int:
        """One poll."""
        if self.away:
            raise Unavailable("away")
        return self.generation

    async def load(self) -> Loaded[str]:
        """One query: it sees what is there when it begins, and ends when the gate is open."""
        self.loads += 1
        seen = self.value
        await self.gate.wait()
        if self.away:
            raise Unavailable("away")
        return Loaded(seen, empty=not seen)

    def write(self, value: str) -> None:
        """One transaction."""
        self.value = value
        self.generation += 1


@dataclass
class Instance:
    """One process: its cache, its counts, its view of the generation."""

    cache: Cache[str]
    counts: CacheCounts
    generations: Generations


Start = Callable[[], Awaitable[Instance]]
"""Opens one more instance."""


def key(name: str = "k") -> bytes:
    """A key."""
    return blake2b(name.encode(), digest_size=16).digest()


@asynccontextmanager
async def instances(kind: str, server: Valkey, source: Source, clock: SystemClock) -> AsyncIterator[Start]:
    """Opens instances over one source, and closes them."""
    closing: list[Callable[[], Awaitable[None]]] = []

    async def start() -> Instance:
        generations = Generations(source.read_generation, clock, lambda: source.place)
        counts = CacheCounts()
        cache: Cache[str] = MemoryCache(generations, TextCodec(), clock, counts)
        if kind == "redis":
            connections = RedisConnections(server.url, SystemClock(), PATIENT_S)
            await connections.open()
            closing.append(connections.close)
            cache = RedisCache(connections, NAMESPACE, generations, TextCodec(), clock, counts)
        await cache.open()
        closing.append(cache.close)
        return Instance(cache, counts, generations)

    try:
        yield start
    finally:
        for close in reversed(closing):
            await close()


async def loading(source: Source, loads: int) -> None:
    """Wait until so many loads have begun."""
    deadline = time.monotonic() + 20
    while source.loads < loads:
        assert time.monotonic() < deadline, f"no {loads} loads"
        await asyncio.sleep(0.001)
