"""Fixtures: a Galera cluster, and whether tests of clusters are asked for at all."""

import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.catalogue import Shelf
from tests.support.servers.galera import FORM_S, NODES, Galera
from tests.support.servers.sql import Database
from tests.support.servers.sql import connect as connect_to
from tests.support.sql_connection import MysqlConnection

CLUSTER = os.environ.get("FARMLOKAL_TEST_CLUSTER") == "1"
"""Whether they are: three database servers and all that belongs to them want the machine for themselves."""


@pytest.fixture(scope="session", autouse=True)
def _asked_for() -> None:
    if not CLUSTER:
        pytest.skip("clusters are tested by `make test-cluster`")


@pytest.fixture(scope="session")
def three_nodes() -> Iterator[Galera]:
    """A cluster that waits for no disk: what is tested is what its nodes agree on."""
    with Galera() as galera:
        yield galera


@pytest.fixture
def galera(three_nodes: Galera) -> Iterator[Galera]:
    """The same, with all its nodes, which a test may freeze or kill."""
    yield three_nodes
    for node in three_nodes.nodes:  # all of them first: none is ready alone
        if node.process.alive:
            node.process.thaw()
        else:
            node.process.launch()
    for node in three_nodes.nodes:
        node.process.wait_until_ready(FORM_S)
    three_nodes.wait_for_size(NODES)


@pytest.fixture
def database(galera: Galera) -> Iterator[Database]:
    """A database with the product's schema and no rows, which every node has."""
    with galera.nodes[0].migrated() as database:
        for node in galera.nodes:
            node.catch_up()
        yield database


@pytest.fixture
def shelf(galera: Galera, database: Database) -> Iterator[Shelf]:
    """Writes rows into it."""
    with closing(MysqlConnection(connect_to(galera.nodes[0].port, database.name))) as connection:
        yield Shelf(connection)
