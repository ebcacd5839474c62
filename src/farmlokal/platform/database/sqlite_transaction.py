"""The statements of a SQLite transaction, each run in the thread that has the writing connection."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from farmlokal.platform.database.port import Parameters, Row, T, Work

_VARIABLES = 30_000
"""Parameters in one statement; SQLite's own limit is 32,766 since 3.32."""


class SqliteTransaction:
    """The statements of one write transaction."""

    def __init__(self, write: Callable[[Callable[[sqlite3.Connection], Any]], Any]) -> None:
        self._write = write

    async def fetch_all(self, sql: str, parameters: Parameters | Sequence[Any] | None = None) -> list[Row]:
        """Read inside the transaction: what it wrote itself is visible."""
        rows: list[Row] = await self._write(
            lambda connection: connection.execute(sql, parameters or ()).fetchall()
        )
        return rows

    async def execute(self, sql: str, parameters: Parameters | Sequence[Any] | None = None) -> int:
        """Write; returns the number of rows touched."""
        touched: int = await self._write(
            lambda connection: connection.execute(sql, parameters or ()).rowcount
        )
        return touched

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for many rows."""
        await self._write(lambda connection: connection.executemany(sql, rows))

    async def insert_many(
        self,
        sql: str,
        rows: Sequence[Sequence[Any]],
        *,
        wait: bool = True,  # noqa: ARG002  nobody else writes meanwhile
    ) -> list[int]:
        """Run ``INSERT … VALUES (?, …)`` for many rows, a thousand or so in one statement; returns the ids
        of the rows, in their order, where the table numbers them.

        SQLite works on one statement without the interpreter, so that another thread can read the next rows
        of a file meanwhile; with a statement a row the two would wait for each other at every row. The ids
        are not asked for, for the same reason: within a statement each is one more than the last.
        """
        head, _, one = sql.rpartition(" VALUES ")
        size = max(1, _VARIABLES // len(rows[0])) if rows else 1

        def write(connection: sqlite3.Connection) -> list[int]:
            ids: list[int] = []
            for start in range(0, len(rows), size):
                some = rows[start : start + size]
                inserted = connection.execute(
                    f"{head} VALUES {', '.join([one] * len(some))}", [*chain.from_iterable(some)]
                )
                end = (inserted.lastrowid or 0) + 1
                ids.extend(range(end - len(some), end))
            return ids

        ids: list[int] = await self._write(write)
        return ids


class WithinOne:
    """The writer of a bulk load: its transactions are parts of one."""

    def __init__(self, tx: SqliteTransaction) -> None:
        self._tx = tx

    async def write(self, work: Work[T], *, bulk: bool = False) -> T:  # noqa: ARG002  the port's
        """Run `work`; what raises ends the whole load."""
        return await work(self._tx)
