"""A private MySQL: the machine's own where it has one, else that of Debian's unstable, unpacked in the cache.

Debian's stable and most other distributions carry MariaDB alone. The first start fetches 60 MB, so tests ask
for MySQL only when told to (`make test-mysql`).
"""

import shutil
import subprocess
from collections.abc import Mapping
from getpass import getuser
from hashlib import blake2b
from pathlib import Path
from shutil import which

from tests.support.servers.packages import unpacked
from tests.support.servers.place import cache_folder, one_at_a_time, own_folder
from tests.support.servers.sql import CREATE_USER, SqlServer

CREATE_ROOT = "CREATE USER 'root'@'127.0.0.1';\nGRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n"


class MySql(SqlServer):
    """A MySQL server of a test's own."""

    scheme = "mysql"

    def defaults(self) -> Mapping[str, str | int]:
        """As durable and as little waited for as `MariaDb`. Without a binary log, which MySQL has on."""
        return {
            "innodb-flush-log-at-trx-commit": 1,
            "sync-binlog": 1,
            "innodb-flush-method": "nosync",
            "innodb-redo-log-capacity": "8M",
            "innodb-use-native-aio": "OFF",
            "performance-schema": "OFF",
            "mysqlx": "OFF",
            "skip-log-bin": "",
        }

    def command(self, folder: Path) -> list[str | Path]:
        """Copies the template."""
        program = _program()
        shutil.copytree(_template(program), folder / "data")
        return program


def _program() -> list[str | Path]:
    """How MySQL's server is started, with the options that say where its parts are."""
    user = f"--user={getuser()}"
    found = which("mysqld", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/local/mysql/bin")
    if found and "MariaDB" not in _version([found]):
        return [found, "--no-defaults", user, "--secure-file-priv=NULL"]
    there = unpacked("mysql", ["mysql-server-core"], suite="sid")
    messages = next(there.root.glob("usr/share/mysql*/english")).parent
    return [
        *(*there.command("usr/sbin/mysqld"), "--no-defaults", user, "--secure-file-priv=NULL"),
        *(f"--basedir={there.root / 'usr'}", f"--plugin-dir={there.root / 'usr/lib/mysql/plugin'}"),
        f"--lc-messages-dir={messages}",
    ]


def _version(program: list[str | Path]) -> str:
    return subprocess.run([*program, "--version"], capture_output=True, text=True, check=True).stdout


def _template(program: list[str | Path]) -> Path:
    """An empty data directory with both users, made once for each version of the program (some 5 s)."""
    made_by = blake2b((_version(program) + CREATE_ROOT + CREATE_USER).encode(), digest_size=8).hexdigest()
    cache = cache_folder("mysql")
    ready = cache / f"template-{made_by}"
    with one_at_a_time(cache), own_folder() as folder:
        if not ready.exists():
            (folder / "users.sql").write_text(CREATE_ROOT + CREATE_USER)
            options = [f"--datadir={folder / 'data'}", f"--init-file={folder / 'users.sql'}"]
            sizes = ["--innodb-redo-log-capacity=8M", "--innodb-flush-method=nosync"]
            done = subprocess.run(
                [*program, "--initialize-insecure", *options, *sizes],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise AssertionError(f"MySQL made no data directory:\n{done.stdout}{done.stderr}")
            shutil.rmtree(making := cache / "making-template", ignore_errors=True)
            shutil.copytree(folder / "data", making)
            making.rename(ready)
    return ready
