"""Databases: connections, transactions and time limits. SQL itself belongs to the features.

The differences between engines live here, in `catalog/fulltext.py` and in `migrations/`, nowhere else.
"""

from pathlib import Path

from farmlokal.errors import Fault, Invalid
from farmlokal.platform.database.sqlite import SqliteDatabase

SQLITE_READERS = 4
"""Most reading connections to a SQLite file: more wait for the processor, not for the disk."""


def database_at(url: str, pool: int) -> SqliteDatabase:
    """The database that a URL names, not yet opened. Raises `Invalid` for an engine this release lacks."""
    scheme, _, path = url.partition(":///")
    if scheme != "sqlite":
        accepted = "sqlite:///…; MySQL and MariaDB can be migrated, and are served from the next release on"
        raise Invalid("This release serves SQLite.", Fault("FARMLOKAL_DATABASE_URL", "unsupported", accepted))
    return SqliteDatabase(Path(path), readers=min(pool, SQLITE_READERS))
