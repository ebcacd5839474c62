"""Counts where counting takes too long: the answer says so, and everything else is as always."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from farmlokal.catalog.listing import ListingQuery
from farmlokal.catalog.representation import FacetValue
from tests.support.catalogue import Shelf, catalogue, run
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.sql import Database
from tests.support.sql_connection import MysqlConnection


@pytest.fixture
def market(mariadb_server: MariaDb) -> Iterator[Database]:
    """Two products in a database of the test's own."""
    with mariadb_server.migrated() as database, mariadb_server.connection(database.name) as connection:
        shelf = Shelf(MysqlConnection(connection))
        shelf.product("Tomato")
        shelf.product("Mango", "Fruits", organic=1)
        yield database


@contextmanager
def locked(server: MariaDb, database: Database) -> Iterator[None]:
    """Products that nobody can read: every statement about them waits until its time is over."""
    with server.connection(database.name, "root") as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLES products WRITE")
        yield


def test_what_takes_too_long_to_count_is_null(mariadb_server: MariaDb, market: Database) -> None:
    """A facet and the products of the categories are null where they could not be counted in time, and are
    numbers again once they can be."""
    query = ListingQuery(facets=("category", "state", "organic"))

    async def go() -> None:
        async with catalogue(market.url) as service:
            with locked(mariadb_server, market):
                assert (await service.facets(query)).facets == {
                    "category": None,
                    "state": None,
                    "organic": None,
                }
                named = (await service.categories()).data
                assert [(each.name, each.products) for each in named] == [
                    ("Fruits", None),
                    ("Vegetables", None),
                ]
            counted = (await service.facets(query)).facets
            assert counted["category"] == [FacetValue("Fruits", 1), FacetValue("Vegetables", 1)]
            assert counted["state"] == [FacetValue("Kerala", 2)]
            page = await service.listing(replace(query, count=True))
            assert (page.total, len(page.data)) == (2, 2)
            assert [each.products for each in (await service.categories()).data] == [1, 1]

    run(go())
