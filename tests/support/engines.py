"""Fixtures: one real server of a kind for each test process, and the engines a test is run on.

A server that cannot be had skips its tests, each run saying so once in its summary; where CI=true it fails
them, because there a skip would be seen by nobody.
"""

import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from tests.support.catalogue import Shelf, connect, new_database
from tests.support.servers.groups import ManyAsOne
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.mysql import MySql
from tests.support.servers.place import Missing, OutOfReach
from tests.support.servers.sql import Database, SqlServer
from tests.support.servers.sql import connect as connect_to
from tests.support.servers.valkey import Valkey
from tests.support.sql_connection import Connection, MysqlConnection

MYSQL = os.environ.get("FARMLOKAL_TEST_MYSQL") == "1"
"""Whether MySQL is asked for: its first start downloads it."""

REDIS_CLUSTER = os.environ.get("FARMLOKAL_TEST_REDIS_CLUSTER") == "1"
"""Whether the contracts of what is kept in Redis are to hold on a cluster, too."""

ENGINES = ("sqlite", "mariadb", *(["mysql"] if MYSQL else []))
"""Engines on which rows can be written."""

SERVED = ENGINES if find_spec("farmlokal.platform.database.mysql") else ("sqlite",)
"""Those that this version of the product also serves."""


class FreshDatabase(NamedTuple):
    """A database with the product's schema and no rows."""

    url: str
    connect: Callable[[], Connection]
    """A connection of the test's own; the caller closes it."""


class Engine(Protocol):
    """A kind of database. A test asks it for as many as it needs."""

    name: str

    def fresh(self) -> AbstractContextManager[FreshDatabase]:
        """A database to itself."""


class SqliteEngine:
    """Databases in files."""

    name = "sqlite"

    @contextmanager
    def fresh(self) -> Iterator[FreshDatabase]:
        """A database to itself."""
        with tempfile.TemporaryDirectory() as folder:
            path = new_database(Path(folder))
            yield FreshDatabase(f"sqlite:///{path}", lambda: connect(path))


class ServerEngine:
    """Databases of a running server."""

    def __init__(self, server: SqlServer) -> None:
        self.name, self._server = server.scheme, server

    @contextmanager
    def fresh(self) -> Iterator[FreshDatabase]:
        """A database to itself."""
        with self._server.migrated() as database:
            yield FreshDatabase(
                database.url, lambda: MysqlConnection(connect_to(self._server.port, database.name))
            )


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDb]:
    """The MariaDB of this test process. A test that freezes or kills its server starts its own."""
    with MariaDb() as server:
        yield server


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[MySql]:
    """The MySQL of this test process, where FARMLOKAL_TEST_MYSQL=1 asks for it."""
    if not MYSQL:
        pytest.skip("MySQL is tested by `make test-mysql`")
    with MySql() as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    """The Valkey of this test process, with whatever other tests left in it: see `valkey`. A cluster where
    FARMLOKAL_TEST_REDIS_CLUSTER=1 asks for it."""
    with ManyAsOne() if REDIS_CLUSTER else Valkey() as server:
        yield server


@pytest.fixture
def valkey(valkey_server: Valkey) -> Valkey:
    """The Valkey of this test process, empty."""
    valkey_server.ask("FLUSHALL")
    return valkey_server


@pytest.fixture
def mariadb_database(mariadb_server: MariaDb) -> Database:
    """An empty database of the test's own, not migrated."""
    return mariadb_server.new_database()


@pytest.fixture
def migrated_mariadb(mariadb_server: MariaDb) -> Iterator[Database]:
    """A database of the test's own with the product's schema, which the test leaves as it is, and no rows."""
    with mariadb_server.migrated() as database:
        yield database


@pytest.fixture(scope="session", params=SERVED)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Every engine in turn that the product serves."""
    if request.param == "sqlite":
        return SqliteEngine()
    return ServerEngine(request.getfixturevalue(f"{request.param}_server"))


@pytest.fixture
def fresh_database(engine: Engine) -> Iterator[FreshDatabase]:
    """On each engine in turn, a database of the test's own."""
    with engine.fresh() as database:
        yield database


@pytest.fixture
def fresh_shelf(fresh_database: FreshDatabase) -> Iterator[Shelf]:
    """Writes rows into `fresh_database`."""
    with closing(fresh_database.connect()) as connection:
        yield Shelf(connection)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a skip of a test whose server is missing, but in CI, where nobody would see it; there too where
    it is fetched and was out of reach, which the summary says.

    All of them have one place, this file: the summary folds skips by place, and says it once.
    """
    report = yield
    missing = call.excinfo.value if call.excinfo else None
    required = os.environ.get("CI") == "true" and not isinstance(missing, OutOfReach)
    if isinstance(missing, Missing) and not required:
        report.outcome, report.longrepr = "skipped", (__file__, 1, f"Skipped: {missing}")
    return report
