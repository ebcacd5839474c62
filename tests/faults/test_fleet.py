"""Two processes over one MariaDB and one Valkey: one loads for both, and its death costs a lease."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.processes import wait_until
from tests.support.asgi import furnish
from tests.support.catalogue import Shelf
from tests.support.server import Answer, Caller, Server, fleet
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.sql import Database
from tests.support.servers.valkey import Valkey
from tests.support.sql_connection import MysqlConnection

CALLERS = 200
KEYS = 5
WAITING = 20


@pytest.fixture(scope="module")
def mariadb_server() -> Iterator[MariaDb]:
    """A server that notes down every statement."""
    with MariaDb({"general-log": "ON", "log-output": "TABLE"}) as server:
        yield server


@contextmanager
def furnished(server: MariaDb) -> Iterator[Database]:
    """A database with a few products."""
    with server.migrated() as database:
        with server.connection(database.name) as connection:
            furnish(Shelf(MysqlConnection(connection)))
        yield database


def target(price: int) -> str:
    """A listing that is told in the log of the server by its price."""
    return f"/api/products?sort=price&minPrice={price}"


def queries(server: MariaDb, price: int) -> int:
    """How often the listing was read from the database."""
    [(count,)] = server.administer(
        "SELECT COUNT(*) FROM mysql.general_log WHERE argument LIKE %s",
        (f"SELECT products.price_minor%BETWEEN {price * 100} AND%",),
    )
    return int(count)


def ask(server: Server, price: int) -> Answer:
    """One caller's question, on a connection of its own."""
    with Caller(server.port) as caller:
        return caller.ask(target(price))


def test_misses_of_one_key_on_two_instances_are_one_query(mariadb_server: MariaDb, tmp_path: Path) -> None:
    """Two hundred callers at once, half of them at each instance: every one is answered, from one query.

    An instance that Redis keeps waiting for over a tenth of a second loads for itself, as it should; a busy
    machine does that now and then. So no instance may ask twice, and of five keys one at least is asked once.
    """
    with (
        furnished(mariadb_server) as database,
        Valkey() as redis,
        fleet(database.url, tmp_path, 2, {"FARMLOKAL_REDIS_URL": redis.url}) as instances,
        ThreadPoolExecutor(CALLERS) as pool,
    ):
        asked = []
        for price in range(1, KEYS + 1):
            answers: list[Future[Answer]] = [
                pool.submit(ask, instances[number % 2], price) for number in range(CALLERS)
            ]
            bodies = {answer.result().body for answer in answers}
            assert {answer.result().status for answer in answers} == {200}
            assert len(bodies) == 1
            asked.append(queries(mariadb_server, price))
    assert max(asked) <= len(instances), asked
    assert min(asked) == 1, asked


def test_an_instance_that_is_killed_while_it_loads_is_replaced(
    mariadb_server: MariaDb, tmp_path: Path
) -> None:
    """Who waits for an instance that dies is answered by its own, once the lease of the dead has ended."""
    with (
        furnished(mariadb_server) as database,
        Valkey() as redis,
        fleet(database.url, tmp_path, 2, {"FARMLOKAL_REDIS_URL": redis.url}) as [leader, other],
        ThreadPoolExecutor(WAITING + 1) as pool,
        mariadb_server.connection(database.name, "root") as root,
        root.cursor() as cursor,
    ):
        cursor.execute("LOCK TABLES products WRITE")
        lost = pool.submit(ask, leader, 9)
        wait_until(lambda: bool(redis.ask("KEYS", "farmlokal:lease:*")), "the leader has its lease")
        waiting = [pool.submit(ask, other, 9) for _ in range(WAITING)]
        wait_until(lambda: in_flight(other) >= WAITING, "all wait")
        before = queries(mariadb_server, 9)
        leader.process.kill()
        cursor.execute("UNLOCK TABLES")
        assert {answer.result().status for answer in waiting} == {200}
        assert isinstance(lost.exception(), OSError)
        assert queries(mariadb_server, 9) == before + 1


def in_flight(server: Server) -> int:
    """Requests that a server is working on, this one left out."""
    with Caller(server.port) as caller:
        return int(caller.ask("/metrics").json()["inFlight"]) - 1
