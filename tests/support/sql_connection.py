"""One face for the tests' plain connections: sqlite3's own, and PyMySQL's made to look like it."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol

from pymysql.cursors import Cursor


class Connection(Protocol):
    """What tests use of a connection: statements with `?` for values, each committed unless after BEGIN."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Any:
        """Run one statement; a cursor with `fetchone`, `fetchall` (a list of tuples) and `lastrowid`."""

    def close(self) -> None:
        """Close it."""


class MysqlConnection:
    """A connection to MariaDB or MySQL that takes what sqlite3 takes."""

    def __init__(self, opened: Any) -> None:
        """`opened` is PyMySQL's, with autocommit."""
        self._opened = opened

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> "_ListCursor":
        """Run one statement; no `?` may stand in a literal."""
        cursor: _ListCursor = self._opened.cursor(_ListCursor)
        cursor.execute(sql.replace("%", "%%").replace("?", "%s") if parameters else sql, parameters or None)
        return cursor

    def close(self) -> None:
        """Close it."""
        self._opened.close()


class _ListCursor(Cursor):  # type: ignore[misc]  # PyMySQL has no types
    def fetchall(self) -> list[tuple[Any, ...]]:
        return list(super().fetchall())


def keeps_grams_in_its_table(connection: Connection) -> bool:
    """Whether the search index is a column of `search_documents`, and not a table beside it."""
    return not isinstance(connection, sqlite3.Connection)
