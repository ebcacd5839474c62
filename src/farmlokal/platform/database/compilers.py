"""How statements become text: the statement says in which order tables are joined and by which index.

A hot read is compiled once and runs for months on tables whose statistics change. An optimizer that changes
its mind about one cursor in three (MariaDB did, docs/decisions/0009) is a page that takes 200 times as long,
so nothing is left to it: a join is read from left to right, and a table's hint names the index it is read by.
"""

from typing import Any, NamedTuple

from sqlalchemy import ClauseElement, FromClause, Join
from sqlalchemy.dialects.mysql.base import MySQLCompiler, MySQLDialect
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler, SQLiteDialect
from sqlalchemy.engine import Dialect

PRIMARY = "PRIMARY"
"""The hint that names the primary key."""


class _Sqlite(SQLiteCompiler):
    """``CROSS JOIN … ON`` is SQLite's inner join of fixed order."""

    def visit_join(self, join: Join, asfrom: bool = False, from_linter: Any = None, **more: Any) -> str:  # noqa: ARG002
        return _join(self, join, " CROSS JOIN ", from_linter, more)

    def get_from_hint_text(self, table: FromClause, text: str | None) -> str:  # noqa: ARG002
        return "NOT INDEXED" if text == PRIMARY else f"INDEXED BY {text}"


class _Mysql(MySQLCompiler):
    """``STRAIGHT_JOIN … ON`` is MySQL's."""

    def visit_join(self, join: Join, asfrom: bool = False, from_linter: Any = None, **more: Any) -> str:  # noqa: ARG002
        return _join(self, join, " STRAIGHT_JOIN ", from_linter, more)

    def get_from_hint_text(self, table: FromClause, text: str | None) -> str:  # noqa: ARG002
        return f"FORCE INDEX ({text})"


def _join(
    compiler: SQLiteCompiler | MySQLCompiler, join: Join, word: str, linter: Any, more: dict[str, Any]
) -> str:
    if join.isouter or join.full or join.onclause is None:
        raise NotImplementedError("only inner joins have a fixed order")
    left = compiler.process(join.left, asfrom=True, from_linter=linter, **more)
    right = compiler.process(join.right, asfrom=True, from_linter=linter, **more)
    return f"{left}{word}{right} ON {compiler.process(join.onclause, from_linter=linter, **more)}"


def sqlite_dialect(paramstyle: str) -> SQLiteDialect:
    """SQLite's dialect with the rules above."""
    dialect = SQLiteDialect(paramstyle=paramstyle)
    dialect.statement_compiler = _Sqlite
    return dialect


def mysql_dialect(paramstyle: str) -> MySQLDialect:
    """The dialect of MySQL and MariaDB with the rules above."""
    dialect = MySQLDialect(paramstyle=paramstyle)
    dialect.statement_compiler = _Mysql
    return dialect


class Statement(NamedTuple):
    """A statement as the driver takes it; `constants` are parameters that are the same for every request."""

    sql: str
    constants: dict[str, Any]


def compiled(statement: ClauseElement, dialect: Dialect) -> Statement:
    """The text of a statement in the driver's own parameter style, and the constants in it."""
    done = statement.compile(dialect=dialect)
    return Statement(str(done), {name: value for name, value in done.params.items() if value is not None})
