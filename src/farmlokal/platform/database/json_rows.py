"""Lists as one parameter, and other few lines in which the engines differ."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, TextClause, bindparam, cast, text
from sqlalchemy.dialects.mysql import CHAR
from sqlalchemy.engine import Dialect

KEY_CHARACTERS = 400
"""Longest key of a list on MySQL: twice the longest column that is looked up, so that a longer key is cut to
something that no column holds."""


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
