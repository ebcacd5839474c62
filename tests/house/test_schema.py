"""The schema: what the migrations make is what the statements name, on every engine."""

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import TableClause

from farmlokal import migrations
from farmlokal.catalog import schema as of_the_catalogue
from farmlokal.migrations.runner import upgrade
from farmlokal.oauth import schema as of_oauth
from farmlokal.orders import schema as of_orders
from farmlokal.suppliers import schema as of_suppliers

TABLES = {
    value.name: value
    for module in (
        of_oauth,
        of_orders,
        of_suppliers,
        of_the_catalogue,
    )  # the last names its own tables in full
    for value in vars(module).values()
    if isinstance(value, TableClause)
}


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A SQLite database that has just been migrated."""
    path = tmp_path_factory.mktemp("schema") / "farmlokal.db"
    upgrade(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        yield connection


def _offline_sql(dialect: str) -> str:
    """What the migrations would run on an engine, as text: no server is asked."""
    text = io.StringIO()
    config = Config(output_buffer=text)
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    config.set_main_option("dialect", dialect)
    command.upgrade(config, "head", sql=True)
    return text.getvalue()


def test_every_table_of_the_migrations_is_named(migrated: sqlite3.Connection) -> None:
    """The files `schema.py` name every table that the migrations make, and no other."""
    made = {
        name
        for (name,) in migrated.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not name.startswith(("sqlite_", "alembic_", "search_index"))
    }
    assert made == TABLES.keys()


@pytest.mark.parametrize("table", sorted(TABLES))
def test_columns_are_named_as_they_are(migrated: sqlite3.Connection, table: str) -> None:
    """`schema.py` names every column of a table in its order, and no other."""
    made = [name for _, name, *_ in migrated.execute(f"PRAGMA table_info({table})")]
    assert [column.name for column in TABLES[table].columns] == made


@pytest.mark.parametrize("dialect", ["mysql", "mariadb"])
def test_mysql_gets_every_index(migrated: sqlite3.Connection, dialect: str) -> None:
    """The migrations become SQL for MySQL and MariaDB, with every table and every index of SQLite's."""
    sql = _offline_sql(dialect)
    named = {
        name
        for (name,) in migrated.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite_%'"
        )
    }
    assert named
    assert not [name for name in sorted(named) if f"INDEX {name} ON" not in sql]
    made = sql.replace("IF NOT EXISTS ", "")
    assert not [name for name in sorted(TABLES) if f"CREATE TABLE {name} " not in made]
    assert "FULLTEXT INDEX ft_search_documents_grams" in sql


@pytest.mark.parametrize("dialect", ["mysql", "mariadb"])
def test_mysql_compares_text_by_byte(dialect: str) -> None:
    """Every table is InnoDB in utf8mb4 compared by byte, so that all engines give one order."""
    statements = [statement for statement in _offline_sql(dialect).split(";") if "CREATE TABLE" in statement]
    ours = [statement for statement in statements if "alembic_version" not in statement]
    assert len(ours) == len(TABLES)
    for statement in ours:
        assert "ENGINE=InnoDB" in statement, statement
        assert "COLLATE utf8mb4_bin" in statement, statement
