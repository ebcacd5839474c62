"""What is old enough is forgotten: events, and letters that nobody asks for any more.

An event that is sent again after that is no duplicate: it finds an order with a greater event, or its own,
and changes nothing but what no later event has spoken of. Senders give up within four days.

One instance of all does it, the one that moves the chore's time on. Should two do it at once they delete
what the other passes over: which one deletes a row is all the same.
"""

import asyncio
from random import uniform

import structlog
from sqlalchemy import TableClause, bindparam, delete, insert, select, update

from farmlokal.errors import Unavailable
from farmlokal.orders.schema import chores, dead_letters, order_events
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.compilers import Statement, compiled
from farmlokal.platform.database.json_rows import in_integers, integers
from farmlokal.platform.database.port import Database, Transaction

BATCH = 500
"""Most rows of one transaction: some 10 ms, for which events wait on SQLite."""

PAUSE_S = 0.05
"""Between two batches, for those who wait."""

EVERY_S = 3600.0
"""How often it is done: an hour beyond 30 days is nothing, and an hour's worth is little."""

LOOK_S = 300.0
"""How often an instance looks whether it is due, give or take a fifth: so instances that start together
part."""

_DAY_US = 86_400_000_000


class Retention:
    """Forgets what is older than `days`."""

    def __init__(self, database: Database, clock: SystemClock, days: int, look_s: float = LOOK_S) -> None:
        self._database = database
        self._clock = clock
        self._days = days
        self._look_s = look_s
        self._log = structlog.get_logger("farmlokal.orders")
        dialect = database.dialect
        due = (chores.c.name == bindparam("chore"), chores.c.due_at_us <= bindparam("now"))
        taken = update(chores).values(due_at_us=bindparam("next")).where(*due)
        self._take = str(taken.compile(dialect=dialect))
        first = insert(chores).values(name=bindparam("chore"), due_at_us=bindparam("next"))
        self._begin = str(first.compile(dialect=dialect))
        known = select(chores.c.due_at_us).where(chores.c.name == bindparam("chore"))
        self._known = str(known.compile(dialect=dialect))
        self._purges = [
            self._purge_of(order_events, "received_at_us"),
            self._purge_of(dead_letters, "last_at_us"),
        ]

    async def open(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End; a batch that is under way is undone."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def when_due(self) -> int | None:
        """Purge, if it is due and nobody else has begun: how many rows went. Raises `Unavailable`."""
        now_us = self._clock.now_us()
        given = {"chore": "purge", "now": now_us, "next": now_us + int(EVERY_S * 1_000_000)}

        async def work(tx: Transaction) -> bool:
            if not await tx.fetch_all(self._known, {"chore": given["chore"]}):
                await tx.execute(self._begin, {"chore": given["chore"], "next": given["next"]})
                return True
            return await tx.execute(self._take, given) == 1

        return await self.purge() if await self._database.write(work) else None

    async def purge(self) -> int:
        """Forget what is old enough, batch after batch: how many rows went. Raises `Unavailable`."""
        before_us = self._clock.now_us() - self._days * _DAY_US
        gone = 0
        for find, forget in self._purges:
            while batch := await self._batch(find, forget, before_us):
                gone += batch
                await asyncio.sleep(PAUSE_S)
        return gone

    async def _batch(self, find: Statement, forget: str, before_us: int) -> int:
        async def work(tx: Transaction) -> int:
            rows = await tx.fetch_all(find.sql, {**find.constants, "before": before_us, "most": BATCH})
            if rows:
                ids = integers(self._database.dialect, [identity for (identity,) in rows])
                await tx.execute(forget, {"ids": ids})
            return len(rows)

        return await self._database.write(work)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._look_s * uniform(0.8, 1.2))  # noqa: S311  no secret
            try:
                gone = await self.when_due()
            except Unavailable as refusal:
                self._log.warning("purge put off", because=refusal.detail)
                continue
            if gone:
                self._log.info("purged", rows=gone, older_than_days=self._days)

    def _purge_of(self, table: TableClause, received: str) -> tuple[Statement, str]:
        """How the oldest rows are found and locked, and deleted."""
        dialect = self._database.dialect
        found = select(table.c.id).where(table.c[received] < bindparam("before"))
        found = found.order_by(table.c[received]).limit(bindparam("most")).with_for_update(skip_locked=True)
        gone = delete(table).where(in_integers(dialect, table.c.id, "ids"))
        return compiled(found, dialect), str(gone.compile(dialect=dialect))
