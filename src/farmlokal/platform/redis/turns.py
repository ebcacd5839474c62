"""A time limit that a busy event loop does not use up.

A loop with hundreds of requests to answer comes round late, and reads only then a reply that has long been
there. A limit by the clock is over by that time: calls seem to fail, Redis seems down, and each instance
limits and loads on its own just when sharing matters most. So the limit is counted in turns of the loop.
"""

import asyncio
from types import TracebackType
from typing import Self

TURNS = 10
"""A reply is read within two turns after it came, and a connection made within some six."""


class TurnLimit:
    """Like `asyncio.timeout(limit_s)`, but over only when the loop has also come round `TURNS` times."""

    def __init__(self, limit_s: float) -> None:
        self._pause_s = limit_s / TURNS
        self._left = TURNS
        self._limit = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._pause_s, self._turn)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def _turn(self) -> None:
        self._left -= 1
        if self._left:
            self._timer = self._loop.call_later(self._pause_s, self._turn)
        else:
            self._limit.reschedule(self._loop.time())
