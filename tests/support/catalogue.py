"""Small databases: migrated once a process, copied for each test, filled with plain SQL."""

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, overload

from farmlokal.catalog.fulltext import Document
from farmlokal.catalog.models import unit_price_minor
from farmlokal.catalog.repository import CatalogueRepository
from farmlokal.catalog.service import Catalogue
from farmlokal.catalog.text import sort_key
from farmlokal.migrations.runner import upgrade
from farmlokal.platform.database import database_at
from farmlokal.platform.database.port import Database
from farmlokal.platform.database.sqlite import SqliteDatabase
from farmlokal.platform.keyset.cursor import CursorCodec
from tests.support.sql_connection import Connection, keeps_grams_in_its_table

KEY = b"a key of the tests, thirty-two bytes or more"
T = TypeVar("T")

POOL = 4
"""Connections of the product in a test: enough to be used at once, few enough to see them all."""


@cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        upgrade(f"sqlite:///{path}")
        return path.read_bytes()


def new_database(folder: Path, name: str = "test.db") -> Path:
    """A migrated, empty database in this folder."""
    path = folder / name
    path.write_bytes(_template())
    return path


def copy_database(path: Path, folder: Path) -> Path:
    """A copy of a database that nobody has open."""
    return Path(shutil.copy(path, folder / path.name))


def connect(path: Path) -> sqlite3.Connection:
    """A connection of the test's own, as another program would have one."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def dump(path: Path, *tables: str) -> list[tuple[Any, ...]]:
    """Every row of the named tables (by default of all that hold the catalogue), for comparing."""
    names = tables or ("sellers", "categories", "search_documents", "products", "price_history", "postcodes")
    connection = connect(path)
    try:
        return [(name, *row) for name in names for row in sorted(connection.execute(f"SELECT * FROM {name}"))]
    finally:
        connection.close()


@overload
def opened(database_or_url: Path) -> AbstractAsyncContextManager[SqliteDatabase]: ...


@overload
def opened(database_or_url: str) -> AbstractAsyncContextManager[Database]: ...


def opened(database_or_url: Path | str) -> AbstractAsyncContextManager[Database]:
    """The project's own database object for a SQLite file or a URL, open."""
    return _opened(database_at(_url(database_or_url), POOL))


@asynccontextmanager
async def _opened(database: Database) -> AsyncIterator[Database]:
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def catalogue(database_or_url: Path | str, keys: Sequence[bytes] = (KEY,)) -> AsyncIterator[Catalogue]:
    """The service over a SQLite file or the database of a URL."""
    async with opened(_url(database_or_url)) as database:
        yield Catalogue(CatalogueRepository(database), CursorCodec(keys))


def _url(database_or_url: Path | str) -> str:
    return database_or_url if isinstance(database_or_url, str) else f"sqlite:///{database_or_url}"


def run(work: Coroutine[Any, Any, T], timeout_s: float = 60) -> T:
    """Run to the end, or fail: a test must not hang."""

    async def bounded() -> T:
        return await asyncio.wait_for(work, timeout_s)

    return asyncio.run(bounded())


class Shelf:
    """Writes sellers and products as plain rows: the tests' own way in, beside the importer's."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def seller(self, key: str = "s", latitude: float | None = None, longitude: float | None = None) -> int:
        """The id of the seller with this key, created where it is missing."""
        found = self.connection.execute("SELECT id FROM sellers WHERE external_key = ?", (key,)).fetchone()
        if found:
            return int(found[0])
        place = [None if degrees is None else round(degrees * 1e6) for degrees in (latitude, longitude)]
        return self._insert(
            "sellers",
            external_key=key,
            kind="farm",
            name=f"Seller {key}",
            district="Thrissur",
            state="Kerala",
            district_key=sort_key("Thrissur"),
            state_key=sort_key("Kerala"),
            latitude_e6=place[0],
            longitude_e6=place[1],
            created_at_us=0,
            updated_at_us=0,
            version=1,
        )

    def category(self, name: str) -> int:
        """The id of the category of this name, created where it is missing."""
        key = sort_key(name)
        found = self.connection.execute("SELECT id FROM categories WHERE name_key = ?", (key,)).fetchone()
        return int(found[0]) if found else self._insert("categories", name=name, name_key=key)

    def wording(self, names: Sequence[str | None], more: Sequence[str | None] = ()) -> int:
        """The id of a search document, created and indexed where it is missing."""
        document = Document(names, more)
        found = self.connection.execute(
            "SELECT id FROM search_documents WHERE digest = ?", (document.digest,)
        ).fetchone()
        if found:
            return int(found[0])
        row = {"digest": document.digest, "body": document.body}
        if keeps_grams_in_its_table(self.connection):
            return self._insert("search_documents", **row, grams=document.grams)
        identity = self._insert("search_documents", **row)
        self.connection.execute(
            "INSERT INTO search_index (rowid, grams) VALUES (?, ?)", (identity, document.grams)
        )
        return identity

    def product(self, name: str = "Tomato", category: str = "Vegetables", **given: Any) -> int:
        """A new product; `given` are columns, or `seller` by key, or `at` as (latitude, longitude)."""
        at = given.pop("at", (None, None))
        seller = self.seller(given.pop("seller", "s"), *at)
        row: dict[str, Any] = {
            "name": name,
            "name_hi": None,
            "name_ml": None,
            "commodity": None,
            "variety": None,
            "price_minor": 1000,
            "pack_milli": 1000,
            "pack_unit": "kg",
            "organic": 0,
            "source": "test",
            "created_at_us": 1_700_000_000_000_000,
            "updated_at_us": 1_700_000_000_000_000,
            "version": 1,
        } | given
        row.setdefault(
            "unit_price_minor", unit_price_minor(row["price_minor"], row["pack_milli"], row["pack_unit"])
        )
        row |= {
            "seller_id": seller,
            "category_id": self.category(category),
            "name_key": sort_key(name),
            "search_id": self.wording(
                (name, row["name_hi"], row["name_ml"]), (row["commodity"], row["variety"])
            ),
        }
        if "external_key" not in row:
            [(number,)] = self.connection.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM products")
            row["external_key"] = f"product-{number}-{name}"[:60]
        return self._insert("products", **row)

    def postcode(self, code: str, latitude: float, longitude: float, offices: int = 1) -> None:
        """Where a postcode is."""
        place = (
            code,
            "Kerala",
            f"District {offices}",
            round(latitude * 1e6),
            round(longitude * 1e6),
            offices,
        )
        self.connection.execute("INSERT INTO postcodes VALUES (?, ?, ?, ?, ?, ?)", place)

    def _insert(self, table: str, **row: Any) -> int:
        columns, marks = ", ".join(row), ", ".join("?" * len(row))
        sql = f"INSERT INTO {table} ({columns}) VALUES ({marks})"
        return int(self.connection.execute(sql, tuple(row.values())).lastrowid or 0)
