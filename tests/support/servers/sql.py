"""What MariaDB and MySQL have in common: one server, many small databases, two users.

The tests' own way in is PyMySQL, which shares no code with the product's driver.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import pymysql

from tests.faults.processes import OwnedProcess
from tests.support.servers.place import free_port, own_folder

USER, PASSWORD = "farmlokal", "farmlokal"
"""Who the product connects as: everything inside its own databases, nothing about the server."""

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


class Database(NamedTuple):
    """One database of a server."""

    name: str
    url: str


class SqlServer:
    """A private server; enter it to start it, leave it to stop it and remove its data.

    `options` are the server's own, as on its command line without the dashes:
    ``{"read-only": "ON", "log-bin": "binlog"}``. `process` freezes, kills and restarts it.
    """

    scheme: str

    def __init__(self, options: Mapping[str, str | int] | None = None) -> None:
        self.options = {**OPTIONS, **self.defaults(), **(options or {})}
        self.port = 0
        self.process: OwnedProcess
        self._numbers = count(1)
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
            own = {
                "datadir": folder / "data",
                "port": self.port,
                "socket": folder / "socket",
                "pid-file": folder / "pid",
                "log-error": folder / "errors.log",
            }
            given = [f"--{name}={value}" for name, value in {**own, **self.options}.items()]
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
        return f"{self.scheme}://{USER}:{PASSWORD}@127.0.0.1:{port or self.port}/{database}"

    def new_database(self) -> Database:
        """An empty database with a name that was not used before."""
        name = f"farmlokal_{next(self._numbers)}"
        self.administer(f"CREATE DATABASE {name}")
        return Database(name, self.url(name))

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
        password="" if user == "root" else PASSWORD,
        database=database,
        autocommit=True,
        charset="utf8mb4",
        connect_timeout=CONNECT_S,
    )


CREATE_USER = (
    f"CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
    f"GRANT ALL ON `farmlokal%`.* TO '{USER}'@'127.0.0.1';\n"
)
