"""What is opened when the server starts, and closed in reverse order when it ends."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol


class Part(Protocol):
    """What lives as long as the application does."""

    async def open(self) -> None:
        """Begin."""

    async def close(self) -> None:
        """End, also where `open` got only half way."""


def lifespan(
    first: Part, checks: Sequence[Callable[[], Awaitable[None]]], rest: Sequence[Part | None]
) -> Callable[[object], AbstractAsyncContextManager[None]]:
    """Open `first`, see that the checks raise nothing, open the rest in their order, leaving out None."""

    @asynccontextmanager
    async def lives(_app: object) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await _enter(stack, first)
            for check in checks:
                await check()
            for part in filter(None, rest):
                await _enter(stack, part)
            yield

    return lives


async def _enter(stack: AsyncExitStack, part: Part) -> None:
    stack.push_async_callback(part.close)
    await part.open()
