"""Lists as one parameter that SQL can join, and other few lines in which the engines differ."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import CTE, ColumnElement, TextClause, cast, column, text
from sqlalchemy.dialects.mysql import CHAR
from sqlalchemy.engine import Dialect

KEY_CHARACTERS = 400
"""Longest key of a list on MySQL: twice the longest column that is looked up, so that a longer key is cut to
something that no column holds."""


def integer_pairs(dialect: Dialect, parameter: str, first: str, second: str) -> CTE:
    """The JSON array `parameter`, ``[[1, 20], [2, 35]]``, as rows of two integers with these names."""
    if dialect.name == "sqlite":
        # Materialized and cast, SQLite gives the list an index of its own; unfolded into the query it would
        # be read for every row, and an index on values without a type would not be looked into.
        columns = f"CAST(value ->> 0 AS INTEGER) AS {first}, CAST(value ->> 1 AS INTEGER) AS {second}"
        rows = text(f"SELECT {columns} FROM json_each(:{parameter})")  # noqa: S608
    else:
        columns = f"{first} BIGINT PATH '$[0]', {second} BIGINT PATH '$[1]'"
        rows = text(_json_table(parameter, columns, "pairs"))
    named = rows.columns(column(first), column(second))
    return named.cte(parameter).prefix_with("MATERIALIZED", dialect="sqlite")


def values(dialect: Dialect, parameter: str, keys: Collection[Any]) -> TextClause:
    """The JSON array `parameter` of these keys as a subquery for IN: any number of keys, one statement.

    MySQL has to be told their type: text beside an integer column would be compared as floating point, and
    text of another collation not by byte.
    """
    if dialect.name == "sqlite":
        return text(f"SELECT value FROM json_each(:{parameter})")  # noqa: S608
    kind = "BIGINT"
    if any(isinstance(key, str) for key in keys):
        kind = f"VARCHAR({KEY_CHARACTERS}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    return text(_json_table(parameter, f"value {kind} PATH '$'", "list"))


def opaque_text(dialect: Dialect, key: ColumnElement[Any]) -> ColumnElement[Any]:
    """A key of somebody else's as text. MySQL keeps it as bytes: its text ignores spaces at the end."""
    return key if dialect.name == "sqlite" else cast(key, CHAR(charset="utf8mb4"))


def _json_table(parameter: str, columns: str, name: str) -> str:
    return f"SELECT * FROM JSON_TABLE(:{parameter}, '$[*]' COLUMNS ({columns})) AS {name}"  # noqa: S608
