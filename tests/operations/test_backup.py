"""A backup is worth what was restored from it: each engine is backed up as it serves, wiped and restored."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pytest
import requests

from tests.support import orders
from tests.support.server import Caller, command, environment, serving
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.packages import unpacked
from tests.support.servers.place import ROOT
from tests.support.servers.sql import Database, connect
from tests.support.sql_connection import MysqlConnection

PRODUCTS = 1500
"""More than a dozen pages of the greatest size, and a second of seeding."""

SQLITE_BACKUP = 'import sqlite3; sqlite3.connect("{}").backup(sqlite3.connect("{}"))'
MARIADB_BACKUP = ["--single-transaction", "--hex-blob", "--default-character-set=utf8mb4"]

SETTINGS = {"FARMLOKAL_WEBHOOK_SECRETS": orders.SECRET.decode()}


class Kept(Protocol):
    """A database that can be backed up, lost and restored, as the manual says."""

    url: str

    def back_up(self) -> None: ...

    def wipe(self) -> None: ...

    def restore(self) -> None: ...

    def rows(self, sql: str) -> list[tuple[Any, ...]]: ...


class SqliteKept:
    """A file, copied by SQLite itself."""

    def __init__(self, folder: Path) -> None:
        self._file, self._backup = folder / "farmlokal.db", folder / "backup.db"
        self.url = f"sqlite:///{self._file}"

    def back_up(self) -> None:
        """Beside whoever reads and writes."""
        subprocess.run([sys.executable, "-c", SQLITE_BACKUP.format(self._file, self._backup)], check=True)

    def wipe(self) -> None:
        """The file and what lies beside it."""
        for path in self._file.parent.glob("farmlokal.db*"):
            path.unlink()

    def restore(self) -> None:
        """Back in its place."""
        shutil.copy(self._backup, self._file)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a statement finds."""
        # Of the full-text index its own tables are counted; it lets nobody read it row by row.
        tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL %'"
        sql = sql.replace("SHOW TABLES", tables)
        with closing(sqlite3.connect(self._file)) as connection:
            return connection.execute(sql).fetchall()


class MariaDbKept:
    """A database of a server, written out by its own tools."""

    def __init__(self, server: MariaDb, database: Database, folder: Path) -> None:
        self._server, self._name, self.url = server, database.name, database.url
        self._backup = folder / "backup.sql"

    def back_up(self) -> None:
        """In one snapshot, beside whoever reads and writes."""
        with self._backup.open("wb") as output:
            subprocess.run(
                [*self._tool("mariadb-dump"), *MARIADB_BACKUP, self._name], stdout=output, check=True
            )

    def wipe(self) -> None:
        """The database is gone."""
        self._server.administer(f"DROP DATABASE {self._name}")

    def restore(self) -> None:
        """Into a new one of the same name."""
        self._server.administer(f"CREATE DATABASE {self._name}")
        with self._backup.open("rb") as backup:
            subprocess.run([*self._tool("mariadb"), self._name], stdin=backup, check=True)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a statement finds."""
        with closing(MysqlConnection(connect(self._server.port, self._name))) as connection:
            return list(connection.execute(sql).fetchall())

    def _tool(self, name: str) -> Sequence[str | Path]:
        own = shutil.which(name)
        program: Sequence[str | Path] = (
            [own] if own else unpacked("mariadb-client", ["mariadb-client-core"]).command(f"usr/bin/{name}")
        )
        return [*program, "--no-defaults", "--host=127.0.0.1", f"--port={self._server.port}", "--user=root"]


@pytest.fixture(params=["sqlite", "mariadb"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    """Each engine in turn, with a catalogue, the schema and nothing else."""
    if request.param == "sqlite":
        return SqliteKept(tmp_path)
    server = request.getfixturevalue("mariadb_server")
    return MariaDbKept(server, server.new_database(), tmp_path)


def farmlokal(url: str, *arguments: str) -> dict[str, str]:
    """What a command prints as name=value."""
    done = subprocess.run(
        command(*arguments), env=environment(url, SETTINGS), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pairs = (line.partition("=") for line in done.stdout.splitlines())
    return {name: value.strip("'") for name, _, value in pairs}


def walk(port: int, query: str = "sort=price") -> list[Any]:
    """Every product of a query, page after page, as it is told to callers."""
    found, path = [], f"/api/products?limit=100&{query}"
    with Caller(port) as caller:
        cursor = ""
        while True:
            page = caller.ask(path + cursor).json()
            found += page["data"]
            if page["nextCursor"] is None:
                return found
            cursor = f"&cursor={page['nextCursor']}"


def counted(kept: Kept) -> dict[str, int]:
    """The rows of each table."""
    tables = [name for (name,) in kept.rows("SHOW TABLES")]
    return {table: kept.rows(f"SELECT COUNT(*) FROM {table}")[0][0] for table in tables}


def deliver(port: int, event_id: str) -> str:
    """An event of an order, and what became of it."""
    content = orders.body(event_id, f"order of {event_id}")
    answer = requests.post(
        f"http://127.0.0.1:{port}/webhook/order-update", content, headers=orders.signed(content), timeout=20
    )
    return str(answer.json()["status"])


def test_what_was_backed_up_is_there_again(kept: Kept, tmp_path: Path) -> None:
    """A database that was backed up beside a server, lost and restored has every row again: the same walk
    through all pages, the same clients, and the events that it knew are duplicates."""
    farmlokal(kept.url, "migrate")
    farmlokal(kept.url, "seed", "--products", str(PRODUCTS))
    client = farmlokal(kept.url, "clients", "create", "A shop", "--scope", "orders:read")
    with serving(kept.url, tmp_path / "before.log", SETTINGS) as server:
        assert deliver(server.port, "before the backup") == "processed"
        rows, products, tomatoes = counted(kept), walk(server.port), walk(server.port, "search=mato")
        kept.back_up()
        assert deliver(server.port, "after the backup") == "processed"
    kept.wipe()
    kept.restore()
    assert counted(kept) == rows
    assert rows["products"] == len(products) == PRODUCTS
    with serving(kept.url, tmp_path / "after.log", SETTINGS) as server:
        assert walk(server.port) == products
        assert walk(server.port, "search=mato") == tomatoes != []
        answer = requests.post(
            f"http://127.0.0.1:{server.port}/oauth/token",
            {"grant_type": "client_credentials"},
            auth=(client["client_id"], client["client_secret"]),
            timeout=20,
        )
        assert answer.status_code == 200
        assert deliver(server.port, "before the backup") == "duplicate ignored"
        # What came after the backup is lost, though its sender was told that it was taken.
        assert deliver(server.port, "after the backup") == "processed"


def test_the_manual_says_what_was_tried() -> None:
    """docs/operations.md backs up by the very commands that are tried here."""
    manual = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    assert SQLITE_BACKUP.format("var/farmlokal.db", "var/backup.db") in manual
    assert f"mariadb-dump {' '.join(MARIADB_BACKUP)}" in manual
