"""The one statement that changes rows which are known by some of their columns."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Dialect, TableClause, bindparam, update

from farmlokal.platform.database.port import Transaction


async def change_rows(
    tx: Transaction,
    dialect: Dialect,
    table: TableClause,
    keys: Mapping[str, Any],
    changes: Mapping[str, Any],
) -> int:
    """Change the rows whose columns have these values; returns how many they are."""
    statement = update(table).values({name: bindparam(f"new_{name}") for name in changes})
    for name in keys:
        statement = statement.where(table.c[name] == bindparam(f"key_{name}"))
    given = {f"new_{name}": value for name, value in changes.items()}
    given |= {f"key_{name}": value for name, value in keys.items()}
    return await tx.execute(str(statement.compile(dialect=dialect)), given)
