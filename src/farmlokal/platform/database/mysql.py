"""MySQL and MariaDB behind the port: reads that answer in time or not at all, transactions run again.

On asyncmy itself: SQLAlchemy's async execution costs 860 µs a query and the driver 180, so statements are
compiled to text once by the caller. Whatever the server does, a read is answered or refused within
`READ.deadline_s` and a write within `WRITE.deadline_s`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from random import uniform
from typing import TYPE_CHECKING

from farmlokal.errors import Unavailable
from farmlokal.platform.database import mysql_link
from farmlokal.platform.database.mysql_address import Address
from farmlokal.platform.database.mysql_faults import LEADS_ELSEWHERE, UNKNOWN_OUTCOME, Failed, Kind
from farmlokal.platform.database.mysql_link import BULK, READ, WRITE, Limits, Link
from farmlokal.platform.database.mysql_pool import Pool
from farmlokal.platform.database.mysql_replica import Replica
from farmlokal.platform.database.mysql_transaction import MysqlTransaction
from farmlokal.platform.database.port import (
    READ_QUEUE_LIMIT,
    DuplicateKey,
    Parameters,
    Row,
    T,
    Transaction,
    Work,
    Writer,
    not_nested,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

ATTEMPTS = 3
"""Most times a transaction is run. InnoDB picks a victim so that the other side gets on: the second run
nearly always does."""

BACKOFF_S = 0.05
"""Longest pause before the second run, doubled before the third; drawn anew each time, so that two that met
do not meet again."""


CLOSE_S = 2.0
"""How long closing waits for what runs: longer than any statement that somebody waits for."""

_DURABILITY = {
    "innodb_flush_log_at_trx_commit": "unless it is 1 a power cut loses the last second of commits",
    "sync_binlog": "unless it is 1 a power cut takes commits out of the binary log",
}


class MysqlDatabase:
    """A server's database and its connections, `pool` of them; `replica` answers what may be a little old."""

    def __init__(self, address: Address, pool: int, replica: Address | None = None) -> None:
        self._primary = Pool(address, pool)
        self._replica = None if replica is None else Replica(Pool(replica, pool))
        self._reads = 0

    # SQLAlchemy is imported when a statement is compiled: a check of the connection needs none.
    @cached_property
    def dialect(self) -> "Dialect":
        """How statements are compiled: parameters by name."""
        from farmlokal.platform.database.compilers import mysql_dialect

        return mysql_dialect("pyformat")

    @cached_property
    def positional_dialect(self) -> "Dialect":
        """How bulk statements are compiled, whose rows are tuples."""
        from farmlokal.platform.database.compilers import mysql_dialect

        return mysql_dialect("format")

    async def open(self) -> None:
        """Connect once. Raises `Unavailable`, or `Invalid` for an engine that is too old."""
        await self.fetch_all("SELECT 1")

    async def close(self) -> None:
        """Wait for what runs, but not for ever, then close every connection."""
        if self._replica is not None:
            await self._replica.close(CLOSE_S)
        await self._primary.close(CLOSE_S)

    async def describe(self) -> str:
        """Engine, version, host and name of the database."""
        [(version,)] = await self.fetch_all("SELECT VERSION()")
        replica = "" if self._replica is None else f", listings from {self._replica}"
        return f"{mysql_link.accepted_engine(version)} at {self._primary.address}{replica}"

    async def schema_version(self) -> str | None:
        """The version of the schema that the migrations have noted down; None where none ever ran."""
        if not await self.fetch_all("SHOW TABLES LIKE 'alembic_version'"):
            return None
        rows = await self.fetch_all("SELECT version_num FROM alembic_version")
        return rows[0][0] if rows else None

    async def fetch_all(
        self,
        sql: str,
        parameters: Parameters | None = None,
        *,
        stale_ok: bool = False,
        limit_s: float | None = None,
    ) -> list[Row]:
        """Run one read, on the replica if it `stale_ok` and there is one. Raises `Unavailable`."""
        if self._reads >= READ_QUEUE_LIMIT:
            raise Unavailable("the database has more work than it can do")
        self._reads += 1
        try:
            async with asyncio.timeout(READ.deadline_s):
                if stale_ok and self._replica is not None:
                    rows = await self._replica.read(sql, parameters, limit_s)
                    if rows is not None:
                        return rows
                return await self._primary.read(sql, parameters, limit_s)
        except TimeoutError:
            raise Unavailable("the database does not answer in time") from None
        except Failed as failed:
            raise failed.refusal() from None
        finally:
            self._reads -= 1

    @property
    def stale_source(self) -> int:
        """See `Database`."""
        return 0 if self._replica is None else self._replica.turns

    async def write(self, work: Work[T], *, bulk: bool = False) -> T:
        """Run `work` in a transaction, and twice more at most when the server rolls it back."""
        return await self._write(work, BULK if bulk else WRITE)

    @asynccontextmanager
    async def bulk_load(self, table: str) -> AsyncIterator[Writer]:  # noqa: ARG002  the port's
        """Each transaction commits by itself: one for a million rows would fill the undo log.

        The indexes stay. Built at the end they would save time, and a load that is killed would leave a
        catalogue without them.
        """
        yield self

    async def optimize(self) -> None:
        """Refresh the planner's statistics after a bulk load."""

        async def analyze(tx: Transaction) -> None:
            tables = await tx.fetch_all(
                "SELECT table_name FROM information_schema.tables"
                " WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
            )
            await tx.execute(f"ANALYZE TABLE {', '.join(f'`{name}`' for (name,) in tables)}")

        await self._write(analyze, BULK)

    async def check_durability(self) -> list[str]:
        """The settings of the server by which a commit that was answered could be lost."""
        names = ", ".join(f"'{name}'" for name in (*_DURABILITY, "log_bin"))
        shown = await self.fetch_all(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})")
        found: dict[str, str] = dict(shown)
        if found.pop("log_bin", "OFF") == "OFF":
            found.pop("sync_binlog", None)
        return [f"{name} is {value}: {_DURABILITY[name]}" for name, value in found.items() if value != "1"]

    async def _write(self, work: Work[T], limits: Limits) -> T:
        met: list[Failed] = []
        with not_nested():
            try:
                async with asyncio.timeout(limits.deadline_s) as deadline:
                    return await self._attempts(work, limits, met)
            except TimeoutError:
                if not deadline.expired():
                    raise  # it is the work's own
                if met:  # it answered, and the time went into waiting for rows
                    raise met[-1].refusal() from None
                raise Unavailable("the database does not answer in time") from None
            except Failed as failed:
                raise failed.refusal() from None

    async def _attempts(self, work: Work[T], limits: Limits, met: list[Failed]) -> T:
        """Run until it is done; `met` gets what made it run again."""
        for attempt in range(ATTEMPTS - 1):
            try:
                return await self._attempt(work, limits)
            except Failed as failed:
                if failed.kind is not Kind.AGAIN:
                    raise
                met.append(failed)
            except DuplicateKey:
                # Somebody else wrote the row after the work had looked for it; the next run finds it there.
                pass
            await asyncio.sleep(uniform(0, BACKOFF_S * 2**attempt))  # noqa: S311  no secret
        return await self._attempt(work, limits)

    async def _attempt(self, work: Work[T], limits: Limits) -> T:
        """One run. Until the transaction has begun nothing can be lost, so a connection that is dead, or
        leads to a node without its cluster, is replaced."""
        begun = False
        try:
            async with self._primary.lease(limits) as link:
                await link.begin()
                begun = True
                return await _run(work, link)
        except Failed as failed:
            if begun or failed.kind not in LEADS_ELSEWHERE:
                raise
        async with self._primary.lease(limits, fresh=True) as link:
            await link.begin()
            return await _run(work, link)


async def _run(work: Work[T], link: Link) -> T:
    """The work and its commit. A cancellation needs no rollback: the connection goes, and what it did."""
    try:
        result = await work(MysqlTransaction(link))
    except Exception:
        await link.rollback()
        raise
    try:
        await link.commit()
    except Failed as failed:
        if failed.kind is Kind.AGAIN:
            await link.rollback()  # a cluster refuses at the commit; what the server has rolled back stays so
            raise
        raise Failed(failed.kind, UNKNOWN_OUTCOME) from None
    return result
