"""Five faults, each done to a real server, and what the dashboard says: its own alert and no other."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from farmlokal.ops.alerts import TEXTS
from farmlokal.suppliers.simulator import Behaviour
from tests.faults.proxy import Proxy
from tests.support.asgi import furnish
from tests.support.catalogue import Shelf, connect
from tests.support.orders import body, poisoned
from tests.support.provider import simulated
from tests.support.server import Server, serving
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.sql import Database
from tests.support.servers.valkey import Valkey
from tests.support.watching import watching

WITHIN_S = 5.0
"""From a fault to its alert (issue 8)."""

DELAY_S = 0.3
"""Of each answer of the slow database: a read of one statement is slow and in time."""


class Case(NamedTuple):
    """A server that is well, and what is done to it. `usual` is asked before, `asked` once it is done."""

    server: Server
    alert: str
    begin: Callable[[], object]
    asked: Callable[[str], object]
    usual: str = "/api/categories"
    subject: str = ""


def ask(server: Server, paths: list[str]) -> None:
    """These paths, eight at once."""
    base = f"http://127.0.0.1:{server.port}"
    with httpx2.Client(base_url=base, timeout=20) as caller, ThreadPoolExecutor(8) as pool:
        list(pool.map(caller.get, paths))


@contextmanager
def supplier_down(path: Path, log: Path) -> Iterator[Case]:
    """The supplier answers 503."""
    with simulated() as outside, serving(path, log, outside.settings) as server:
        pages = [f"/external/products?limit=10&skip={number}" for number in range(8)]
        yield Case(
            server,
            "FarmLokalSupplierDown",
            lambda: outside.play(Behaviour(status=503), at="dummyjson"),
            lambda round_: ask(server, [f"{page}{round_}" for page in pages]),
            "/external/products",
            "external",
        )


@contextmanager
def redis_frozen(path: Path, log: Path) -> Iterator[Case]:
    """Redis stands still."""
    with Valkey() as valkey, serving(path, log, {"FARMLOKAL_REDIS_URL": valkey.url}) as server:
        yield Case(
            server,
            "FarmLokalRedisAway",
            valkey.process.freeze,
            lambda round_: ask(server, [f"/api/products?limit=1{round_}"]),
        )


@contextmanager
def event_poisoned(path: Path, log: Path) -> Iterator[Case]:
    """An event that cannot be written is sent five times."""
    connection = connect(path)
    with serving(path, log) as server, poisoned(connection, "poison"):

        def send() -> None:
            url = f"http://127.0.0.1:{server.port}/webhook/order-update"
            event = body("poison", "order-1", status="placed", occurredAt="2026-07-24T06:30:00Z", items=[])
            sent = [
                httpx2.post(url, content=event, headers={"content-type": "application/json"})
                for _ in range(5)
            ]
            assert [each.status_code for each in sent] == [503] * 4 + [422], sent[0].text

        yield Case(server, "FarmLokalDeadLetters", send, lambda round_: None)
    connection.close()


@contextmanager
def limit_hit(path: Path, log: Path) -> Iterator[Case]:
    """One caller asks far more than its quota."""
    with serving(path, log, {"FARMLOKAL_RATE_LIMIT": "60/60s;burst=30"}) as server:
        many = ["/api/categories"] * 100
        yield Case(server, "FarmLokalLimitHit", lambda: ask(server, many), lambda round_: None)


FAULTS = {
    "supplier down": supplier_down,
    "Redis frozen": redis_frozen,
    "webhook poison": event_poisoned,
    "limiter hit": limit_hit,
}


def _told(case: Case) -> None:
    """Nothing is told before, then within the limit this alert, and at no time another."""
    ask(case.server, [case.usual])
    with watching(case.server.port) as watcher:
        for _ in range(2):
            watcher.next()
        assert watcher.alerts == [set(), set()]
        case.begin()
        case.asked("0")
        event = watcher.until(lambda event: event["alerts"], case.alert, WITHIN_S)
        for number in range(1, 3):
            case.asked(str(number))
            watcher.next()
        assert {name for each in watcher.alerts for name in each} == {case.alert}
        assert event["alerts"] == [{"name": case.alert, "text": TEXTS[case.alert], "subject": case.subject}]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_by_its_own_alert(
    shelf: Shelf, database_path: Path, tmp_path: Path, fault: str
) -> None:
    """A supplier that is down, a frozen Redis, an event that cannot be written and a caller that asks too
    much: the dashboard says so within five seconds, and says nothing else."""
    furnish(shelf)
    with FAULTS[fault](database_path, tmp_path / "log") as case:
        _told(case)


def test_a_slow_database_is_told_as_that(
    mariadb_server: MariaDb, migrated_mariadb: Database, tmp_path: Path
) -> None:
    """A database whose answers come late is told as a slow database within five seconds, and as nothing
    else."""
    with Proxy(mariadb_server.port) as proxy:
        url = mariadb_server.url(migrated_mariadb.name, proxy.port)
        with serving(url, tmp_path / "log") as server:
            lists = [f"/api/products?limit={number}" for number in range(1, 5)]
            ask(server, lists)  # connections for all of them: to make one takes many answers
            _told(
                Case(
                    server,
                    "FarmLokalDatabaseSlow",
                    lambda: proxy.delay(to_client_s=DELAY_S),
                    lambda round_: ask(server, [f"/api/products?limit={round_}9"]),
                )
            )
