"""Changes of a table that others read and write meanwhile."""

from collections.abc import Sequence

from alembic import op


def create_index(name: str, table: str, columns: Sequence[str]) -> None:
    """A new index on a table in use.

    On MySQL it is built beside the table while writers go on, and where the server cannot do that it refuses
    instead of locking them out. SQLite has one writer anyway.
    """
    if op.get_context().dialect.name == "sqlite":
        op.create_index(name, table, list(columns))
    else:
        op.execute(f"CREATE INDEX {name} ON {table} ({', '.join(columns)}) ALGORITHM=INPLACE LOCK=NONE")
