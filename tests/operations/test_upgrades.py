"""Two versions in service: each migration only adds, so the version before it goes on during an upgrade."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from farmlokal import migrations
from farmlokal.migrations.runner import upgrade


class Column(NamedTuple):
    """What those who read and write a table have to know of a column."""

    kind: str
    required: bool
    """Whether a row that says nothing of it is refused."""


class Table(NamedTuple):
    """A table as one version of the program knows it."""

    columns: dict[str, Column]
    unique: frozenset[tuple[str, ...]]
    """Sets of columns that no two rows may share."""


def tables(path: Path) -> dict[str, Table]:
    """The schema of a database."""
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {name: _table(connection, name) for (name,) in names if not name.startswith("sqlite_")}


def _table(connection: sqlite3.Connection, name: str) -> Table:
    about = connection.execute(f"PRAGMA table_info({name})").fetchall()
    columns = {
        column: Column(kind, bool(not_null) and default is None)
        for _, column, kind, not_null, default, _ in about
    }
    keys = [index for _, index, unique, *_ in connection.execute(f"PRAGMA index_list({name})") if unique]
    unique = frozenset(
        tuple(sorted(column for *_, column in connection.execute(f"PRAGMA index_info({key})")))
        for key in keys
    )
    return Table(columns, unique)


def broken(before: dict[str, Table], after: dict[str, Table]) -> list[str]:
    """What the program of the schema before would miss, or could not write, in the one after."""
    found = []
    for name, old in before.items():
        if name not in after:
            found.append(f"{name} is gone")
            continue
        new = after[name]
        found += [f"{name}.{column} is gone" for column in old.columns.keys() - new.columns.keys()]
        for column, now in new.columns.items():
            was = old.columns.get(column)
            if was is not None and was.kind != now.kind:
                found.append(f"{name}.{column} is of another kind")
            if now.required and (was is None or not was.required):
                found.append(f"{name}.{column} is required")
        found += [f"{name} has a new unique key: {', '.join(key)}" for key in new.unique - old.unique]
    return found


def versions() -> list[str]:
    """Every version of the schema, the oldest first."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    return [script.revision for script in reversed(list(scripts))]


def test_the_version_before_goes_on_after_each_migration(tmp_path: Path) -> None:
    """No migration takes away a table or column, changes its kind, or asks more of a row than before it."""
    path = tmp_path / "farmlokal.db"
    before: dict[str, Table] = {}
    for version in versions():
        upgrade(f"sqlite:///{path}", to=version)
        after = tables(path)
        assert not broken(before, after), version
        before = after
    assert len(before) > 10


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("DROP TABLE seen", "seen is gone"),
        ("ALTER TABLE seen DROP COLUMN note", "seen.note is gone"),
        ("ALTER TABLE seen RENAME COLUMN note TO remark", "seen.note is gone"),
        ("ALTER TABLE seen ADD COLUMN place TEXT NOT NULL DEFAULT ''", None),
        ("ALTER TABLE seen ADD COLUMN place TEXT", None),
        ("CREATE INDEX ix_seen ON seen (note)", None),
        ("CREATE UNIQUE INDEX uq_seen ON seen (note)", "seen has a new unique key: note"),
    ],
)
def test_what_would_break_the_version_before_is_seen(change: str, found: str | None, tmp_path: Path) -> None:
    """The check finds what takes away or asks for more, and lets pass what adds."""
    path = tmp_path / "any.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE seen (id INTEGER PRIMARY KEY, note TEXT)")
        before = tables(path)
        connection.execute(change)
    assert broken(before, tables(path)) == ([found] if found else [])
