"""Syncs that nobody asked for: whose time has come, or which were cut off somewhere in the fleet."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from random import Random
from typing import Any

import structlog

from farmlokal.errors import Conflict, Unavailable
from farmlokal.suppliers.sync import SupplierSync, Turn

LOOK_S = (20.0, 40.0)
"""How often each process looks: two small queries a supplier. At random within, so that a fleet that was
started together does not look together."""


class Schedule:
    """Runs in the background of a process. Runs that were asked for here are run here, too."""

    def __init__(self, sync: SupplierSync, random: Random, look_s: tuple[float, float] = LOOK_S) -> None:
        self._look_s = look_s
        self._sync = sync
        self._random = random
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("farmlokal.suppliers")

    async def open(self) -> None:
        """Begin to look."""
        if self._sync.names:
            self._start(self._look())

    async def close(self) -> None:
        """Cut off what is under way; whoever looks next goes on with it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def run(self, turn: Turn) -> None:
        """Do a run in the background. There is at most one for each supplier: whoever calls has its turn."""
        self._start(self._run(turn))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._random.uniform(*self._look_s))
            for name in self._sync.names:
                with suppress(Unavailable):  # the database is away: the next look is soon enough
                    turn = await self._sync.begin_due(name)
                    if turn is not None:
                        await self._run(turn)

    async def _run(self, turn: Turn) -> None:
        try:
            await self._sync.run(turn)
        except (Conflict, Unavailable) as error:
            self._log.warning("supplier sync cut off", job=turn[0].id, reason=error.detail)
        except Exception:  # noqa: BLE001  a bug in one run must not end the looking for others
            self._log.exception("bug", job=turn[0].id)
