"""Token sources as an instance has them, with a provider that answers as a test tells it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from farmlokal.oauth.upstream import (
    MemoryTokenStore,
    NoGrant,
    RedisTokenStore,
    TokenCounts,
    TokenSource,
    TokenStore,
)
from farmlokal.oauth.upstream.token import Grant
from tests.support.clock import ManualClock
from tests.support.dated import Dated
from tests.support.servers.valkey import Valkey

KEY = b"0123456789abcdefghijklmnopqrstuvwxyz"


class ScriptedProvider:
    """A provider whose every token is a new one, unless a test says otherwise; it counts its calls."""

    def __init__(self, life_s: float = 3600.0) -> None:
        self.life_s = life_s
        self.failure: str | None = None
        self.calls = 0
        self.always: str | None = None
        """The one token that it gives, where it gives no new ones."""
        self.meanwhile: Callable[[], None] = lambda: None
        """What happens while it thinks."""
        self.answering = asyncio.Event()
        """It answers while this is set."""
        self.answering.set()

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    async def fetch(self, within_s: float) -> Grant:
        """One call."""
        assert within_s > 0
        self.calls += 1
        number = self.calls
        await self.answering.wait()
        self.meanwhile()
        if self.failure is not None:
            raise NoGrant(self.failure)
        return Grant(self.always or f"token-{number}", None, self.life_s)


@asynccontextmanager
async def sources(
    adapter: str,
    provider: ScriptedProvider,
    clocks: Sequence[ManualClock],
    server: Valkey,
    redis: ManualClock,
) -> AsyncIterator[list[TokenSource]]:
    """A source for each clock: over one store in memory, or each over a Valkey that has a clock of its
    own."""
    async with AsyncExitStack() as stack:
        server.ask("FLUSHALL")
        memory, made = MemoryTokenStore(redis), []
        for clock in clocks:
            counts, store = TokenCounts(), memory
            shared: TokenStore = store
            if adapter == "redis":
                connections = Dated(server.url, redis)
                stack.push_async_callback(connections.close)
                await connections.open()
                shared = RedisTokenStore(connections, KEY, "provider", clock, counts)
            made.append(TokenSource(provider, shared, clock, counts))
            stack.push_async_callback(made[-1].close)
        yield made


async def eventually(true: Callable[[], bool], within_s: float = 30) -> None:
    """Return when it is true, which something else in this loop brings about."""
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110  what is waited for has no event
            await asyncio.sleep(0.001)
