"""What the features ask of a database, whichever engine it is: the port that every adapter implements.

One suite (tests/contracts/test_database.py) runs against each adapter. SQL is text in the dialect's own
parameter style, rows are plain tuples. A transaction is a function and not a block, because an engine may
ask for the whole of it again: a deadlock rolls back what was done, and only the caller knows how to redo it.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from farmlokal.errors import Unavailable

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

Row = tuple[Any, ...]
Parameters = Mapping[str, Any]
T = TypeVar("T")

STATEMENT_LIMIT_S = 0.9
"""Longest a read may run: no answer takes over a second, whatever was asked."""

READ_QUEUE_LIMIT = 200
"""Reads waiting or running at once; past it the answer is 503, since a longer queue only answers later."""


class StatementTimeout(Unavailable):
    """A statement ran for as long as it may."""


class Contended(Unavailable):
    """Others hold rows that the transaction needs, for longer than anybody waits. The database is well: work
    that needs other rows goes on."""


class DuplicateKey(Exception):
    """A row that a unique key forbids. The transaction goes on: the row was not written, all else was."""


class Transaction(Protocol):
    """The statements of one write transaction."""

    async def fetch_all(self, sql: str, parameters: Parameters | Sequence[Any] | None = None) -> list[Row]:
        """Read inside the transaction: what it wrote itself is visible."""

    async def execute(self, sql: str, parameters: Parameters | Sequence[Any] | None = None) -> int:
        """Write; returns the number of rows that the condition selected, whether or not they changed.

        Raises `DuplicateKey` for a row that a unique key forbids.
        """

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for many rows of positional parameters. Raises `DuplicateKey`."""

    async def insert_many(self, sql: str, rows: Sequence[Sequence[Any]], *, wait: bool = True) -> list[int]:
        """Run ``INSERT … VALUES (…)`` for many rows, many in one statement; returns the ids of the rows, in
        their order, where the table numbers them. Raises `DuplicateKey`.

        Without `wait` a row that somebody's lock keeps out fails the transaction at once, where the engine
        can tell, and it is run again like any that met others.
        """


Work = Callable[[Transaction], Awaitable[T]]
"""What is to be done in one transaction. It may be called again after a rollback, so it keeps no state that
the rollback would make wrong, or drops that state when it is called again."""


class Writer(Protocol):
    """Where transactions are run: the database itself, or a bulk load of it."""

    async def write(self, work: Work[T], *, bulk: bool = False) -> T:
        """Run `work` in one transaction: committed when it returns, rolled back when it raises.

        `bulk` is for loads that no caller waits for: statements may take minutes. Never nested. Raises
        `Unavailable` when the database cannot do it now, and when the fate of a commit is not known.
        """


class Database(Writer, Protocol):
    """A database and its connections. Nothing is opened before `open()`."""

    @property
    def dialect(self) -> "Dialect":
        """How statements are compiled: parameters by name."""

    @property
    def positional_dialect(self) -> "Dialect":
        """How bulk statements are compiled, whose rows are tuples."""

    async def open(self) -> None:
        """Connect. Raises `Unavailable`, or `Invalid` for an engine that is too old."""

    async def close(self) -> None:
        """Wait for what runs, then close every connection."""

    async def describe(self) -> str:
        """The engine, its version and where it is, without any password."""

    async def schema_version(self) -> str | None:
        """The version of the schema that the migrations have noted down; None where none ever ran."""

    async def fetch_all(
        self,
        sql: str,
        parameters: Parameters | None = None,
        *,
        stale_ok: bool = False,
        limit_s: float | None = None,
    ) -> list[Row]:
        """Run one read and return its rows. Raises `Unavailable` past the time or queue limit.

        With `stale_ok` a replica may answer, which may not have the newest writes yet. `limit_s` is how long
        the statement itself may run, where that is less than the limit of all; `StatementTimeout` past it.
        """

    @property
    def stale_source(self) -> int:
        """Which server answers what may be `stale_ok`: the number is another one after each change, so what
        was read while it stayed the same was read at one server."""

    def bulk_load(self, table: str) -> AbstractAsyncContextManager[Writer]:
        """Fill an empty table by the transactions run on the writer that this gives, as fast as it goes."""

    async def optimize(self) -> None:
        """Refresh the planner's statistics after a bulk load."""

    async def check_durability(self) -> list[str]:
        """Every reason why a commit that was answered could be lost in a power cut; none: it cannot."""


_writing: ContextVar[bool] = ContextVar("writing", default=False)


@contextmanager
def not_nested() -> Iterator[None]:
    """Refuse a transaction inside another: it would wait for the first for ever, or be retried twice over."""
    if _writing.get():
        raise RuntimeError("a transaction inside a transaction")
    token = _writing.set(True)
    try:
        yield
    finally:
        _writing.reset(token)
