"""Runs the application under Granian: one process a worker, all settings read once by the parent."""

import socket
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from granian import Granian
from granian.constants import Interfaces, Loops
from granian.http import HTTP1Settings
from granian.server.common import AbstractServer
from starlette.types import ASGIApp

from farmlokal.errors import Unavailable
from farmlokal.platform.logs import configure_logs, granian_logging
from farmlokal.platform.parent import leave_with_parent
from farmlokal.settings import Settings

DRAIN_S = 20
"""How long a worker may finish what is in flight after SIGTERM (contract)."""

HEADER_BYTES = 65_536
"""What the server itself reads before it gives up; from 16 kB on the application answers 431."""


def serve(settings: Settings, *, workers: int) -> None:
    """Serve until SIGTERM or SIGINT; returns when all workers have drained.

    Raises `Unavailable` when the port is taken: workers share a port, so the server itself would join in.
    """
    _require_free(settings.host, settings.port)
    with TemporaryDirectory(prefix="farmlokal-") if workers > 1 else nullcontext() as numbers:
        load = partial(_load, settings, None if numbers is None else Path(numbers))
        _granian(settings, workers).serve(target_loader=load, wrap_loader=False)


def _granian(settings: Settings, workers: int) -> AbstractServer[Any]:
    return Granian(
        "farmlokal.app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=workers,
        loop=Loops.uvloop,
        websockets=False,
        http1_settings=HTTP1Settings(header_read_timeout=10_000, max_buffer_size=HEADER_BYTES),
        log_dictconfig=granian_logging(),
        workers_kill_timeout=DRAIN_S,
    )


def _require_free(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left is free
        try:
            probe.bind(address)
        except OSError as error:
            raise Unavailable(f"cannot listen on {host} port {port}: {error.strerror}") from None


def _load(settings: Settings, numbers: Path | None) -> ASGIApp:
    """In the worker: a process of its own, with nothing configured yet."""
    from farmlokal.app import create_app

    leave_with_parent(DRAIN_S)
    configure_logs(settings.log_level, settings.log_format, sys.stderr)
    return create_app(settings, numbers=numbers)
