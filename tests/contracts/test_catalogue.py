"""The catalogue on both engines: the same rows in give the same bytes out, for every query."""

import asyncio
import csv
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from farmlokal.catalog.generator import generate
from farmlokal.catalog.importing.load import Importer
from farmlokal.catalog.importing.source import open_source
from farmlokal.catalog.listing import ListingQuery
from farmlokal.catalog.repository import CatalogueRepository
from farmlokal.catalog.service import Catalogue
from farmlokal.catalog.writes import CatalogueWriter
from farmlokal.platform.database import database_at
from farmlokal.platform.database.port import Database, Transaction
from farmlokal.platform.keyset.cursor import CursorCodec
from tests.support.catalogue import KEY, new_database, run
from tests.support.clock import ManualClock
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.sql import Database as SqlDatabase

TODAY = date(2026, 7, 24)
PRODUCTS = 700
SORTS = ("id", "price", "name", "createdAt", "unitPrice", "harvestedOn")
FILTERS = (
    "",
    "category=Vegetables",
    "category=Fruits&category=Dairy",
    "minPrice=20&maxPrice=90",
    "state=Kerala",
    "district=thrissur",
    "organic=true",
    "inStock=true",
    "inStock=false",
    "harvestedAfter=2026-07-20",
    "updatedSince=2020-01-01T00:00:00Z",
    "search=tomato",
    "search=%E0%A4%86",
    "search=an%20o",
    "near=10.5,76.2&radiusKm=60",
    "pincode=680001&radiusKm=100&category=Vegetables",
    "ids=1,5,9,699",
    "fields=id,name,distanceKm&near=10.5,76.2",
)
TABLES = (
    "sellers",
    "categories",
    "search_documents",
    "products",
    "price_history",
    "postcodes",
    "imports",
    "quarantine",
)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """The adapter, open."""
    database = database_at(url, 4)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory, mariadb_server: MariaDb) -> Iterator[tuple[str, str]]:
    """One generated catalogue in each engine."""

    async def fill(url: str) -> None:
        async with opened(url) as database:
            importer = Importer(database, ManualClock())
            await importer.load_reference_postcodes()
            await importer.load_drafts(generate(PRODUCTS, random_seed=4, today=TODAY))
            await database.optimize()

    with mariadb_server.migrated() as database:
        both = (f"sqlite:///{new_database(tmp_path_factory.mktemp('parity'))}", database.url)
        for url in both:
            run(fill(url))
        yield both


async def answers(url: str, query: str) -> list[bytes]:
    """Every page of a walk to the end, the first one's previous, and details of the first row."""
    async with opened(url) as database:
        catalogue = Catalogue(CatalogueRepository(database), CursorCodec((KEY,)))
        found: list[bytes] = []
        cursor = ""
        for _ in range(50):
            page = await catalogue.listing(ListingQuery.parse(f"{query}{cursor}".encode()))
            found.append(msgspec.json.encode(page))
            if page.next_cursor is None:
                break
            cursor = f"&cursor={page.next_cursor}"
        if page.prev_cursor:
            back = await catalogue.listing(ListingQuery.parse(f"{query}&cursor={page.prev_cursor}".encode()))
            found.append(msgspec.json.encode(back))
        return found


@pytest.mark.parametrize("filters", FILTERS)
def test_every_filter_and_sort_gives_the_same_pages(urls: tuple[str, str], filters: str) -> None:
    """A walk through any filter under any sort shows the same bytes on SQLite and on MariaDB."""
    sorts = [*SORTS, *(["distance"] if "near" in filters or "pincode" in filters else [])]
    sorts += ["relevance"] if "search" in filters else []
    for sort in sorts:
        for direction in ("asc", "desc"):
            query = f"{filters}&sort={sort}&order={direction}&limit=97&count=exact"
            sqlite, maria = (run(answers(url, query.lstrip("&"))) for url in urls)
            assert sqlite == maria, query


def test_facets_details_prices_sellers_and_categories_are_the_same(urls: tuple[str, str]) -> None:
    """Whatever else is asked of the catalogue has the same answer on both engines."""

    async def everything(url: str) -> list[Any]:
        async with opened(url) as database:
            catalogue = Catalogue(CatalogueRepository(database), CursorCodec((KEY,)))
            all_facets = "facets=category,state,district,organic"
            return [
                *[
                    await catalogue.facets(ListingQuery.parse(f"{all_facets}&{more}".encode()))
                    for more in FILTERS[:9]
                ],
                *[await catalogue.product(identity, "hi") for identity in (1, 17, PRODUCTS)],
                await catalogue.prices(3, 10, None),
                await catalogue.sellers({"state": b"kerala"}, 10, None),
                await catalogue.sellers({"kind": "farm"}, 10, None),
                await catalogue.seller(1),
                await catalogue.categories(),
            ]

    sqlite, maria = (msgspec.json.encode(run(everything(url))) for url in urls)
    assert sqlite == maria


def _stored(database: Database) -> Any:
    """Every row of every table but what only one engine has, bytes and text made alike."""

    async def read() -> dict[str, list[tuple[Any, ...]]]:
        rows = {}
        for name in TABLES:
            columns = "id, digest, body" if name == "search_documents" else "*"
            found = await database.fetch_all(f"SELECT {columns} FROM {name}")
            alike = [tuple(v.decode("latin-1") if isinstance(v, bytes) else v for v in row) for row in found]
            rows[name] = sorted(alike, key=repr)
        return rows

    return read()


def test_an_import_leaves_the_same_rows(tmp_path: Path, migrated_mariadb: SqlDatabase) -> None:
    """Files imported twice, with new products, changes, prices and refusals, leave the same rows."""
    files = list(_files(tmp_path))

    async def load(url: str) -> Any:
        async with opened(url) as database:
            told = []
            for file in (*files, *files):
                source = open_source(file, TODAY)
                told.append(await Importer(database, ManualClock()).run(source, source.check()))
            return told, await _stored(database)

    sqlite = run(load(f"sqlite:///{new_database(tmp_path)}"))
    maria = run(load(migrated_mariadb.url))
    assert sqlite[0] == maria[0]
    assert sqlite[0][0].changed
    for name in TABLES:
        assert sqlite[1][name] == maria[1][name], name


def _files(folder: Path) -> Iterator[Path]:
    """Two product files that describe some products differently, and a price history."""
    header = ("externalKey", "name", "category", "price", "sellerName", "district", "state", "stock")
    first = [
        (
            *(f"k{number} ", f"Nendran {number % 40}", ("Fruits", "Vegetables")[number % 2], "36.50"),
            *(f"Grower {number % 7}", "Thrissur", "Kerala", "4"),
        )
        for number in range(400)
    ]
    second = [(*row[:3], "37.25", *row[4:]) for row in first[::3]]
    wrong = [("k1 ", "Nendran 1", "Fruits", "not a price", "Grower", "Thrissur", "Kerala", "")]
    for name, rows in (("first.csv", first + wrong), ("second.csv", second)):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
        yield folder / name


def test_two_imports_at_once_leave_every_row_once(migrated_mariadb: SqlDatabase, tmp_path: Path) -> None:
    """Two processes that import overlapping files at once both succeed, and no row is there twice."""
    files = list(_files(tmp_path))
    url = migrated_mariadb.url

    async def load(file: Path) -> None:
        async with opened(url) as database:
            source = open_source(file, TODAY)
            await Importer(database, ManualClock()).run(source, source.check())

    async def go() -> None:
        await asyncio.gather(*(load(file) for file in files))
        async with opened(url) as database:
            assert await database.fetch_all("SELECT COUNT(*) FROM products") == [(400,)]

    run(go())


def test_a_list_of_ten_thousand_keys_reads_the_index(migrated_mariadb: SqlDatabase) -> None:
    """Ten thousand keys are looked up by byte in the index; a key too long for the column matches nothing."""
    url = migrated_mariadb.url

    async def go() -> None:
        async with opened(url) as database:
            drafts = list(generate(3000, random_seed=1, today=TODAY))
            await Importer(database, ManualClock()).load_drafts(drafts)
            keys = [draft.external_key for draft in drafts]
            odd = [*(key + " " for key in keys), *(key.upper() for key in keys), keys[0].ljust(500, "x")]
            writer = CatalogueWriter(database)

            async def reads(tx: Transaction) -> dict[str, int]:
                shown = await tx.fetch_all("SHOW SESSION STATUS LIKE 'Handler_read%'")
                return {name: int(value) for name, value in shown}

            async def look(tx: Transaction) -> tuple[int, int, int]:
                before = await reads(tx)
                found = await writer.products_by(tx, "external_key", [*keys, *odd])
                after = await reads(tx)
                looked_up = after["Handler_read_key"] - before["Handler_read_key"]
                return len(found), looked_up, after["Handler_read_next"] - before["Handler_read_next"]

            found, looked_up, walked = await database.write(look, bulk=True)
            assert found == 3000
            assert looked_up <= 3 * (len(keys) + len(odd))
            assert walked <= 100

    run(go())
