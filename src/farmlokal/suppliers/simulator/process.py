"""The simulator as a process: run until it is told to end, and started beside a server whose end it
shares."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from farmlokal.errors import Unavailable
from farmlokal.suppliers.simulator.goods import of_folder
from farmlokal.suppliers.simulator.server import Simulator

START_S = 10.0
"""Longest that whoever starts one waits for it."""

_LOOK_S = 0.2


async def run(
    host: str, port: int, beside: int | None, pages: Path | None = None, *, to_anyone: bool = False
) -> None:
    """Serve until SIGTERM or SIGINT; or until the parent process is not `beside` any more."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    simulator = Simulator(goods=None if pages is None else of_folder(pages))
    if to_anyone:
        simulator.supplier.guarded.clear()
    try:
        await simulator.start(port, host=host)
    except OSError as error:
        raise Unavailable(f"cannot listen on {host} port {port}: {error.strerror}") from None
    watch = asyncio.create_task(_leave_with(beside, ended)) if beside is not None else None
    await ended.wait()
    if watch is not None:
        watch.cancel()
    await simulator.stop()


async def _leave_with(parent: int, ended: asyncio.Event) -> None:
    """Whoever's parent dies gets another one. That works after the parent has become another program, too
    (exec), on every system, and without a signal that could go to a stranger."""
    while os.getppid() == parent:  # noqa: ASYNC110  nobody sets an event when a process dies
        await asyncio.sleep(_LOOK_S)
    ended.set()


def start_beside(near: int, *more: str) -> int:
    """Start one that ends with this process, on the port after `near` or else on any free one; the port,
    once it answers. Raises `Unavailable` if it does not."""
    port = _free_port(near + 1)
    arguments = ["simulator", "--port", str(port), "--beside", str(os.getpid()), *more]
    simulator = subprocess.Popen(  # noqa: S603  this very program
        [sys.executable, "-m", "farmlokal", *arguments],
        stdin=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and simulator.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1):
            return port
        time.sleep(0.02)
    simulator.kill()
    raise Unavailable("the simulator did not start")


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError, OverflowError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise Unavailable("no free port for the simulator")
