"""What the authorization server knows, in the memory of each process and never older than a second.

A number in the database is raised by every change and polled five times a second, as the catalogue's is
(docs/decisions/0015). While it cannot be read, nobody is vouched for: a token in doubt is refused.
"""

from farmlokal.errors import Unavailable
from farmlokal.oauth.keys import KeyRing
from farmlokal.oauth.models import Snapshot
from farmlokal.oauth.repository import OAuthRepository
from farmlokal.platform.cache import Generations
from farmlokal.platform.clock import SystemClock


class Registry:
    """The snapshot of this process."""

    def __init__(self, repository: OAuthRepository, ring: KeyRing, clock: SystemClock) -> None:
        self._repository = repository
        self._ring = ring
        self._clock = clock
        self._snapshot: Snapshot | None = None
        self._generations = Generations(self._read, clock)

    async def open(self) -> None:
        """Read for the first time, and go on reading."""
        await self._generations.open()

    async def close(self) -> None:
        """Read no more."""
        await self._generations.close()

    async def current(self) -> Snapshot:
        """What is known, at most 0.8 s old. Raises `Unavailable`."""
        if self._generations.current() is None:
            await self._generations.refresh()
        if self._generations.current() is None or self._snapshot is None:
            raise Unavailable("Who may call cannot be told now.")
        return self._snapshot

    async def anew(self) -> Snapshot:
        """What is known after asking now: before a refusal, since the client may be a moment old. Those who
        ask at once share one answer. Raises `Unavailable`."""
        await self._generations.refresh()
        return await self.current()

    async def reach(self, version: int) -> None:
        """See to it that this process knows of a change that it made itself."""
        for _ in range(2):  # a poll that was under way may have begun before the change
            if self._snapshot is not None and self._snapshot.version >= version:
                return
            await self._generations.refresh()

    async def _read(self) -> int:
        version = await self._repository.version()
        if self._snapshot is None or self._snapshot.version != version:
            self._snapshot = await self._repository.snapshot(version, self._clock.now_us())
            self._ring.keep(self._snapshot.keys)
        return version
