"""Databases: connections, transactions and time limits. SQL itself belongs to the features.

`port.py` is what features ask for; `sqlite.py` and `mysql.py` are who answers. The differences between
engines live here, in `catalog/fulltext.py` and in `migrations/`, nowhere else.
"""

from importlib.util import find_spec
from pathlib import Path

from farmlokal.errors import Unavailable
from farmlokal.platform.database.port import Database
from farmlokal.platform.database.sqlite import SqliteDatabase

SQLITE_READERS = 4
"""Most reading connections to a SQLite file: more wait for the processor, not for the disk."""


def database_at(url: str, pool: int, replica_url: str | None = None) -> Database:
    """The database that a URL names, not yet opened. Raises `Unavailable` when its driver is missing."""
    scheme, _, path = url.partition(":///")
    if scheme == "sqlite":
        return SqliteDatabase(Path(path), readers=min(pool, SQLITE_READERS))
    require_driver()
    from farmlokal.platform.database.mysql import MysqlDatabase  # the driver is an extra
    from farmlokal.platform.database.mysql_address import Address

    replica = None if replica_url is None else Address.parse(replica_url)
    return MysqlDatabase(Address.parse(url), pool, replica)


def require_driver() -> None:
    """Raises `Unavailable` when the extra `mysql` is not installed."""
    if find_spec("asyncmy") is None:
        raise Unavailable("mysql:// and mariadb:// need the extra `mysql`: pip install 'farmlokal[mysql]'")
