"""A private MariaDB: the machine's own program on a copy of an empty data directory.

The directory is made once by `mariadb-install-db` (0.5 s) and copied for each server (20 ms), so that a
server is there in a quarter of a second.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from getpass import getuser
from hashlib import blake2b
from pathlib import Path
from shutil import which

from tests.support.servers.place import Missing, cache_folder, one_at_a_time, own_folder
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
        program = _program("mariadbd", "mysqld")
        shutil.copytree(template(program), folder / "data")
        return [program, "--no-defaults", f"--user={getuser()}"]


def template(program: str) -> Path:
    """An empty data directory with the product's user, made once for each version of the program."""
    version = subprocess.run([program, "--version"], capture_output=True, check=True).stdout
    made_by = blake2b(version + CREATE_USER.encode() + Path(__file__).read_bytes(), digest_size=8).hexdigest()
    cache = cache_folder("mariadb")
    with one_at_a_time(cache):
        ready = cache / f"template-{made_by}"
        if not ready.exists():
            with own_folder() as folder:
                _make(program, folder)
                shutil.rmtree(making := cache / "making", ignore_errors=True)
                shutil.copytree(folder / "data", making)
                making.rename(ready)
    return ready


def _make(program: str, folder: Path) -> None:
    data = folder / "data"
    _run(
        [
            *(_program("mariadb-install-db", "mysql_install_db"), "--no-defaults", f"--user={getuser()}"),
            *(f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"),
            *("--skip-name-resolve", f"--innodb-log-file-size={LOG_SIZE}"),
        ],
    )
    # Grants are read before a server listens, so the user is written by a server that does not.
    _run(
        [
            *(program, "--no-defaults", f"--user={getuser()}", f"--datadir={data}", "--bootstrap"),
            f"--innodb-log-file-size={LOG_SIZE}",
        ],
        "FLUSH PRIVILEGES;\n" + CREATE_USER,
    )


def _run(arguments: list[str], text: str | None = None) -> None:
    done = subprocess.run(arguments, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{arguments[0]} failed with {done.returncode}:\n{done.stdout}{done.stderr}")


def _program(*names: str) -> str:
    """The first of these programs that is found; servers are often outside the PATH of users."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/usr/libexec"])
    for name in names:
        if found := which(name, path=path):
            return found
    raise Missing(f"no {names[0]} on this machine: install MariaDB's server")
