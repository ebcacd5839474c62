"""A Galera cluster of MariaDB nodes: each has all the data, and a commit is what all of them agree on.

A node that was killed first finds out how far its own data goes, as a distribution's start script has it do:
it then gets what it missed (IST) and not everything anew (SST). Two of three nodes are a majority and go on;
one alone refuses every statement with 1047.
"""

import os
import pwd
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from getpass import getuser
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.faults.processes import wait_until
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.place import Missing, free_port

NODES = 3
"""The fewest of which a majority is left when one dies."""

FORM_S = 60
"""Longest a node may take to join: a copy of a small data directory, on a busy machine."""

FLUSHED: Mapping[str, str] = {"innodb-flush-method": "fsync", "debug-no-sync": "OFF"}
"""Options of nodes that wait for the disk at each commit, as in production."""

CHECK_USER = "haproxy"
"""Whom a balancer's health check logs in as: it has no password and may see nothing but the server's
state."""

# How long the others wait for a silent node before they go on without it; writes wait as long. Half of the
# defaults, which suit a network.
_PATIENCE = (
    "evs.keepalive_period=PT0.5S;evs.suspect_timeout=PT2S;evs.inactive_timeout=PT4S;evs.install_timeout=PT4S"
)

_START = """
folder=$1; shift
if [ -e "$folder/grastate.dat" ]; then
  position=$("$@" --wsrep-recover --log-error="$folder/../recovery.log" >/dev/null 2>&1
    sed -n 's/.*Recovered position: *//p' "$folder/../recovery.log" | tail -1)
fi
exec "$@" ${position:+--wsrep-start-position="$position"}
"""
"""Starts a node where its data ends. `--wsrep-recover` writes that into the log and leaves."""

_FIRST = "--wsrep-new-cluster"


class _Ports(NamedTuple):
    """Where a node listens to the others: always, for what it missed, for everything anew."""

    group: int
    ist: int
    sst: int


class GaleraNode(MariaDb):
    """One node; ready when it is in step with the others."""

    def __init__(self, number: int, ports: Sequence[_Ports], options: Mapping[str, str | int]) -> None:
        mine = ports[number]
        others = [f"n{each + 1}" for each in reversed(range(len(ports))) if each != number]
        provider = {
            "gmcast.listen_addr": f"tcp://127.0.0.1:{mine.group}",
            "base_port": mine.group,
            "ist.recv_addr": f"127.0.0.1:{mine.ist}",
            "ist.recv_bind": f"127.0.0.1:{mine.ist}",
            "gcache.size": "64M",
        }
        parts = ";".join(f"{name}={value}" for name, value in provider.items())
        super().__init__(
            {
                "wsrep-on": "ON",
                "wsrep-provider": str(_provider()),
                "wsrep-cluster-name": "farmlokal",
                "wsrep-cluster-address": "gcomm://" + ",".join(f"127.0.0.1:{each.group}" for each in ports),
                "wsrep-node-name": f"n{number + 1}",
                "wsrep-node-address": f"127.0.0.1:{mine.group}",
                "wsrep-provider-options": f"{parts};{_PATIENCE}",
                "wsrep-sst-method": "rsync",
                "wsrep-sst-receive-address": f"127.0.0.1:{mine.sst}",
                # A donor may stand still, so the writer, which is the first that lives, is asked last.
                "wsrep-sst-donor": ",".join(others) + ",",
                "binlog-format": "ROW",
                "innodb-autoinc-lock-mode": 2,
                **options,
            }
        )
        self.name = f"n{number + 1}"

    def catch_up(self) -> None:
        """Wait until it has what any node has committed by now."""
        with self.connection(user="root") as root, root.cursor() as cursor:
            cursor.execute("SET SESSION wsrep_sync_wait = 1")
            cursor.execute("SELECT COUNT(*) FROM mysql.user")

    def command(self, folder: Path) -> list[str | Path]:
        """A shell that finds out where the data ends, and becomes the server."""
        account = _account()
        server = [
            f"--user={account}" if str(word).startswith("--user=") else word
            for word in super().command(folder)
        ]
        (folder / "errors.log").touch()
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, account)
        return ["sh", "-c", _START, "start", folder / "data", *server]

    def state(self) -> Mapping[str, str]:
        """`wsrep_cluster_size`, `wsrep_cluster_status`, `wsrep_local_state_comment`, `wsrep_ready`, …"""
        return dict(self.administer("SHOW GLOBAL STATUS LIKE 'wsrep_%%'"))

    def _answers(self) -> bool:
        if not super()._answers():
            return False
        state = self.state()
        return (state["wsrep_ready"], state["wsrep_local_state_comment"]) == ("ON", "Synced")


class Galera:
    """The nodes; enter it to start them, leave it to stop them and remove their data."""

    def __init__(self, options: Mapping[str, str | int] | None = None, nodes: int = NODES) -> None:
        ports = [_Ports(free_port(), free_port(), free_port()) for _ in range(nodes)]
        self.nodes = [GaleraNode(number, ports, options or {}) for number in range(nodes)]
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            for number, node in enumerate(self.nodes):
                node.options.update({_FIRST.lstrip("-"): ""} if number == 0 else {})
                resources.enter_context(node)
            # Started again it joins the others, and does not found a second cluster.
            self.nodes[0].process.arguments.remove(_FIRST)
            self.nodes[0].administer(f"CREATE USER '{CHECK_USER}'@'127.0.0.1'")
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def wait_for_size(self, size: int, within_s: float = FORM_S) -> None:
        """Return when every node that lives sees so many."""
        alive = [node for node in self.nodes if node.process.alive]
        for node in alive:
            wait_until(
                lambda: node.state()["wsrep_cluster_size"] == str(size),  # noqa: B023  at once
                f"{node.name} sees {size} nodes",
                within_s,
            )


def _account() -> str:
    """Whom the server becomes: root's rsync would serve nobody's data, which are none."""
    if os.geteuid() != 0:
        return getuser()
    return "mysql" if "mysql" in {each.pw_name for each in pwd.getpwall()} else "nobody"


def _provider() -> Path:
    """The library of the machine's own Galera. Raises `Missing`."""
    libraries = sorted(Path("/usr").glob("lib*/galera*/libgalera_smm.so"))
    if not libraries or None in map(shutil.which, ("rsync", "wsrep_sst_rsync")):
        raise Missing("no Galera on this machine: install mariadb-server, galera-4 and rsync")
    return libraries[0]
