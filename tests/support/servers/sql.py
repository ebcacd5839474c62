"""What MariaDB and MySQL have in common: one server, many small databases, two users.

The tests' own way in is PyMySQL, which shares no code with the product's driver.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import pymysql

from farmlokal.migrations.runner import upgrade
from tests.faults.processes import OwnedProcess
from tests.support.servers.place import free_port, own_folder

USER, PASSWORD = "farmlokal", "p@ss:w/ö%"
"""Who the product connects as: everything inside its own databases, nothing about the server. The password
has what a URL has to escape."""

OPTIONS: Mapping[str, str | int] = {
    "bind-address": "127.0.0.1",
    "character-set-server": "utf8mb4",
    "collation-server": "utf8mb4_bin",
    # Small, so that it starts at once; a bench asks for more.
    "innodb-buffer-pool-size": "64M",
    "skip-name-resolve": "ON",
}

CONNECT_S = 5
"""Longest a connection of the tests waits for an answer to its greeting."""


LOCK_WAIT_S = 5
"""Longest that emptying a database waits for a transaction that a test left open."""


COUNTED = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND auto_increment > 1"
"""Tables whose next id is not the first. MySQL would tell of a day ago, but for what `_unchecked` sets."""


class Database(NamedTuple):
    """One database of a server."""

    name: str
    url: str


class SqlServer:
    """A private server; enter it to start it, leave it to stop it and remove its data.

    `options` are the server's own, as on its command line without the dashes:
    ``{"read-only": "ON", "log-bin": "binlog"}``, with "" for one that takes no value. `process` freezes,
    kills and restarts it.
    """

    scheme: str

    def __init__(self, options: Mapping[str, str | int] | None = None) -> None:
        self.options = {**OPTIONS, **self.defaults(), **(options or {})}
        self.port = 0
        self.process: OwnedProcess
        self._numbers = count(1)
        self._tables: dict[str, str] = {}  # how each is made, once the first database was migrated
        self._filled: list[str] = []  # those in which the migrations left rows
        self._free: list[Database] = []
        self._resources = ExitStack()

    def defaults(self) -> Mapping[str, str | int]:
        """Options of this kind of server, which those of the caller replace."""
        return {}

    def command(self, folder: Path) -> list[str | Path]:
        """Makes the data below `folder`; the command line that serves it, without options."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            folder = resources.enter_context(own_folder())
            self.port = free_port()
            # A server that starts deletes all `#sql…` of its temporary folder, those of its neighbours too.
            (temporary := folder / "tmp").mkdir()
            own = {
                "datadir": folder / "data",
                "tmpdir": temporary,
                "port": self.port,
                "socket": folder / "socket",
                "pid-file": folder / "pid",
                "log-error": folder / "errors.log",
            }
            given = [
                f"--{name}={value}" if value != "" else f"--{name}"
                for name, value in {**own, **self.options}.items()
            ]
            self.process = OwnedProcess([*self.command(folder), *given], folder / "errors.log", self._answers)
            resources.callback(self.process.kill)
            self.process.start()
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Killed, not asked to leave: its data goes with it.
        self._resources.close()

    def url(self, database: str, port: int | None = None) -> str:
        """How the product names a database of this server; `port` that of a proxy before it."""
        return f"{self.scheme}://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port or self.port}/{database}"

    def new_database(self) -> Database:
        """An empty database with a name that was not used before."""
        name = f"farmlokal_{next(self._numbers)}"
        self.administer(f"CREATE DATABASE {name}")
        return Database(name, self.url(name))

    @contextmanager
    def migrated(self) -> Iterator[Database]:
        """A database with the product's schema and no rows; emptied at the end and lent again, which takes
        20 ms where a new one takes 100. For tests that leave the schema as it is."""
        database = self._free.pop() if self._free else self._with_schema(self.new_database())
        yield database
        self._empty(database.name)
        self._free.append(database)

    @contextmanager
    def connection(self, database: str | None = None, user: str = USER) -> Iterator[Any]:
        """A PyMySQL connection that commits each statement."""
        opened = connect(self.port, database, user)
        try:
            yield opened
        finally:
            opened.close()

    def administer(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """One statement as root; its rows. `SET GLOBAL …`, `KILL …`, `SHOW PROCESSLIST`."""
        with self.connection(user="root") as root, root.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())

    def connected(self) -> int:
        """How many connections of the product's user there are now."""
        sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = %s"
        [(connections,)] = self.administer(sql, (USER,))
        return int(connections)

    def disconnect(self) -> int:
        """KILL every connection of the product's user; how many those were."""
        sql = "SELECT id FROM information_schema.processlist WHERE user = %s"
        ids = [identity for (identity,) in self.administer(sql, (USER,))]
        for identity in ids:
            try:
                self.administer(f"KILL {identity}")
            except pymysql.err.OperationalError as error:
                if error.args[0] != _UNKNOWN_THREAD:  # it left by itself meanwhile
                    raise
        return len(ids)

    def _with_schema(self, database: Database) -> Database:
        """The tables as the server itself writes them down, made without running the migrations again."""
        if not self._tables:
            first = self.new_database()
            upgrade(first.url)
            for (table,) in self.administer(f"SHOW TABLES IN {first.name}"):
                [(_, self._tables[table])] = self.administer(f"SHOW CREATE TABLE {first.name}.{table}")
                if self.administer(f"SELECT 1 FROM {first.name}.{table} LIMIT 1"):
                    self._filled.append(table)
            self._migrated = first.name
        with self._unchecked(database.name) as cursor:
            for statement in self._tables.values():
                cursor.execute(statement)
        self._empty(database.name)
        return database

    def _empty(self, name: str) -> None:
        """Ids from 1, and no rows but what the migrations left: the versions of schema and catalogue.

        Only what is not so yet is changed: to empty all of it takes 15 ms of the server, to look 2. The locks
        wait for whoever is not done, a connection that a killed process left among them.
        """
        with self._unchecked(name) as cursor:
            theirs = (f"{self._migrated}.{table} READ" for table in self._filled)
            cursor.execute(
                f"LOCK TABLES {', '.join((*(f'{table} WRITE' for table in self._tables), *theirs))}"
            )
            cursor.execute(f"SELECT {', '.join(f'EXISTS(SELECT 1 FROM {table})' for table in self._tables)}")
            for table, rows in zip(self._tables, cursor.fetchone(), strict=True):
                if rows:
                    cursor.execute(f"DELETE FROM {table}")
            cursor.execute(COUNTED, (name,))
            for (table,) in cursor.fetchall():
                cursor.execute(f"ALTER TABLE {table} AUTO_INCREMENT = 1")
            for table in self._filled:
                cursor.execute(f"INSERT INTO {table} SELECT * FROM {self._migrated}.{table}")
            cursor.execute("UNLOCK TABLES")

    @contextmanager
    def _unchecked(self, name: str) -> Iterator[Any]:
        """A cursor that need not heed which table refers to which, nor wait for long."""
        with self.connection(name, "root") as connection, connection.cursor() as cursor:
            cursor.execute(
                "SET foreign_key_checks = 0,"
                f" lock_wait_timeout = {LOCK_WAIT_S}, innodb_lock_wait_timeout = {LOCK_WAIT_S}"
                " /*!80000 , information_schema_stats_expiry = 0 */"  # which MariaDB does not read
            )
            yield cursor

    def _answers(self) -> bool:
        try:
            self.administer("SELECT 1")
        except pymysql.err.OperationalError:
            return False
        return True


_UNKNOWN_THREAD = 1094


def connect(port: int, database: str | None, user: str = USER) -> Any:
    """A PyMySQL connection that commits each statement; the caller closes it."""
    return pymysql.connect(
        host="127.0.0.1",
        port=port,
        user=user,
        password=b"" if user == "root" else PASSWORD.encode(),  # a text it would encode as latin-1
        database=database,
        autocommit=True,
        charset="utf8mb4",
        connect_timeout=CONNECT_S,
        # Otherwise it reads every root certificate of the machine first: 25 ms for a connection of 1 ms.
        ssl_disabled=True,
    )


CREATE_USER = (
    "SET NAMES utf8mb4;\n"
    f"CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
    f"GRANT ALL ON `farmlokal%`.* TO '{USER}'@'127.0.0.1';\n"
)
