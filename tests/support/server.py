"""A real server: `farmlokal serve` as a process, spoken to over a socket, stopped by its own id."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import msgspec

START_S = 30
"""Longest a server may take to become ready, on a machine that is busy with other tests."""

STOP_S = 25
"""Longest it may take to drain (20 s) and leave."""

_OURS = ("FARMLOKAL_", "DB_", "REDIS_URL", "PORT")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def environment(database: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command, with the settings of these tests and none of whoever runs them."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    settings = {"FARMLOKAL_DATABASE_URL": f"sqlite:///{database}", "FARMLOKAL_RATE_LIMIT": "off"}
    return outside | settings | dict(more or {})


def command(*arguments: str) -> list[str]:
    """The command line of this very installation."""
    return [sys.executable, "-m", "farmlokal", *arguments]


class Answer(NamedTuple):
    """What came back, decoded by nobody."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


class Caller:
    """One connection that stays open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def ask(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
        """One request and its whole answer."""
        self._connection.request(method, path, headers=dict(headers or {}))
        response = self._connection.getresponse()
        return Answer(response.status, response.headers, response.read())

    def __enter__(self) -> "Caller":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()


class Server:
    """A server process that is ready."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def caller(self) -> Caller:
        """A connection to it."""
        return Caller(self.port)

    def terminate(self) -> int:
        """Send SIGTERM and wait; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)


@contextmanager
def serving(database: Path, log: Path, more: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server over this database; whatever it prints goes to `log`."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("serve", "--port", str(port)),
            env=environment(database, more),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_ready(process, port, log)
            yield Server(process, port, log)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def wait_until_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Return when `/readyz` says 200."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"the server left with {process.returncode}:\n{log.read_text()}")
        try:
            with Caller(port) as caller:
                if caller.ask("/readyz").status == 200:
                    return
        except OSError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"the server is not ready after {START_S} s:\n{log.read_text()}")
