"""One connection to MySQL or MariaDB: its session settings, its limits, and whether it may be used again.

A connection whose answer was not read to its end is closed and never reused: what the next caller would read
is the rest of somebody else's answer (asyncmy issue 103). `sound` says so, and it is false from the moment a
command is sent until its whole answer is there, so that a cancellation in between needs no code of its own.
"""

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple, NoReturn

from asyncmy.connection import Connection
from asyncmy.constants.CLIENT import FOUND_ROWS
from asyncmy.cursors import Cursor

from farmlokal.errors import Invalid
from farmlokal.platform.database.mysql_address import Address
from farmlokal.platform.database.mysql_faults import Failed, Kind, kind_of
from farmlokal.platform.database.port import STATEMENT_LIMIT_S, DuplicateKey, Row

CONNECT_S = 1.0
"""Longest a connection may take, with handshake and settings: a frozen server accepts and says nothing."""

CLOSE_S = 1.0
"""Longest a connection may take to say goodbye."""

# The driver logs every warning of the server with the values in it; in strict mode what matters is an error.
logging.getLogger("asyncmy").setLevel(logging.ERROR)

ACCEPTED = "MySQL 8 or 9, or MariaDB 10.6 or later"

_VERSION = re.compile(r"(?:5\.5\.5-)?(\d+)\.(\d+)(?:\.(\d+))?")

_SQL_MODE = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"

_SESSION = (
    # Text is compared by byte everywhere, so in comparisons of two parameters too.
    "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
    # Notes are not for us, and the driver would fetch and log them.
    f"SET autocommit = 1, time_zone = '+00:00', sql_mode = '{_SQL_MODE}', sql_notes = 0",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    # Our ranges are exact, so the index has nothing more to check, and asking it cost 5 % of a page.
    "SET optimizer_switch = 'index_condition_pushdown=off'",
)

_FACTS = "SHOW VARIABLES WHERE Variable_name IN ('version', 'auto_increment_increment', 'wsrep_on')"

# A long IN list would become a temporary table, and a page's index order would be lost with it.
_MARIADB_SESSION = ("SET in_predicate_conversion_threshold = 0",)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a statement may run on the server, wait for a lock, and hold up its caller in all."""

    statement_s: float
    lock_wait_s: int
    deadline_s: float


READ = Limits(STATEMENT_LIMIT_S, 1, 1.5)
"""A read is answered or refused within 1.5 s, a second try after a lost connection included."""

WRITE = Limits(1.5, 1, 1.9)
"""A write that somebody waits for: refused within 2 s whatever happens. InnoDB counts whole seconds."""

BULK = Limits(60, 10, 300)
"""A load that nobody waits for: ten thousand rows in one transaction, on a slow disk."""


class Engine(NamedTuple):
    """Which server it is."""

    name: str
    version: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.name} {'.'.join(map(str, self.version))}"

    @property
    def is_mariadb(self) -> bool:
        """Whether it is MariaDB: the two have drifted apart in their settings."""
        return self.name == "MariaDB"


def accepted_engine(version: str) -> Engine:
    """The engine that says ``SELECT VERSION()`` of itself. Raises `Invalid` for one that is too old."""
    match = _VERSION.match(version)
    name = "MariaDB" if "mariadb" in version.lower() else "MySQL"
    if match is None:
        raise Invalid(f"The database is no server that this release knows; accepted: {ACCEPTED}.")
    engine = Engine(name, (int(match[1]), int(match[2]), int(match[3] or 0)))
    if not engine.version >= ((10, 6, 0) if engine.is_mariadb else (8, 0, 0)):
        raise Invalid(f"The database is {engine}; accepted: {ACCEPTED}.")
    return engine


class Answer(NamedTuple):
    """Rows of a query; rows touched by a write, and of each statement the first id that it gave."""

    rows: Sequence[Row]
    touched: int
    first_ids: Sequence[int]


class Link:
    """A connection that one caller at a time has."""

    def __init__(self, connection: Connection, engine: Engine, id_step: int | None) -> None:
        self._connection = connection
        self.engine = engine
        self.id_step = id_step
        """From one id to the next; None where it changes whenever a node of the cluster comes or goes."""
        self.opened_s = asyncio.get_running_loop().time()
        self.limits: Limits | None = None
        self.sound = True
        self.demoted = False
        self.in_transaction = False

    @classmethod
    async def connect(cls, address: Address) -> "Link":
        """A connection with our settings. Raises `Failed`, or `Invalid` for an engine that is too old."""
        # FOUND_ROWS: an UPDATE counts the rows it selected, as SQLite does, and not only those it changed.
        connection = Connection(  # type: ignore[no-untyped-call]
            **address.arguments(), autocommit=None, client_flag=FOUND_ROWS, connect_timeout=CONNECT_S
        )
        try:
            async with asyncio.timeout(CONNECT_S):
                await connection.connect()
                facts: dict[str, str] = dict(await _rows(connection, _FACTS))
                engine = accepted_engine(facts["version"])
                steady = facts.get("wsrep_on", "OFF") == "OFF"
                link = cls(connection, engine, int(facts["auto_increment_increment"]) if steady else None)
                await link.run(";".join((*_SESSION, *(_MARIADB_SESSION if engine.is_mariadb else ()))))
                return link
        except BaseException as error:  # noqa: BLE001  raised again by _fail
            connection.close()
            # RuntimeError: the driver finds no socket where whoever accepted the connection, a balancer that
            # has nobody behind it, closed it at once.
            if isinstance(error, TimeoutError | RuntimeError):
                raise Failed(Kind.LOST) from None
            _fail(error)

    async def apply(self, limits: Limits) -> None:
        """Let the server stop statements at these limits: a cancelled caller leaves none running on."""
        if self.limits == limits:
            return
        # MySQL stops reads only, and counts milliseconds; its writes are bounded by lock waits and by us.
        # MariaDB also ends a transaction whose client has stopped in the middle, and its locks with it.
        statement = (
            f"max_statement_time = {limits.statement_s}, idle_transaction_timeout = {ceil(limits.deadline_s)}"
            if self.engine.is_mariadb
            else f"max_execution_time = {round(limits.statement_s * 1000)}"
        )
        await self.run(f"SET {statement}, innodb_lock_wait_timeout = {limits.lock_wait_s}")
        self.limits = limits

    def limited(self, sql: str, limit_s: float | None) -> str:
        """A SELECT that the server stops after `limit_s`, whatever the session's limit is."""
        if limit_s is None:
            return sql
        if self.engine.is_mariadb:
            return f"SET STATEMENT max_statement_time = {limit_s} FOR {sql}"
        hint = f"SELECT /*+ MAX_EXECUTION_TIME({round(limit_s * 1000)}) */ "
        return sql.replace("SELECT ", hint, 1)

    async def begin(self) -> None:
        """Begin a transaction."""
        await self.run("START TRANSACTION")
        self.in_transaction = True

    async def commit(self) -> None:
        """Commit. `Failed` with `Kind.AGAIN` says that it was rolled back; any other failure says nothing."""
        await self.run("COMMIT")
        self.in_transaction = False

    async def rollback(self) -> None:
        """Roll back, if there is still somebody to tell; else closing the connection does."""
        if self.sound:
            await self.run("ROLLBACK")
            self.in_transaction = False

    async def run(self, sql: str, parameters: Mapping[str, Any] | Sequence[Any] | None = None) -> Answer:
        """Run a statement, or several with a semicolon between them, of which the last one's answer counts,
        and the ids of each.

        Raises `Failed`, `DuplicateKey`, or for a bug in SQL what the driver says.
        """
        cursor = self._connection.cursor()
        self.sound = False
        try:
            await cursor.execute(sql, parameters)
            rows: Sequence[Row] = await cursor.fetchall()
            ids = [cursor.lastrowid]
            while await cursor.nextset():
                rows = ()
                ids.append(cursor.lastrowid)
            answer = Answer(rows, _count(cursor), ids)
        except Exception as error:  # noqa: BLE001  raised again by _fail
            kind = kind_of(error)
            self.demoted = self.demoted or kind is Kind.DEMOTED
            # The server has answered, if with an error: what it says next is about the next command.
            self.sound = _is_answer(error) and kind not in (Kind.LOST, Kind.DEMOTED)
            _fail(error)
        self.sound = True
        return answer

    def literal(self, values: Sequence[Any]) -> tuple[str, ...]:
        """Values as they stand in SQL, quoted and escaped."""
        return tuple(map(self._connection.literal, values))

    def drop(self) -> None:
        """Close without a word: the server rolls back what was open."""
        self.sound = False
        self._connection.close()

    async def close(self) -> None:
        """Say goodbye and close."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._connection.ensure_closed()
        except (TimeoutError, OSError):
            pass
        finally:
            self.drop()


async def _rows(connection: Connection, sql: str) -> list[Row]:
    cursor = connection.cursor()
    await cursor.execute(sql)
    return list(await cursor.fetchall())


def _count(cursor: Cursor) -> int:
    assert isinstance(cursor.rowcount, int)
    return cursor.rowcount


def _is_answer(error: Exception) -> bool:
    """Whether the server itself said so: its own numbers, and not the driver's (2000 to 2999)."""
    code = error.args[0] if error.args else None
    return isinstance(code, int) and (1000 <= code < 2000 or code >= 3000)


def _fail(error: BaseException) -> NoReturn:
    kind = kind_of(error)
    if kind is Kind.DUPLICATE:
        raise DuplicateKey("a unique key has this value already") from None
    if kind is Kind.BUG:
        raise error
    raise Failed(kind) from None
