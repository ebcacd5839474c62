"""The parent of the workers: it holds the settings and the sockets that all of them accept from.

When one worker ends, all do: what kills one would kill the next, and whoever supervises the server starts it
anew and tells of it.
"""

import multiprocessing
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess, SpawnProcess
from pathlib import Path
from tempfile import TemporaryDirectory

from farmlokal.errors import Unavailable
from farmlokal.platform.logs import configure_logs
from farmlokal.platform.parent import leave_with_parent
from farmlokal.settings import Settings

DRAIN_S = 20
"""How long a worker may finish what is in flight after SIGTERM (contract)."""

LEAVE_S = 3.0
"""How long after that it may take to close what it has open, before it is killed."""

BACKLOG = 1024
"""Most connections that wait to be accepted."""

_Worker = ForkProcess | SpawnProcess


def serve(settings: Settings, *, workers: int) -> None:
    """Serve until SIGTERM or SIGINT; returns when all workers have drained.

    Raises `Unavailable` when the port is taken; exits with 1 when a worker ends by itself.
    """
    # Where threads run, a fork may inherit a lock that nobody will release; here none does yet.
    method = "fork" if sys.platform == "linux" else "spawn"
    context = multiprocessing.get_context(method)
    with (
        _listening(settings.host, settings.port) as listener,
        _listening(settings.host, settings.ops_port) if settings.ops_port else nullcontext() as inner,
        TemporaryDirectory(prefix="farmlokal-") if workers > 1 else nullcontext() as numbers,
    ):
        folder = None if numbers is None else Path(numbers)
        # multiprocessing's types know no union of its contexts.
        started: list[_Worker] = [
            context.Process(  # type: ignore[attr-defined]
                target=_work, args=(settings, listener, inner, folder), name=f"worker-{number + 1}"
            )
            for number in range(workers)
        ]
        for worker in started:
            worker.start()
        for each in filter(None, (listener, inner)):
            each.close()  # or callers would be let in while the workers drain
        if not _watched(started):
            sys.exit(1)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left is free
        try:
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            raise Unavailable(f"cannot listen on {host} port {port}: {error.strerror}") from None
        yield listener


def _watched(workers: Sequence[_Worker]) -> bool:
    """Wait for the end of all; whether somebody asked for it."""
    told = False

    def end(*_: object) -> None:
        nonlocal told
        told = True
        for each in workers:
            each.terminate()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        wait([each.sentinel for each in workers])
        asked = told
        end()
        until = time.monotonic() + DRAIN_S + LEAVE_S
        for each in workers:
            each.join(max(0.0, until - time.monotonic()))
            if each.exitcode is None:
                each.kill()
                each.join()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return asked


def _work(
    settings: Settings, listener: socket.socket, inner: socket.socket | None, numbers: Path | None
) -> None:
    """In the worker: a process of its own, with nothing configured yet."""
    from farmlokal.app import create_app
    from farmlokal.worker import Beside, work

    leave_with_parent(DRAIN_S)
    configure_logs(settings.log_level, settings.log_format, sys.stderr)
    beside = None if inner is None else partial(Beside, inner, DRAIN_S)
    work(create_app(settings, numbers=numbers, beside=beside), listener, DRAIN_S)
