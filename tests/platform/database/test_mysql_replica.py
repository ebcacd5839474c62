"""Two real servers: what may be old is read from the second while it is well, and nothing else ever is."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

import pytest
from structlog.testing import capture_logs

from farmlokal.errors import Unavailable
from farmlokal.platform.database import database_at
from farmlokal.platform.database.mysql_replica import REST_S
from farmlokal.platform.database.port import Database, StatementTimeout, Transaction
from tests.support.catalogue import run
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.sql import Database as Named

POOL = 2
CALLERS = 12
COUNT = "SELECT COUNT(*) FROM categories"
ADD = "INSERT INTO categories (name, name_key) VALUES (%(name)s, %(name)s)"

BUSY_S = 20.0
"""How much longer something may take on a machine that runs other tests."""


class Pair(NamedTuple):
    """A primary that has no category, and a second server that has one and is the test's own."""

    primary: Named
    server: MariaDb
    replica: Named


@pytest.fixture(scope="module")
def second() -> Iterator[MariaDb]:
    """A server that these tests freeze and kill, and have running again when they end."""
    with MariaDb() as server:
        yield server


@pytest.fixture
def pair(migrated_mariadb: Named, second: MariaDb) -> Iterator[Pair]:
    """Nothing is replicated: what tells them apart is what a test asks for."""
    with second.migrated() as replica:
        with second.connection(replica.name) as connection, connection.cursor() as cursor:
            cursor.execute(ADD, {"name": "replicated"})
        yield Pair(migrated_mariadb, second, replica)


@asynccontextmanager
async def opened(pair: Pair) -> AsyncIterator[Database]:
    """The adapter, open, its replica asked once."""
    database = database_at(pair.primary.url, POOL, pair.replica.url)
    await database.open()
    try:
        assert await stale_count(database) == 1
        yield database
    finally:
        await database.close()


async def stale_count(database: Database) -> int:
    """How many categories there are, or were a moment ago: 1 at the replica, none at the primary."""
    [(found,)] = await database.fetch_all(COUNT, stale_ok=True)
    return int(found)


@contextmanager
def frozen(pair: Pair) -> Iterator[None]:
    """It accepts connections and says nothing."""
    pair.server.process.freeze()
    try:
        yield
    finally:
        pair.server.process.thaw()


@contextmanager
def killed(pair: Pair) -> Iterator[None]:
    """Connections are refused."""
    pair.server.process.kill()
    try:
        yield
    finally:
        pair.server.process.start()


@contextmanager
def overloaded(pair: Pair) -> Iterator[None]:
    """Whatever it is asked waits for a lock, until the connections to it are all taken."""
    with pair.server.connection(pair.replica.name, "root") as root, root.cursor() as cursor:
        cursor.execute("LOCK TABLES categories WRITE")
        yield


FAULTS = {"frozen": frozen, "killed": killed, "overloaded": overloaded}


async def add(tx: Transaction) -> None:
    """One category."""
    await tx.execute(ADD, {"name": f"written {id(tx)}"})


def test_only_what_may_be_old_is_read_there(pair: Pair) -> None:
    """Reads that may be a little old are answered by the replica; all others, and whatever a write reads and
    writes, by the primary, so that everybody reads what he wrote."""

    async def go() -> None:
        async with opened(pair) as database:
            for written in (1, 2):
                await database.write(add)
                assert await database.fetch_all(COUNT) == [(written,)]
                assert await database.write(lambda tx: tx.fetch_all(COUNT)) == [(written,)]
                assert await stale_count(database) == 1
            assert database.stale_source == 0

    run(go())


@pytest.mark.parametrize("fault", FAULTS)
def test_the_primary_stands_in(fault: str, pair: Pair) -> None:
    """When the replica is frozen, gone or overloaded, every read is answered by the primary, and after those
    that were under way nobody asks the replica any more."""

    async def go() -> None:
        async with opened(pair) as database:
            with FAULTS[fault](pair):
                for _ in range(2):
                    answers = await asyncio.gather(*(stale_count(database) for _ in range(CALLERS)))
                    assert answers == [0] * CALLERS
                assert database.stale_source == 1

    with capture_logs() as lines:
        run(go())
    [line] = lines
    assert line["event"] == "the replica fails, reading from the primary"
    assert line["reason"]


def test_a_replica_that_is_well_again_is_used_again(pair: Pair) -> None:
    """Some seconds after the replica answers again it is read from, and each change is a line in the log."""

    async def go() -> None:
        async with opened(pair) as database:
            with frozen(pair):
                assert await stale_count(database) == 0
            deadline = time.monotonic() + REST_S + BUSY_S
            while await stale_count(database) == 0:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
            assert database.stale_source == 2

    with capture_logs() as lines:
        run(go())
    assert [line["event"] for line in lines] == [
        "the replica fails, reading from the primary",
        "the replica is back",
    ]


def test_a_statement_with_a_limit_of_its_own_is_not_begun_again(pair: Pair) -> None:
    """A statement that may take a part of the time, and takes longer, is refused as such and says nothing
    against the replica: whoever set the limit has another way."""

    async def go() -> None:
        async with opened(pair) as database:
            with pytest.raises(StatementTimeout):
                await database.fetch_all("SELECT SLEEP(5)", stale_ok=True, limit_s=0.1)
            assert await stale_count(database) == 1
            assert database.stale_source == 0

    run(go())


def test_both_away_is_a_refusal(pair: Pair, mariadb_server: MariaDb) -> None:
    """When neither server answers, the caller is refused in words."""

    async def go() -> None:
        nowhere = pair.primary.url.replace(f":{mariadb_server.port}/", ":1/")
        database = database_at(nowhere, POOL, pair.replica.url)
        try:
            assert await stale_count(database) == 1
            with killed(pair), pytest.raises(Unavailable, match="cannot be reached"):
                await stale_count(database)
        finally:
            await database.close()

    run(go())
