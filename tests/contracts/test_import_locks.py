"""What an import reads it locks: nobody's change is undone by what it writes."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from farmlokal.catalog.importing.batch import BatchLoader
from farmlokal.catalog.importing.rows import SourceRow
from farmlokal.catalog.models import PriceObservation
from farmlokal.catalog.writes import CatalogueWriter
from farmlokal.platform.database.port import Transaction
from tests.support.catalogue import Shelf, opened, run
from tests.support.clock import ManualClock
from tests.support.engines import ENGINES, Engine, FreshDatabase
from tests.support.sql_connection import Connection

pytestmark = pytest.mark.parametrize("engine", ENGINES, indirect=True)


@pytest.fixture
def other(engine: Engine, fresh_database: FreshDatabase) -> Iterator[Connection]:
    """Somebody else, who does not wait long."""
    with closing(fresh_database.connect()) as connection:
        connection.execute(
            "PRAGMA busy_timeout = 100" if engine.name == "sqlite" else "SET innodb_lock_wait_timeout = 1"
        )
        yield connection


def test_a_price_does_not_undo_an_order(
    fresh_database: FreshDatabase, fresh_shelf: Shelf, other: Connection
) -> None:
    """While the price of a product is being imported nobody can change its stock, which the import writes as
    it was read."""
    product = fresh_shelf.product("Tomato", stock_milli=9_000, external_key="tomato")
    take = "UPDATE products SET stock_milli = 1000 WHERE id = ?"
    row = SourceRow(
        1, PriceObservation(product_key="tomato", observed_on="2026-11-20", price_minor=4_000), ""
    )

    def order() -> None:
        with pytest.raises(Exception, match=r"(?i)lock"):
            other.execute(take, (product,))

    async def go() -> None:
        async with opened(fresh_database.url) as database:
            loader = BatchLoader(CatalogueWriter(database), ManualClock())

            async def load(tx: Transaction) -> None:
                await loader.load(tx, None, [row], order)

            await database.write(load)

    run(go())
    other.execute(take, (product,))
    found = fresh_shelf.connection.execute("SELECT price_minor, stock_milli FROM products").fetchall()
    assert found == [(4_000, 1_000)]
