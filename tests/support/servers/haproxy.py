"""A private HAProxy: the machine's own, or its distribution's package, unpacked and not installed.

It runs a configuration of `deploy/cluster/`, which takes every address from the environment.
"""

import csv
import io
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from shutil import which
from types import TracebackType
from typing import Self

from tests.faults.processes import OwnedProcess
from tests.support.servers.packages import unpacked
from tests.support.servers.place import ROOT, free_port, own_folder

ANSWER_S = 5
"""Longest its socket may take to answer."""


class HaProxy:
    """One that listens on `port`; enter it to start it. `servers` are host:port by name in the
    environment."""

    def __init__(self, configuration: str, listen: str, servers: Mapping[str, str]) -> None:
        self._configuration = ROOT / "deploy/cluster" / configuration
        self.port, self.stats_port = free_port(), free_port()
        self._addresses = {
            listen: f"127.0.0.1:{self.port}",
            "STATS": f"127.0.0.1:{self.stats_port}",
            **servers,
        }
        self._admin = Path()
        self.process: OwnedProcess
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            folder = resources.enter_context(own_folder())
            self._admin = folder / "admin"
            self.process = OwnedProcess(
                [*_program(), "-db", "-f", self._configuration],
                folder / "log",
                lambda: bool(self.tell("show info")),
                {**os.environ, **self._addresses, "ADMIN": str(self._admin)},
            )
            resources.callback(self.process.kill)
            self.process.start()
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def tell(self, command: str) -> str:
        """A command of its runtime API, and what it answers."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(ANSWER_S)
            admin.connect(str(self._admin))
            admin.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: admin.recv(65_536), b"")).decode()

    def states(self, backend: str) -> dict[str, Mapping[str, str]]:
        """By server: `status` (UP, DOWN, DRAIN, MAINT, …), `scur` (sessions now) and what else it counts."""
        rows = csv.DictReader(io.StringIO(self.tell("show stat").removeprefix("# ")))
        return {
            row["svname"]: row
            for row in rows
            if row["pxname"] == backend and row["svname"] not in ("FRONTEND", "BACKEND")
        }

    def up(self, backend: str) -> list[str]:
        """The servers that get new connections."""
        return [name for name, state in self.states(backend).items() if state["status"].startswith("UP")]

    def busiest(self, backend: str) -> str | None:
        """The server that has most connections now; None where none has any."""
        sessions = {name: int(state["scur"]) for name, state in self.states(backend).items()}
        name = max(sessions, key=lambda each: sessions[each])
        return name if sessions[name] else None


def _program() -> Sequence[str | Path]:
    own = which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    return [own] if own else unpacked("haproxy", ["haproxy"]).command("usr/sbin/haproxy")
