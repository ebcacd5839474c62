"""Which generation the data is at: a number that grows with every write, asked of its source again and again.

Polled and not announced: a message that is lost must not leave anything wrong for longer than a poll, so
there would be polling besides. A poll is one read of one row, five times a second and process.
"""

import asyncio
from collections.abc import Awaitable, Callable

from farmlokal.errors import Unavailable
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.resilience.single_flight import SingleFlight

POLL_EVERY_S = 0.2
POLL_LIMIT_S = 0.9
"""Longest a poll may take: the database's own limit for a statement."""

VISIBLE_S = 0.8
"""How long after a poll its number may be trusted. The promise is that a write is seen within a second; the
rest is for the answer to be made and sent."""

UNPOLLED_S = 5.0
"""How long answers may be served, as stale, while the source does not answer: long enough for a database
that fails over, and after it the callers get what the database says."""

_REMEMBERED = 8
"""Generations whose last sighting is known: with a poll each 0.2 s, more than can lie within `VISIBLE_S`."""


class Generations:
    """The generation as of the last poll. `read` asks the source and raises `Unavailable`; `place` says where
    it and the values are read: two servers may be at different generations."""

    def __init__(
        self, read: Callable[[], Awaitable[int]], clock: SystemClock, place: Callable[[], int] = lambda: 0
    ) -> None:
        self._read = read
        self._clock = clock
        self.place = place
        self._polled_at_place = place()
        self._seen: dict[int, float] = {}
        self._latest: int | None = None
        self._polls: SingleFlight[None, None] = SingleFlight()
        self._watch: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Ask for the first time, then keep asking."""
        await self.refresh()
        self._watch = asyncio.create_task(self._keep_polling(), name="generation-poll")

    async def close(self) -> None:
        """Stop asking."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._polls.close()

    @property
    def latest(self) -> int | None:
        """The number of the last poll, however old; None before the first."""
        return self._latest

    def current(self) -> int | None:
        """The number that a value loaded from now on belongs to, if it is loaded at the same place as it was
        begun; None when the last poll is too old or was made at another place."""
        if self._latest is None or self.age_s(self._latest) > VISIBLE_S:
            return None
        if self.place() != self._polled_at_place:
            return None
        return self._latest

    def age_s(self, generation: int) -> float:
        """Seconds since this generation was last known to be the current one; infinite for an unknown one.

        From the start of a poll, not its end: a write between the two may not be in its number.
        """
        seen = self._seen.get(generation)
        return float("inf") if seen is None else self._clock.monotonic_s() - seen

    async def refresh(self) -> None:
        """Ask now. When the source does not answer, all stays as it was."""
        await self._polls.run(None, self._poll)

    async def _poll(self) -> None:
        started, place = self._clock.monotonic_s(), self.place()
        try:
            async with asyncio.timeout(POLL_LIMIT_S):
                generation = await self._read()
        except (Unavailable, TimeoutError):
            return
        if place != self.place():
            return
        # Taken as it is, even a smaller one: a database that was restored is what it is.
        self._seen.pop(generation, None)
        self._seen[generation] = started
        self._latest, self._polled_at_place = generation, place
        while len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]

    async def _keep_polling(self) -> None:
        while True:
            await asyncio.sleep(POLL_EVERY_S)
            await self.refresh()
