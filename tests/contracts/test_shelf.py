"""The shelf and the market of the tests write the same rows on every engine."""

from contextlib import closing

import pytest

from farmlokal.migrations import newest
from tests.support.asgi import furnish
from tests.support.catalogue import Shelf
from tests.support.engines import ENGINES, Engine, FreshDatabase
from tests.support.market import Market

pytestmark = pytest.mark.parametrize("engine", ENGINES, indirect=True)

ROW = {
    "name": "Tómato 🍅 100%?",
    "category": "Vegetables",
    "price_minor": 100,
    "unit_price_minor": None,
    "harvested_on": None,
    "created_at_us": 1_700_000_000_000_000,
    "seller": "near",
    "organic": 0,
}


def test_the_market_writes_on_every_engine(fresh_shelf: Shelf) -> None:
    """Products are added, changed, buried and erased, sellers move, and search finds the words."""
    market = Market(fresh_shelf)
    kept, erased = market.add(ROW), market.add(ROW)
    market.change(kept, ROW | {"name": "Okra", "price_minor": 5, "seller": "far"})
    market.erase(erased)
    market.bury(kept)
    market.move("far", None)
    rows = fresh_shelf.connection.execute(
        "SELECT p.id, p.name, p.price_minor, p.version, p.deleted_at_us, s.latitude_e6"
        " FROM products p JOIN sellers s ON s.id = p.seller_id WHERE p.name LIKE 'O%' AND p.id = ?",
        (kept,),
    ).fetchall()
    assert rows == [(kept, "Okra", 5, 2, 1, None)]
    assert [name for (name,) in fresh_shelf.connection.execute("SELECT name FROM products")] == ["Okra"]
    assert (kept, erased) == (1, 2)


def test_what_is_written_is_found_by_its_words(engine: Engine, fresh_shelf: Shelf) -> None:
    """The index of the engine has each word, by its beginning and from its middle."""
    fresh_shelf.product("Tomato")
    fresh_shelf.product("Okra")
    [(document,)] = fresh_shelf.connection.execute(
        "SELECT rowid FROM search_index WHERE search_index MATCH 'qqmat*'"
        if engine.name == "sqlite"
        else "SELECT id FROM search_documents WHERE MATCH (grams) AGAINST ('+qqmat*' IN BOOLEAN MODE)"
    )
    found = fresh_shelf.connection.execute("SELECT name FROM products WHERE search_id = ?", (document,))
    assert found.fetchall() == [("Tomato",)]


def test_a_database_comes_back_empty(engine: Engine) -> None:
    """What one test wrote, or changed in the version of the schema, the next does not find."""
    for _ in range(2):
        with engine.fresh() as database, closing(database.connect()) as connection:
            assert connection.execute("SELECT COUNT(*) FROM products").fetchall() == [(0,)]
            assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(newest(),)]
            assert Shelf(connection).product("Okra") == 1
            furnish(Shelf(connection))
            connection.execute("UPDATE alembic_version SET version_num = ?", ("9999",))


def test_two_databases_at_once(engine: Engine, fresh_database: FreshDatabase) -> None:
    """A database that is in use is lent to nobody else."""
    with engine.fresh() as other:
        assert other.url != fresh_database.url
