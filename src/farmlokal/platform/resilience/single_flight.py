"""Single flight: what many ask for at the same moment is done once, and all get the outcome.

The work is a task of its own, not the first caller's: a caller who leaves takes nothing away from the rest.
The outcome is handed out and forgotten, an error like a value; keeping values is the cache's business.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

FLIGHTS = 1_000
"""Most keys in flight at once. Past it work is done unshared: the database has a queue with an end of its
own, and refusing here as well would only move the place."""


class SingleFlight(Generic[K, T]):
    """The work that is under way, by key."""

    def __init__(self, most: int = FLIGHTS) -> None:
        self._most = most
        self._flights: dict[K, asyncio.Task[T]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, key: object) -> bool:
        return key in self._flights

    async def run(self, key: K, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """(outcome, whether another caller had begun the work). Raises what the work raises."""
        flight = self._flights.get(key)
        joined = flight is not None
        if flight is None:
            if len(self._flights) >= self._most:
                return await work(), False
            flight = self.begin(key, work)
        return await asyncio.shield(flight), joined

    def begin(self, key: K, work: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """Begin work that nobody waits for yet; whoever comes before its end gets its outcome."""
        flight: asyncio.Task[T] = asyncio.ensure_future(_run(work))
        self._flights[key] = flight
        flight.add_done_callback(lambda done: self._landed(key, done))
        return flight

    async def close(self) -> None:
        """Cancel what is under way; those who wait for it are cancelled with it."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _landed(self, key: K, flight: "asyncio.Task[T]") -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # read here: when every caller has left, nobody else does


async def _run(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
