"""A real server: `farmlokal serve` as a process, spoken to over a socket, stopped by its own id."""

import http.client
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import msgspec

from tests.faults.processes import START_S, STOP_S, OwnedProcess
from tests.support.servers.place import free_port as free_port

_OURS = ("FARMLOKAL_", "DB_", "REDIS_URL", "PORT")


def environment(database: Path | str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command, with the settings of these tests and none of whoever runs them."""
    url = database if isinstance(database, str) else f"sqlite:///{database}"
    outside = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    settings = {"FARMLOKAL_DATABASE_URL": url, "FARMLOKAL_RATE_LIMIT": "off"}
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

    def __init__(self, port: int, timeout_s: float = 20) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)

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
    """A `farmlokal serve` that is ready; `process` freezes, kills and restarts it, workers included."""

    def __init__(self, process: OwnedProcess, port: int) -> None:
        self.process, self.port = process, port

    def caller(self) -> Caller:
        """A connection to it."""
        return Caller(self.port)

    def terminate(self) -> int:
        """Send SIGTERM and wait; the exit code."""
        return self.process.terminate(STOP_S)

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.process.log


@contextmanager
def serving(
    database: Path | str,
    log: Path,
    more: Mapping[str, str] | None = None,
    ready: str = "/readyz",
    workers: int = 1,
) -> Iterator[Server]:
    """A server over this database, a SQLite file or a URL; whatever it prints goes to `log`.

    `ready` is the path that has to say 200 before a test goes on: `/healthz` for one that starts while its
    database is away.
    """
    with fleet(database, log.parent, 1, more, ready, names=[log.name], workers=workers) as [server]:
        yield server


@contextmanager
def fleet(
    database: Path | str,
    folder: Path,
    instances: int = 2,
    more: Mapping[str, str] | None = None,
    ready: str = "/readyz",
    names: Sequence[str] = (),
    workers: int = 1,
) -> Iterator[list[Server]]:
    """Several servers over one database, started together; their logs are `instance-0.log` and so on."""
    with ExitStack() as stopping:
        servers = []
        for number in range(instances):
            name = names[number] if names else f"instance-{number}.log"
            servers.append(server := _server(environment(database, more), folder / name, ready, workers))
            stopping.callback(_stop, server.process)
            server.process.launch()
        for server in servers:
            server.process.wait_until_ready(START_S)
        yield servers


def _server(settings: Mapping[str, str], log: Path, ready: str, workers: int) -> Server:
    port = free_port()

    def answers() -> bool:
        with Caller(port) as caller:
            return caller.ask(ready).status == 200

    return Server(
        OwnedProcess(
            command("serve", "--port", str(port), "--workers", str(workers)), log, answers, settings
        ),
        port,
    )


def _stop(process: OwnedProcess) -> None:
    if process.alive:
        process.terminate(STOP_S)
    else:
        process.kill()  # a worker may have outlived it
