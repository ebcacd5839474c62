"""The cost of a page, in steps of SQLite's virtual machine: exact, the same on every machine, no clock."""

import sqlite3
from datetime import date
from pathlib import Path

import pytest

from farmlokal.catalog.generator import generate
from farmlokal.catalog.importing.load import Importer
from farmlokal.catalog.listing import ListingQuery
from farmlokal.catalog.repository import CatalogueRepository
from farmlokal.platform.database.port import Parameters, Row
from farmlokal.platform.database.sqlite import SqliteDatabase
from farmlokal.platform.keyset.cursor import Position
from tests.support.catalogue import connect, new_database, opened, run
from tests.support.clock import ManualClock
from tests.support.counted_reads import SORT_COLUMNS

PRODUCTS = 4000
PAGE = 21
NAMES = 1000
"""Steps to read the names of the categories, which a repository does once."""


class Meter(SqliteDatabase):
    """The project's database, which also counts the virtual machine's steps of all reads together."""

    steps = 0

    async def fetch_all(
        self,
        sql: str,
        parameters: Parameters | None = None,
        *,
        stale_ok: bool = False,
        limit_s: float | None = None,
    ) -> list[Row]:
        """Run the read on a connection of its own, counting."""
        connection = connect(self.path)

        def step() -> int:
            self.steps += 1
            return 0

        connection.set_progress_handler(step, 1)
        try:
            return connection.execute(sql, parameters or {}).fetchall()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated catalogue with the planner's statistics."""
    path = new_database(tmp_path_factory.mktemp("plans"))

    async def fill() -> None:
        async with opened(path) as database:
            drafts = generate(PRODUCTS, random_seed=3, today=date(2026, 11, 20))
            await Importer(database, ManualClock()).load_drafts(drafts)
            await database.optimize()

    run(fill())
    return path


def _steps(path: Path, query: ListingQuery, position: Position | None) -> int:
    meter = Meter(path)
    rows = run(CatalogueRepository(meter, ManualClock()).page(query, position, PAGE, None))
    assert len(rows) == PAGE
    return meter.steps


def _at(path: Path, column: str, descending: bool, share: float) -> Position:
    """The row at a share of the way through the rows that have the sort key."""
    connection = sqlite3.connect(path)
    [(rows,)] = connection.execute(f"SELECT COUNT({column}) FROM products")
    direction = "DESC" if descending else "ASC"
    key, identity = connection.execute(
        f"SELECT {column}, id FROM products WHERE {column} IS NOT NULL"
        f" ORDER BY {column} {direction}, id {direction} LIMIT 1 OFFSET ?",
        (int(rows * share),),
    ).fetchone()
    connection.close()
    return Position(None if column == "id" else key, identity)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", SORT_COLUMNS)
def test_a_deep_page_costs_what_the_first_costs(generated: Path, sort: str, descending: bool) -> None:
    """A page costs the same at any depth: it is read from the index at the cursor's place."""
    query = ListingQuery(sort=sort, descending=descending)
    first = _steps(generated, query, None)
    for share in (0.25, 0.5, 0.9):
        deep = _steps(generated, query, _at(generated, SORT_COLUMNS[sort], descending, share))
        # Up to three ranges are opened where the first page opens one or two.
        assert deep <= 2.5 * first, f"{deep} steps at {share:.0%} of {sort}, {first} at the start"
    # 100 steps a row shown: a scan of the 4,000 rows takes over 40,000.
    assert first <= 100 * PAGE + NAMES


def test_a_page_of_one_category_by_price_is_read_from_its_index(generated: Path) -> None:
    """The page that shops open most, a category by price, reads no other category's rows."""
    query = ListingQuery(sort="price", category=("vegetables",))
    assert _steps(generated, query, None) <= 100 * PAGE + NAMES


def test_a_page_for_a_rare_word_reads_only_its_products(generated: Path) -> None:
    """A search with few hits reads those, not the catalogue."""
    connection = sqlite3.connect(generated)
    [(name, hits)] = connection.execute(
        "SELECT name, COUNT(*) FROM products GROUP BY search_id HAVING COUNT(*) BETWEEN 21 AND 40 LIMIT 1"
    )
    connection.close()
    query = ListingQuery.parse(f"search={name.split()[-1]}&sort=id".encode("ascii", "ignore"))
    assert hits >= PAGE
    assert _steps(generated, query, None) < 40_000
