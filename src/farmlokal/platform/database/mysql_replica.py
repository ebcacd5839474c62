"""A second server that answers what may be a little old, for as long as it answers well.

Whoever it fails is answered by the primary, and so is everybody after that, until it has answered a question
of our own: an overloaded replica, too, is better left alone than asked by everyone in turn.
"""

import asyncio

import structlog

from farmlokal.errors import Unavailable
from farmlokal.platform.database.mysql_faults import Failed, Kind
from farmlokal.platform.database.mysql_pool import Pool
from farmlokal.platform.database.port import Parameters, Row

REST_S = 5.0
"""How long a replica that failed is left alone before it is asked again."""

DEADLINE_S = 0.9
"""Longest a read waits for it, so that the primary can still answer in time."""


class Replica:
    """Reads on a server that may fail at any moment. `turns` counts how often reads have moved to or from
    it: what was read at two moments with the same number was read at one server."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._log = structlog.get_logger("farmlokal.database")
        self._well = True
        self._watch: asyncio.Task[None] | None = None
        self.turns = 0

    def __str__(self) -> str:
        return str(self._pool.address)

    async def read(self, sql: str, parameters: Parameters | None, limit_s: float | None) -> list[Row] | None:
        """Rows; None when the primary is to answer. Raises `Failed` for a statement past a limit of its own,
        which has another plan for that case."""
        turn = self.turns
        if not self._well:
            return None
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self._pool.read(sql, parameters, limit_s)
        except Failed as failed:
            if failed.kind is Kind.SLOW and limit_s is not None:
                raise
            reason = failed.sentence
        except Unavailable as refusal:
            reason = refusal.detail
        except TimeoutError:
            reason = "the database does not answer in time"
        if turn == self.turns:  # the first to notice; others may have waited longer, and it be back
            self._move(well=False)
            self._log.warning("the replica fails, reading from the primary", reason=reason)
            self._watch = asyncio.create_task(self._come_back(), name="replica-watch")
        return None

    async def close(self, within_s: float) -> None:
        """Stop watching it, wait this long for what is read, then close every connection."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._pool.close(within_s)

    async def _come_back(self) -> None:
        while not self._well:
            await asyncio.sleep(REST_S)
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await self._pool.read("SELECT 1", None, None)
            except (Failed, Unavailable, TimeoutError):
                continue
            self._move(well=True)
            self._log.info("the replica is back")

    def _move(self, *, well: bool) -> None:
        self._well = well
        self.turns += 1
