"""A private MariaDB: the machine's own, or unpacked from packages, on a copy of an empty data directory.

The directory is made once (0.5 s) and copied for each server (20 ms), so that a server is there in a quarter
of a second.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from getpass import getuser
from hashlib import blake2b
from pathlib import Path
from shutil import which
from typing import NamedTuple

from tests.support.servers.packages import unpacked
from tests.support.servers.place import Missing, OutOfReach, cache_folder, one_at_a_time, own_folder
from tests.support.servers.sql import CREATE_USER, SqlServer

LOG_SIZE = "8M"
"""Of the redo log; the default of 96 MB would be most of a copy."""


class MariaDb(SqlServer):
    """A MariaDB server of a test's own."""

    scheme = "mariadb"

    def defaults(self) -> Mapping[str, str | int]:
        """Durable to the letter, so that the product's own checks pass, while no disk is waited for: a killed
        process loses nothing of what the kernel has, and these tests cut no power."""
        return {
            "innodb-flush-log-at-trx-commit": 1,
            "sync-binlog": 1,
            "innodb-flush-method": "nosync",
            "debug-no-sync": "ON",
            # Many servers at once would run out of what the kernel allows of it, and containers forbid it.
            "innodb-use-native-aio": "OFF",
            "innodb-log-file-size": LOG_SIZE,
            "performance-schema": "OFF",
        }

    def command(self, folder: Path) -> list[str | Path]:
        """Copies the template."""
        installation = find()
        shutil.copytree(_template(installation), folder / "data")
        return installation.server


class Installation(NamedTuple):
    """A MariaDB of this machine, or one that was unpacked."""

    server: list[str | Path]
    """How `mariadbd` is started."""
    install: str | None
    """The script that makes a data directory; None where `tables` do without."""
    tables: Path | None = None
    """The folder of the SQL that the script would run."""


def find(path: str | None = None) -> Installation:
    """MariaDB as it is installed, else its packages of this machine's distribution. `path` replaces PATH."""
    server, install = (
        _which(path, "mariadbd", "mysqld"),
        _which(path, "mariadb-install-db", "mysql_install_db"),
    )
    own = ["--no-defaults", f"--user={getuser()}"]
    if server and install and "MariaDB" in _version([server]):
        return Installation([server, *own], install)
    try:
        there = unpacked("mariadb-server", ["mariadb-server-core"])
    except OutOfReach as none:
        raise Missing(*none.args) from None  # half of the suite: that is not left out unseen
    share = there.root / "usr/share/mysql"
    parts = [
        f"--basedir={there.root / 'usr'}",
        f"--lc-messages-dir={share}",
        f"--character-sets-dir={share / 'charsets'}",
        f"--plugin-dir={there.root / 'usr/lib/mysql/plugin'}",
    ]
    return Installation([*there.command("usr/sbin/mariadbd"), *own, *parts], None, share)


def _template(installation: Installation) -> Path:
    """An empty data directory with the product's user, made once for each version of the server."""
    made_by = blake2b(
        (_version(installation.server) + CREATE_USER + LOG_SIZE).encode(), digest_size=8
    ).hexdigest()
    cache = cache_folder("mariadb")
    ready = cache / f"template-{made_by}"
    with one_at_a_time(cache), own_folder() as folder:
        if not ready.exists():
            _make(installation, folder / "data")
            shutil.rmtree(making := cache / "making", ignore_errors=True)
            shutil.copytree(folder / "data", making)
            making.rename(ready)
    return ready


def _make(installation: Installation, data: Path) -> None:
    if installation.install:
        tables = ""
        _run(
            [
                *(installation.install, "--no-defaults", f"--user={getuser()}", f"--datadir={data}"),
                *("--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"),
                f"--innodb-log-file-size={LOG_SIZE}",
            ]
        )
    else:
        (data / "mysql").mkdir(parents=True)
        assert installation.tables is not None
        tables = "USE mysql;\nSET @auth_root_socket = NULL, @skip_auth_anonymous = 1;\n" + "".join(
            (installation.tables / f"mysql_{name}.sql").read_text()
            for name in ("system_tables", "performance_tables", "system_tables_data")
        )
    # Grants are read before a server listens, so the user is written by a server that does not.
    _run(
        [*installation.server, f"--datadir={data}", "--bootstrap", f"--innodb-log-file-size={LOG_SIZE}"],
        f"{tables}FLUSH PRIVILEGES;\n{CREATE_USER}",
    )


def _run(arguments: list[str | Path], text: str | None = None) -> None:
    done = subprocess.run(arguments, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{arguments[0]} failed with {done.returncode}:\n{done.stdout}{done.stderr}")


def _version(server: list[str | Path]) -> str:
    return subprocess.run([*server, "--version"], capture_output=True, text=True, check=True).stdout


def _which(path: str | None, *names: str) -> str | None:
    """The first of these programs that is found; servers are often outside the PATH of users."""
    if path is None:
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/usr/libexec"])
    return next((found for name in names if (found := which(name, path=path))), None)
