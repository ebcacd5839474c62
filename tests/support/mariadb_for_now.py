"""A private MariaDB: one server a test process, one database a test, everything in a temporary folder.

The user `app` may do what the application needs and nothing that sees past ``read_only``; `root` prepares and
breaks things.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import asyncmy
import pytest

from farmlokal.migrations.runner import upgrade
from tests.support.server import free_port

START_S = 30
"""Longest a server may take to answer, on a machine that is busy with other tests; two seconds are usual."""

_OPTIONS = (
    "--bind-address=127.0.0.1",
    "--skip-networking=0",
    "--skip-name-resolve",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=64M",
)

_PASSWORD = "p@ss:w/ö%"
_PASSWORD_IN_URL = "p%40ss%3Aw%2F%C3%B6%25"


@dataclass
class MariaDb:
    """A running server."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes]"
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _template: list[str] = field(default_factory=list)

    async def ask(self, sql: str, database: str | None = None) -> Sequence[tuple[Any, ...]]:
        """Run a statement as root, on a connection of its own."""
        connection = await asyncmy.connect(
            unix_socket=str(self.folder / "s"), user="root", database=database, autocommit=True
        )
        try:
            cursor = connection.cursor()
            await cursor.execute(sql)
            return await cursor.fetchall()
        finally:
            connection.close()

    async def kill_connections(self) -> None:
        """End every connection of `app`, as an operator or a failing network would."""
        for (identity,) in await self.ask("SELECT id FROM information_schema.processlist WHERE user = 'app'"):
            try:
                await self.ask(f"KILL {identity}")
            except asyncmy.errors.OperationalError as error:
                if error.args[0] != 1094:  # gone by itself
                    raise

    def say(self, sql: str, database: str | None = None) -> Sequence[tuple[Any, ...]]:
        """`ask`, where no event loop runs."""
        return asyncio.run(self.ask(sql, database))

    def new_database(self, *, migrated: bool = True) -> str:
        """The URL of a database of the caller's own."""
        name = f"t{next(self._numbers)}"
        self.say(f"CREATE DATABASE {name}")
        if migrated:
            asyncio.run(self._fill(name))
        return self.url(name)

    def url(self, name: str) -> str:
        """Where a database is, as `app` reaches it."""
        return f"mysql://app:{_PASSWORD_IN_URL}@127.0.0.1:{self.port}/{name}"

    def freeze(self) -> None:
        """Stop the server where it stands: it accepts connections and says nothing."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    async def _fill(self, name: str) -> None:
        """The tables that the migrations make, as the server writes them down: a tenth of the time."""
        if not self._template:
            await self.ask("CREATE DATABASE template")
            await asyncio.to_thread(upgrade, self.url("template"))
            tables = await self.ask("SHOW TABLES", "template")
            for (table,) in tables:
                [(_, made)] = await self.ask(f"SHOW CREATE TABLE {table}", "template")
                self._template.append(made)
            for table in ("alembic_version", "catalogue_version"):
                self._template.append(f"INSERT INTO {table} SELECT * FROM template.{table}")
        statements = ";".join(["SET foreign_key_checks = 0", *self._template])
        connection = await asyncmy.connect(
            unix_socket=str(self.folder / "s"), user="root", database=name, autocommit=True
        )
        cursor = connection.cursor()
        await cursor.execute(statements)
        while await cursor.nextset():
            pass
        connection.close()


@contextmanager
def running(*options: str) -> Iterator[MariaDb]:
    """A server with these options beside the usual ones; stopped and forgotten at the end."""
    install, server = shutil.which("mariadb-install-db"), shutil.which("mariadbd")
    if install is None or server is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no MariaDB on this machine")
        pytest.skip("no MariaDB on this machine")
    folder = Path(tempfile.mkdtemp(prefix="fl-mariadb-"))
    data = f"--datadir={folder / 'data'}"
    # It runs as whoever owns its files; as root it wants to be told so.
    user = ["--user=root"] if os.geteuid() == 0 else []
    made = [
        install,
        "--no-defaults",
        data,
        "--skip-test-db",
        "--auth-root-authentication-method=normal",
        *user,
    ]
    subprocess.run(made, check=True, capture_output=True)
    port = free_port()
    command = [server, "--no-defaults", data, f"--socket={folder / 's'}", f"--port={port}", *user, *_OPTIONS]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, *options], stdout=log, stderr=subprocess.STDOUT)
    server_now = MariaDb(folder, port, process)
    try:
        _wait_until_ready(server_now)
        yield server_now
    finally:
        server_now.thaw()
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(server: MariaDb) -> None:
    """Return when it answers and knows `app`."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            server.say(f"CREATE USER app IDENTIFIED BY '{_PASSWORD}'")
        except asyncmy.errors.OperationalError:
            if server.process.poll() is not None:
                break
            time.sleep(0.02)
        else:
            server.say("GRANT ALL ON `t%`.* TO app")
            return
    raise AssertionError((server.folder / "log").read_text())
