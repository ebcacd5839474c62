"""A list of values as one parameter: the few lines in which the engines differ."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, TextClause, bindparam, text
from sqlalchemy.engine import Dialect


def in_integers(dialect: Dialect, column: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
    """Whether the column is one of the `integers` of the parameter, of which there is at least one.

    MySQL's drivers write a tuple as a list of literals, which the server sorts once and searches by halves;
    to SQLite a list is JSON, since its parameters are counted.
    """
    if dialect.name == "sqlite":
        return column.in_(text(f"SELECT value FROM json_each(:{parameter})"))  # noqa: S608
    return column.op("IN", is_comparison=True)(bindparam(parameter))


def integers(dialect: Dialect, values: Sequence[int]) -> Any:
    """The values as `in_integers` takes them."""
    return json.dumps([*values]) if dialect.name == "sqlite" else tuple(values)


def values(dialect: Dialect, parameter: str) -> TextClause:
    """The JSON array `parameter` as a subquery for IN: any number of keys, one statement."""
    if dialect.name == "sqlite":
        return text(f"SELECT value FROM json_each(:{parameter})")  # noqa: S608
    return text(f"SELECT * FROM JSON_TABLE(:{parameter}, '$[*]' COLUMNS (value TEXT PATH '$')) AS list")  # noqa: S608
