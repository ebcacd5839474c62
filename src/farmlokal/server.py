"""Runs the application under Granian: one process a worker, all settings read once by the parent."""

import asyncio
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
from granian.server.embed import Server
from starlette.types import ASGIApp

from farmlokal.errors import Unavailable
from farmlokal.platform.logs import configure_logs, granian_logging
from farmlokal.platform.parent import leave_with_parent
from farmlokal.settings import Settings

DRAIN_S = 20
"""How long a worker may finish what is in flight after SIGTERM (contract)."""

HEADER_BYTES = 65_536
"""What the server itself reads before it gives up; from 16 kB on the application answers 431."""

_HTTP1 = HTTP1Settings(header_read_timeout=10_000, max_buffer_size=HEADER_BYTES)


def serve(settings: Settings, *, workers: int) -> None:
    """Serve until SIGTERM or SIGINT; returns when all workers have drained.

    Raises `Unavailable` when the port is taken: workers share a port, so the server itself would join in.
    """
    for port in filter(None, (settings.port, settings.ops_port)):
        _require_free(settings.host, port)
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
        http1_settings=_HTTP1,
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
    port = settings.ops_port
    beside = None if port is None else partial(OpsPort, settings.host, port)
    return create_app(settings, numbers=numbers, beside=beside)


class OpsPort:
    """A second application of a worker, on a port that all workers share: a server inside the server, in the
    same event loop."""

    def __init__(self, host: str, port: int, app: ASGIApp) -> None:
        self._server = Server(
            app,
            address=host,
            port=port,
            interface=Interfaces.ASGINL,  # it lives as long as the other one, whose lifespan opens it
            websockets=False,
            http1_settings=_HTTP1,
            log_dictconfig=granian_logging(),
        )
        self._serving: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Listen."""
        self._serving = asyncio.create_task(self._server.serve(), name="ops-port")

    async def close(self) -> None:
        """End, once what is in flight is answered."""
        if self._serving is not None:
            self._server.stop()  # type: ignore[no-untyped-call]
            await self._serving
