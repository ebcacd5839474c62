"""Five faults of a real server, each begun on command, for whoever watches the dashboard meanwhile."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx2

from farmlokal.suppliers.simulator import Behaviour
from tests.faults.proxy import Proxy
from tests.support.catalogue import connect
from tests.support.orders import body, poisoned
from tests.support.provider import simulated
from tests.support.server import Server, serving
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.sql import Database
from tests.support.servers.valkey import Valkey

WITHIN_S = 5.0
"""From a fault to its alert (issue 8)."""

DELAY_S = 0.3
"""Of each answer of the slow database: a read of one statement is slow and in time."""

WARM_UP_DELAY_S = 0.05

TOLD = {
    "supplier down": "FarmLokalSupplierDown",
    "Redis frozen": "FarmLokalRedisAway",
    "database slow": "FarmLokalDatabaseSlow",
    "webhook poison": "FarmLokalDeadLetters",
    "limiter hit": "FarmLokalLimitHit",
}
"""The alert of each fault."""


class Case(NamedTuple):
    """A server that is well, and what is done to it. `usual` is asked before, `asked` once it is done."""

    server: Server
    alert: str
    begin: Callable[[], object]
    asked: Callable[[str], object]
    usual: str = "/api/categories"
    subject: str = ""


def ask(server: Server, paths: list[str], source: str = "127.0.0.1") -> None:
    """These paths, eight at once, from this address."""
    base, transport = f"http://127.0.0.1:{server.port}", httpx2.HTTPTransport(local_address=source)
    with (
        httpx2.Client(base_url=base, transport=transport, timeout=20) as caller,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(caller.get, paths))


@contextmanager
def supplier_down(path: Path, log: Path) -> Iterator[Case]:
    """The supplier answers 503."""
    with simulated() as outside, serving(path, log, outside.settings) as server:
        pages = [f"/external/products?limit=10&skip={number}" for number in range(8)]
        yield Case(
            server,
            TOLD["supplier down"],
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
            TOLD["Redis frozen"],
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

        yield Case(server, TOLD["webhook poison"], send, lambda round_: None)
    connection.close()


@contextmanager
def limit_hit(path: Path, log: Path) -> Iterator[Case]:
    """One caller, who is not the one that watches, asks far more than its quota."""
    with serving(path, log, {"FARMLOKAL_RATE_LIMIT": "60/60s;burst=30"}) as server:
        many = ["/api/categories"] * 100
        yield Case(server, TOLD["limiter hit"], lambda: ask(server, many, "127.0.0.2"), lambda round_: None)


FAULTS = {
    "supplier down": supplier_down,
    "Redis frozen": redis_frozen,
    "webhook poison": event_poisoned,
    "limiter hit": limit_hit,
}


@contextmanager
def database_slow(server: MariaDb, database: Database, log: Path) -> Iterator[Case]:
    """Every answer of the database comes late. It is migrated already."""
    with Proxy(server.port) as proxy, serving(server.url(database.name, proxy.port), log) as ours:
        # Slow enough that each of these needs a connection of its own. To make one takes so many answers that
        # it would fail later, which is another alert.
        proxy.delay(to_client_s=WARM_UP_DELAY_S)
        ask(ours, [f"/api/products?limit={number}" for number in range(1, 9)])
        proxy.delay(to_client_s=0)
        yield Case(
            ours,
            TOLD["database slow"],
            lambda: proxy.delay(to_client_s=DELAY_S),
            lambda round_: ask(ours, [f"/api/products?limit={round_}9"]),
        )
