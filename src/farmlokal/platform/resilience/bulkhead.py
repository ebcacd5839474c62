"""A bulkhead: so many calls to one callee at once, a few more may wait for a while, the rest are refused at
once.

A callee that has become slow then holds these places and nothing else of ours. Not a semaphore: those who
wait must be counted and bounded, too, or the queue is the next thing to fill up.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from farmlokal.platform.resilience.failures import NotCalled

PLACES, QUEUE = 20, 20
"""Our own choice."""

LONGEST_WAIT_S = 0.04
"""Whoever is refused is told within 50 ms (requirement), 10 of them for the rest of the way. The queue
bridges the moment between one call's end and the next one's coming, and is no place to hope in: a longer one
serves no more callers, only later ones. docs/decisions/0027."""


class Bulkhead:
    """Places for calls, given in the order of asking."""

    def __init__(
        self, places: int = PLACES, queue: int = QUEUE, longest_wait_s: float = LONGEST_WAIT_S
    ) -> None:
        self._places = places
        self._queue = queue
        self._longest_wait_s = longest_wait_s
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def taken(self) -> int:
        """Calls under way."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Callers that wait for a place."""
        return len(self._waiting)

    @asynccontextmanager
    async def place(self, within_s: float) -> AsyncIterator[None]:
        """One place, waited for at most so long and at most `longest_wait_s`; raises `NotCalled`."""
        if self._taken < self._places:
            self._taken += 1
        elif len(self._waiting) < self._queue:
            await self._wait(min(within_s, self._longest_wait_s))
        else:
            raise NotCalled("too many calls at once")
        try:
            yield
        finally:
            self._leave()

    async def _wait(self, wait_s: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(wait_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._leave()  # the place came at the moment of leaving: on to the next
            elif turn in self._waiting:
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise NotCalled("too many calls at once") from None
            raise

    def _leave(self) -> None:
        """Hand the place to whoever has waited longest. It stays taken meanwhile, so nobody gets in
        between."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken -= 1
