"""Fixtures: one real MariaDB and one real Valkey for each test process, started when first asked for.

A server that cannot be had skips its tests, each run saying so once in its summary; where CI=true it fails
them, because there a skip would be seen by nobody.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import pytest

from tests.support.servers.mariadb import MariaDb
from tests.support.servers.place import Missing
from tests.support.servers.sql import Database
from tests.support.servers.valkey import Valkey


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDb]:
    """The MariaDB of this test process. A test that freezes or kills its server starts its own."""
    yield from _shared(MariaDb())


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    """The Valkey of this test process, with whatever other tests left in it: see `valkey`."""
    yield from _shared(Valkey())


@pytest.fixture
def valkey(valkey_server: Valkey) -> Valkey:
    """The Valkey of this test process, empty."""
    valkey_server.ask("FLUSHALL")
    return valkey_server


@pytest.fixture
def mariadb_database(mariadb_server: MariaDb) -> Database:
    """An empty database of the test's own, not migrated."""
    return mariadb_server.new_database()


def _shared(server: AbstractContextManager[Any]) -> Iterator[Any]:
    try:
        entered = server.__enter__()
    except Missing as missing:
        unavailable(missing)
    try:
        yield entered
    finally:
        server.__exit__(None, None, None)


def unavailable(missing: Missing) -> NoReturn:
    """Skip, or in CI fail, for want of a server."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{missing}; CI=true asks for it", pytrace=False)
    pytest.skip(str(missing))
