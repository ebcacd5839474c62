"""The servers of a bench: each a process of its own on its core, with nothing of the caller's settings."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.report import ROOT

START_S = 20
COMMAND_S = 420  # a million products take three minutes
SETTINGS = ("FARMLOKAL_", "DB_", "REDIS_URL", "PORT")  # what the caller's environment may have set
NO_LIMIT = "1000000/1s;burst=1000000"
"""A rate limit that is counted and refuses nobody."""


def leave_when_told() -> None:
    """SIGTERM ends a bench as Ctrl-C does, so that its servers are stopped with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def module(*words: str) -> list[str]:
    """The command line of one of our modules."""
    return [sys.executable, "-m", *words]


def farmlokal(settings: Mapping[str, str], *words: str) -> str:
    """Run one of the program's commands to its end; what it prints."""
    done = subprocess.run(
        module("farmlokal", *words),
        cwd=ROOT,
        env=settings,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=COMMAND_S,
    )
    return done.stdout


def client(settings: Mapping[str, str], *scopes: str) -> dict[str, str]:
    """A new client: `client_id` and `client_secret`, as `clients create` prints them."""
    given = [word for scope in scopes for word in ("--scope", scope)]
    lines = farmlokal(settings, "clients", "create", "bench", *given).splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


@contextmanager
def started(
    command: Sequence[str | Path], settings: Mapping[str, str], core: int | None, log: Path | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A server as a process of its own, on its core from its first moment; stopped as an operator would. What
    it prints goes to `log`, or nowhere."""

    def pin() -> None:
        if core is not None:
            os.sched_setaffinity(0, {core})

    with Path(log or os.devnull).open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=pin,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=25)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def listening(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the port takes connections."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise SystemExit(f"no server on port {port}: exit status {process.poll()}")


def environment(folder: Path) -> dict[str, str]:
    """Nothing of the caller's settings, a database of our own, a limit that admits all, no log a request."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    return kept | {
        "FARMLOKAL_DATABASE_URL": f"sqlite:///{folder / 'farmlokal.db'}",
        "FARMLOKAL_RATE_LIMIT": NO_LIMIT,
        "FARMLOKAL_LOG_LEVEL": "warning",
    }


def cores() -> tuple[int | None, int | None]:
    """One core for the servers, another for the load; none of either where there is just one."""
    ours = sorted(os.sched_getaffinity(0))
    return (ours[0], ours[1]) if len(ours) > 1 else (None, None)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
