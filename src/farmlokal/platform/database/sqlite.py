"""SQLite, used as a server would be: one writer, several readers, a time limit on every statement.

Why `sqlite3` in threads of our own and not an async wrapper: a reader is one thread with one connection,
so a statement costs one hop to that thread, and the wrapper would be that hop and no more
(docs/decisions/0004). Statements are text compiled once by the caller; rows come back as plain tuples.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from farmlokal.errors import Unavailable
from farmlokal.platform.database.port import (
    READ_QUEUE_LIMIT,
    STATEMENT_LIMIT_S,
    DuplicateKey,
    Parameters,
    Row,
    StatementTimeout,
    T,
    Work,
    Writer,
    not_nested,
)
from farmlokal.platform.database.sqlite_transaction import SqliteTransaction, WithinOne

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

BUSY_TIMEOUT_S = 5.0
"""How long a writer waits for another process's write: the least that survives 300 writers at once."""

_PROGRESS_OPCODES = 20_000
"""Virtual machine steps between two looks at the clock: about a millisecond, so the look costs nothing."""

_DUPLICATE = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)

_SETTINGS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = FULL",  # a commit that was answered survives a power cut
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -4096",  # 4 MiB a connection; the file itself stays in the kernel's cache
)


class SqliteDatabase:
    """A database file and its connections. Nothing is opened before `open()`."""

    def __init__(self, path: Path, *, readers: int = 2) -> None:
        self.path = path
        self.readers = readers
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._read_threads: ThreadPoolExecutor | None = None
        self._write_thread: ThreadPoolExecutor | None = None
        self._write_lock = asyncio.Lock()
        self._reads = 0

    @cached_property
    def dialect(self) -> "Dialect":
        """How statements are compiled: parameters by name. Imported when asked for; a check needs none."""
        from farmlokal.platform.database.compilers import sqlite_dialect

        return sqlite_dialect("named")

    @cached_property
    def positional_dialect(self) -> "Dialect":
        """How bulk statements are compiled, whose rows are tuples."""
        from farmlokal.platform.database.compilers import sqlite_dialect

        return sqlite_dialect("qmark")

    async def open(self) -> None:
        """Start the threads and open the writer's connection. Raises `Unavailable` when there is no file."""
        if not self.path.is_file():
            raise Unavailable(f"no database at {self.path.name}: run `farmlokal migrate`")
        self._write_thread = ThreadPoolExecutor(1, "sqlite-write")
        try:
            await asyncio.get_running_loop().run_in_executor(self._write_thread, self._connect_writer)
        except sqlite3.DatabaseError as error:
            await self.close()
            raise Unavailable(f"{self.path.name} cannot be opened as a SQLite database") from error
        self._read_threads = ThreadPoolExecutor(self.readers, "sqlite-read", self._connect_reader)

    async def close(self) -> None:
        """Wait for what runs, then close every connection."""
        for threads in (self._read_threads, self._write_thread):
            if threads is not None:
                await asyncio.to_thread(threads.shutdown)
        while self._connections:
            self._connections.pop().close()

    async def schema_version(self) -> str | None:
        """The version of the schema that the migrations have noted down; None where none ever ran."""
        named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
        if not await self.fetch_all(named):
            return None
        rows = await self.fetch_all("SELECT version_num FROM alembic_version")
        return rows[0][0] if rows else None

    async def describe(self) -> str:
        """The engine's version and the name of the file."""
        return f"SQLite {sqlite3.sqlite_version}, {self.path.name}"

    async def fetch_all(
        self,
        sql: str,
        parameters: Parameters | None = None,
        *,
        stale_ok: bool = False,  # noqa: ARG002  the port's
        limit_s: float | None = None,
    ) -> list[Row]:
        """Run one read on a reader and return its rows.

        Raises `Unavailable` past the time or queue limit, `StatementTimeout` when it runs for over `limit_s`.
        `stale_ok` changes nothing: there is one file.
        """
        if self._reads >= READ_QUEUE_LIMIT:
            raise Unavailable("the database has more work than it can do")
        assert self._read_threads is not None, "open() first"
        self._reads += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._read_threads,
                self._read,
                sql,
                parameters or {},
                time.monotonic() + STATEMENT_LIMIT_S,
                limit_s,
            )
        finally:
            self._reads -= 1

    @property
    def stale_source(self) -> int:
        """See `Database`: there is one file."""
        return 0

    async def write(self, work: Work[T], *, bulk: bool = False) -> T:  # noqa: ARG002  the port's
        """Run `work` in one transaction, once: with one writer nobody is rolled back on another's account.

        `bulk` changes nothing: the file is waited for as long in any case.
        """
        with not_nested():
            async with self.transaction() as tx:
                return await work(tx)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqliteTransaction]:
        """What `write` runs in: committed at the end of the block, rolled back when it raises.

        BEGIN IMMEDIATE takes the write lock at the start: a deferred transaction that turns into a write
        fails at once, whatever the busy timeout says.
        """
        async with self._write_lock:
            try:
                await self._write(lambda connection: connection.execute("BEGIN IMMEDIATE"))
                yield SqliteTransaction(self._write)
                await self._write(lambda connection: connection.commit())
            except BaseException:
                # Also for a BEGIN that is still waiting when its caller is cancelled, and for a COMMIT that
                # is refused: the thread comes to this after either. Without a transaction it does nothing.
                await asyncio.shield(self._write(lambda connection: connection.rollback()))
                raise

    @asynccontextmanager
    async def bulk_load(self, table: str) -> AsyncIterator[Writer]:
        """All in one transaction that fills an empty table: its plain indexes are built once, at the end.

        A row costs a third that way, and the table appears whole or not at all. Whoever reads meanwhile sees
        what was there before; whoever writes waits.
        """
        plain = (
            "SELECT name, sql FROM sqlite_master"
            " WHERE type = 'index' AND tbl_name = ? AND sql NOT LIKE 'CREATE UNIQUE%'"
        )
        async with self.transaction() as tx:
            indexes = await tx.fetch_all(plain, (table,))
            for name, _ in indexes:
                await tx.execute(f"DROP INDEX {name}")
            yield WithinOne(tx)
            for _, sql in indexes:
                await tx.execute(sql)

    async def optimize(self) -> None:
        """Refresh the planner's statistics after a bulk load, from a thousand entries of each index."""
        await self._write(
            lambda connection: connection.executescript("PRAGMA analysis_limit = 1000; ANALYZE")
        )

    async def check_durability(self) -> list[str]:
        """Nothing: every connection is opened with ``synchronous = FULL``."""
        return []

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        assert self._write_thread is not None, "open() first"

        def run() -> T:
            with _refusals():
                return work(self._connection())

        return await asyncio.get_running_loop().run_in_executor(self._write_thread, run)

    def _read(self, sql: str, parameters: Parameters, until: float, limit_s: float | None) -> list[Row]:
        now = time.monotonic()
        if now > until:  # it waited for a thread all that time
            raise Unavailable("the database has more work than it can do")
        until = until if limit_s is None else min(until, now + limit_s)
        connection = self._connection()
        connection.set_progress_handler(lambda: time.monotonic() > until, _PROGRESS_OPCODES)
        with _refusals():
            return connection.execute(sql, parameters).fetchall()

    def _connection(self) -> sqlite3.Connection:
        return self._local.connection  # type: ignore[no-any-return]  # set by the thread's initializer

    def _connect_reader(self) -> None:
        self._connect("PRAGMA query_only = ON")

    def _connect_writer(self) -> None:
        # A batch of an import touches pages of every index: with 64 MiB they are written once a commit.
        self._connect("PRAGMA journal_mode = WAL", "PRAGMA cache_size = -65536")

    def _connect(self, *more: str) -> None:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        self._connections.append(connection)  # before anything can fail, so that it is closed
        for statement in (*_SETTINGS, *more):
            connection.execute(statement)
        self._local.connection = connection


class _refusals:  # noqa: N801  reads as a clause: `with _refusals():`
    """Turn what SQLite says when it cannot work now into `Unavailable`; a bug in SQL stays a bug."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.IntegrityError) and error.sqlite_errorcode in _DUPLICATE:
            raise DuplicateKey("a unique key has this value already") from None
        if not isinstance(error, sqlite3.OperationalError):
            return
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_INTERRUPT:
            raise StatementTimeout("the query took longer than the database may spend on one") from None
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise Unavailable("the database cannot answer now") from None
