"""A list of pairs as one parameter that SQL can join: the few lines in which the engines differ."""

from sqlalchemy import CTE, TextClause, column, text
from sqlalchemy.engine import Dialect


def integer_pairs(dialect: Dialect, parameter: str, first: str, second: str) -> CTE:
    """The JSON array `parameter`, ``[[1, 20], [2, 35]]``, as rows of two integers with these names."""
    if dialect.name == "sqlite":
        # Materialized and cast, SQLite gives the list an index of its own; unfolded into the query it would
        # be read for every row, and an index on values without a type would not be looked into.
        columns = f"CAST(value ->> 0 AS INTEGER) AS {first}, CAST(value ->> 1 AS INTEGER) AS {second}"
        rows = text(f"SELECT {columns} FROM json_each(:{parameter})")  # noqa: S608
    else:
        columns = f"{first} BIGINT PATH '$[0]', {second} BIGINT PATH '$[1]'"
        rows = text(f"SELECT * FROM JSON_TABLE(:{parameter}, '$[*]' COLUMNS ({columns})) AS pairs")  # noqa: S608
    named = rows.columns(column(first), column(second))
    return named.cte(parameter).prefix_with("MATERIALIZED", dialect="sqlite")


def values(dialect: Dialect, parameter: str) -> TextClause:
    """The JSON array `parameter` as a subquery for IN: any number of keys, one statement."""
    if dialect.name == "sqlite":
        return text(f"SELECT value FROM json_each(:{parameter})")  # noqa: S608
    return text(f"SELECT * FROM JSON_TABLE(:{parameter}, '$[*]' COLUMNS (value TEXT PATH '$')) AS list")  # noqa: S608
