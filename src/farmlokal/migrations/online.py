"""Changes of a table that others read and write meanwhile.

On MySQL an index is built beside the table while writers go on, and where the server cannot do that it
refuses instead of locking them out. Each change commits by itself there, so a migration that was cut off goes
on after the last one when it is run again. SQLite has one writer and transactions.

A change needs the table to itself for a moment, at its beginning and its end. Whoever comes while it waits
for a transaction to end queues behind it, so it waits briefly, leaves, and tries again.
"""

import time
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import DBAPIError

PATIENCE_S = 60.0
"""How long a change is tried again while transactions hold its table: a batch of an import takes seconds."""

PAUSE_S = 1.0
"""Between two tries: as long as a try waits, for those who queued behind it."""

_LOCK_WAIT_TIMEOUT = 1205


def create_index(name: str, table: str, columns: Sequence[str]) -> None:
    """A new index on a table in use."""
    if op.get_context().dialect.name == "sqlite":
        op.create_index(name, table, list(columns))
    elif not _is_there(name, table):
        change(f"CREATE INDEX {name} ON {table} ({', '.join(columns)}) ALGORITHM=INPLACE LOCK=NONE")


def drop_index(name: str, table: str) -> None:
    """An index goes that nothing reads any more."""
    if op.get_context().dialect.name == "sqlite":
        op.drop_index(name, table)
    elif _is_there(name, table) is not False:
        change(f"ALTER TABLE {table} DROP INDEX {name}, ALGORITHM=INPLACE, LOCK=NONE")


def change(statement: str) -> None:
    """Change a server's table, again while others hold it; a try that fails at its end has built in vain."""
    patience_s = PATIENCE_S if op.get_context().as_sql else op.get_bind().info.get("patience_s", PATIENCE_S)
    given_up_at_s = time.monotonic() + patience_s
    while True:
        try:
            op.execute(statement)
        except DBAPIError as error:
            is_held = error.orig is not None and error.orig.args[:1] == (_LOCK_WAIT_TIMEOUT,)
            if not is_held or time.monotonic() >= given_up_at_s:
                raise
            time.sleep(PAUSE_S)
        else:
            return


def _is_there(name: str, table: str) -> bool | None:
    """Whether a table has an index; None where only the text of a migration is wanted."""
    if op.get_context().as_sql:
        return None
    return any(each["name"] == name for each in sa.inspect(op.get_bind()).get_indexes(table))
