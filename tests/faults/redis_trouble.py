"""What can ail a Redis, done to a real server: how it begins, how it ends, and what our state calls it."""

import socket
from collections.abc import Callable
from typing import Any, NamedTuple

import redis

from tests.support.servers.valkey import ANSWER_S, NO_RETRY, Valkey

NEEDED = {"enable-debug-command": "yes"}
"""Options of a server to which all of this can happen."""

HIDDEN = "hidden-word"
"""The password that the product is not told, and that must not turn up anywhere."""


class Trouble(NamedTuple):
    """One fault: its beginning and its end, and the reason that `/metrics` gives for it."""

    begin: Callable[[Valkey], None]
    end: Callable[[Valkey], None]
    reason: str


def _set(server: Valkey, *settings: str | int) -> None:
    server.ask("CONFIG", "SET", *settings)


def _change_password(server: Valkey) -> None:
    _set(server, "requirepass", HIDDEN)
    _knowing(server, "CLIENT", "KILL", "TYPE", "normal")


def _knowing(server: Valkey, *command: str) -> Any:
    """One command of somebody who knows the password."""
    with redis.Redis(
        port=server.port, password=HIDDEN, socket_timeout=ANSWER_S, retry=NO_RETRY
    ) as connection:
        return connection.execute_command(*command)


def _load_slowly(server: Valkey) -> None:
    """Reload its data, a fiftieth of a second a key: meanwhile every command is answered LOADING."""
    _set(server, "loading-process-events-interval-bytes", 1024)
    server.ask("EVAL", "for n = 1, 300 do redis.call('SET', 'filler' .. n, string.rep('x', 2000)) end", 0)
    _set(server, "rdbcompression", "no", "key-load-delay", 20_000)
    with socket.create_connection(("127.0.0.1", server.port), timeout=ANSWER_S) as connection:
        connection.sendall(b"DEBUG RELOAD\r\n")


TROUBLE = {
    "frozen": Trouble(
        lambda server: server.process.freeze(), lambda server: server.process.thaw(), "timeout"
    ),
    "killed": Trouble(
        lambda server: server.process.kill(), lambda server: server.process.start(), "connection"
    ),
    "full": Trouble(
        lambda server: _set(server, "maxmemory", 1),
        lambda server: _set(server, "maxmemory", 0),
        "out of memory",
    ),
    "read-only": Trouble(
        lambda server: server.ask("REPLICAOF", "127.0.0.1", 1),
        lambda server: server.ask("REPLICAOF", "NO", "ONE"),
        "read-only",
    ),
    "another password": Trouble(
        _change_password,
        lambda server: _knowing(server, "CONFIG", "SET", "requirepass", ""),
        "authentication",
    ),
    "loading": Trouble(_load_slowly, lambda server: _set(server, "key-load-delay", 0), "loading"),
}
"""By name."""
