"""Any database, counted: how many reads and transactions, how long they took, how many failed and how.

Where requests are traced, both are told there, too: a read with its statement, which holds no values.
"""

from contextlib import AbstractAsyncContextManager
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from farmlokal.errors import Unavailable
from farmlokal.platform.database.port import Database, Parameters, Row, StatementTimeout, Work, Writer
from farmlokal.platform.metrics import Timings
from farmlokal.platform.traces import span

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

T = TypeVar("T")


class CountedDatabase:
    """Passes everything on. A walk that was given up in time (`StatementTimeout`) is no failure, but told."""

    def __init__(self, database: Database, timings: Timings) -> None:
        self._database = database
        self._timings = timings
        self._system = ""

    @property
    def dialect(self) -> "Dialect":
        """See `Database`."""
        return self._database.dialect

    @property
    def positional_dialect(self) -> "Dialect":
        """See `Database`."""
        return self._database.positional_dialect

    @property
    def stale_source(self) -> int:
        """See `Database`."""
        return self._database.stale_source

    async def open(self) -> None:
        """See `Database`."""
        await self._database.open()
        self._system = self._database.dialect.name

    async def close(self) -> None:
        """See `Database`."""
        await self._database.close()

    async def describe(self) -> str:
        """See `Database`."""
        return await self._database.describe()

    async def schema_version(self) -> str | None:
        """See `Database`."""
        return await self._database.schema_version()

    async def fetch_all(
        self,
        sql: str,
        parameters: Parameters | None = None,
        *,
        stale_ok: bool = False,
        limit_s: float | None = None,
    ) -> list[Row]:
        """See `Database`."""
        began, outcome = perf_counter(), "failed"
        self._timings.in_flight += 1
        try:
            with span("database read", {"db.system.name": self._system, "db.query.text": sql}):
                rows = await self._database.fetch_all(sql, parameters, stale_ok=stale_ok, limit_s=limit_s)
            outcome = "done"
            return rows
        except StatementTimeout:
            outcome = "out of time"
            raise
        finally:
            self._timings.in_flight -= 1
            self._timings.add("read", outcome, perf_counter() - began)

    async def write(self, work: Work[T], *, bulk: bool = False) -> T:
        """See `Writer`. What the work itself raises is counted as refused."""
        began, outcome = perf_counter(), "refused"
        self._timings.in_flight += 1
        try:
            with span("database write", {"db.system.name": self._system}):
                done = await self._database.write(work, bulk=bulk)
            outcome = "done"
            return done
        except Unavailable:
            outcome = "failed"
            raise
        finally:
            self._timings.in_flight -= 1
            self._timings.add("write", outcome, perf_counter() - began)

    def bulk_load(self, table: str) -> AbstractAsyncContextManager[Writer]:
        """See `Database`."""
        return self._database.bulk_load(table)

    async def optimize(self) -> None:
        """See `Database`."""
        await self._database.optimize()

    async def check_durability(self) -> list[str]:
        """See `Database`."""
        return await self._database.check_durability()
