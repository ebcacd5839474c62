"""Where servers live while they run: a free port, a folder that goes with them, the cache that stays."""

import fcntl
import os
import random
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]

PORTS = range(20_000, 32_768)
"""Below the ports that Linux hands to outgoing connections: one of those could sit on a server's port while
that is being restarted."""

PORT_TRIES = 100
"""So many ports taken in a row is no accident."""


class Missing(Exception):
    """A server that is not on this machine and cannot be had: the one line says which and what to do."""


class OutOfReach(Missing):
    """The same of what is fetched when a test first asks for it, such as a browser: 150 MB that a machine
    without a way out cannot have."""


def free_port() -> int:
    """A port that nobody listens on now. Drawn from the system's randomness: hypothesis seeds the other one,
    and two test processes would then draw the same ports."""
    draw = random.SystemRandom()
    for _ in range(PORT_TRIES):
        port = draw.choice(PORTS)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no free port among {PORT_TRIES} drawn from {PORTS}")


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder that is removed at the end. Directly below the system's: a socket's path has 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="farmlokal-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cache_folder(name: str) -> Path:
    """A folder for what is worth keeping between runs: `FARMLOKAL_CACHE`, or `.cache` in the checkout."""
    folder = Path(os.environ.get("FARMLOKAL_CACHE") or ROOT / ".cache") / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Holds a lock on the folder across processes: the first makes what the others find."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
