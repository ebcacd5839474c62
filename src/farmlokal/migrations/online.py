"""Changes of a table that others read and write meanwhile.

On MySQL an index is built beside the table while writers go on, and where the server cannot do that it
refuses instead of locking them out. Each change commits by itself there, so a migration that was cut off goes
on after the last one when it is run again. SQLite has one writer and transactions.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op


def create_index(name: str, table: str, columns: Sequence[str]) -> None:
    """A new index on a table in use."""
    if op.get_context().dialect.name == "sqlite":
        op.create_index(name, table, list(columns))
    elif not _is_there(name, table):
        op.execute(f"CREATE INDEX {name} ON {table} ({', '.join(columns)}) ALGORITHM=INPLACE LOCK=NONE")


def drop_index(name: str, table: str) -> None:
    """An index goes that nothing reads any more."""
    if op.get_context().dialect.name == "sqlite":
        op.drop_index(name, table)
    elif _is_there(name, table) is not False:
        op.execute(f"ALTER TABLE {table} DROP INDEX {name}, ALGORITHM=INPLACE, LOCK=NONE")


def _is_there(name: str, table: str) -> bool | None:
    """Whether a table has an index; None where only the text of a migration is wanted."""
    if op.get_context().as_sql:
        return None
    return any(each["name"] == name for each in sa.inspect(op.get_bind()).get_indexes(table))
