"""A fleet on one machine, every part of it real: a Galera cluster behind HAProxy, Redis, two instances,
HAProxy.

The database waits for the disk at each commit. All of it listens on the loopback and leaves nothing behind.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import redis

from tests.faults.processes import wait_until
from tests.faults.traffic import PRODUCTS, SCARCE
from tests.support.catalogue import Shelf
from tests.support.orders import SECRET, Books
from tests.support.server import Server, fleet
from tests.support.servers.galera import FLUSHED, Galera, GaleraNode
from tests.support.servers.groups import clustered, watched
from tests.support.servers.haproxy import HaProxy
from tests.support.servers.sql import Database
from tests.support.servers.sql import connect as connect_to
from tests.support.servers.valkey import Valkey
from tests.support.sql_connection import MysqlConnection

PLENTY, FEW = 10**12, 100_000
"""Thousandths of a product that never runs out, and of one that does."""

STOCK = {number: FEW if number > PRODUCTS - SCARCE else PLENTY for number in range(1, PRODUCTS + 1)}
"""What there is of each product at first, by its id."""

BACKENDS = ("ready", "living")
"""Those of HAProxy that have the instances."""

BACK_S = 30
"""Longest until a balancer knows that a server is there, or gone."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Redis:
    """Servers of which any may die."""

    url: str
    servers: list[Valkey]

    def primaries(self) -> list[Valkey]:
        """Those that live and take writes."""
        return [each for each in self.servers if each.process.alive and _role(each) == "master"]


@dataclass(frozen=True)
class Town:
    """What there is."""

    galera: Galera
    database: Database
    redis: Redis
    instances: list[Server]
    writers: HaProxy
    shop: HaProxy

    def writer(self) -> GaleraNode:
        """The node that the instances are connected to."""
        wait_until(lambda: self.writers.busiest("database") is not None, "somebody is connected", BACK_S)
        name = self.writers.busiest("database")
        return next(node for node in self.galera.nodes if node.name == name)

    @contextmanager
    def books(self, node: GaleraNode) -> Iterator[Books]:
        """What is in the database, as one of its nodes has it."""
        with closing(MysqlConnection(connect_to(node.port, self.database.name))) as connection:
            yield Books(connection)

    def drain(self, number: int) -> None:
        """Give an instance no new requests, and wait until it has none."""
        name = f"app{number + 1}"
        for backend in BACKENDS:
            self.shop.tell(f"set server {backend}/{name} state drain")
        wait_until(
            lambda: not any(int(self.shop.states(each)[name]["scur"]) for each in BACKENDS),
            f"{name} has no request left",
            BACK_S,
        )

    def admit(self, number: int) -> None:
        """Give it requests again, once it says that it is ready."""
        name = f"app{number + 1}"
        for backend in BACKENDS:
            self.shop.tell(f"set server {backend}/{name} state ready")
        wait_until(lambda: name in self.shop.up("ready"), f"{name} gets requests", BACK_S)

    def restart_instances(self) -> None:
        """One after another, as a deployment does: drained, told to leave, started, admitted."""
        for number, each in enumerate(self.instances):
            self.drain(number)
            each.terminate()
            each.process.start()
            self.admit(number)

    def agree(self) -> bool:
        """Whether all nodes have the same orders, events and stock."""
        found = []
        for node in self.galera.nodes:
            with self.books(node) as books:
                found.append((books.everything(), sorted(books.events())))
        return all(each == found[0] for each in found)


@contextmanager
def town(folder: Path, say: Say, *, sentinels: bool = False) -> Iterator[Town]:
    """All of it, with a catalogue; `say` is told what is started."""
    with ExitStack() as stack:
        enter = stack.enter_context
        galera = enter(Galera(FLUSHED))
        say(f"MariaDB Galera on ports {_ports(galera.nodes)}: three nodes, a commit is flushed by each")
        database = enter(galera.nodes[0].migrated())
        _furnish(galera.nodes[0], database)
        writers = enter(
            HaProxy(
                "haproxy-database.cfg",
                "DATABASE",
                {f"NODE_{at}": f"127.0.0.1:{node.port}" for at, node in enumerate(galera.nodes, 1)},
            )
        )
        wait_until(lambda: len(writers.up("database")) == len(galera.nodes), "all nodes are in step", BACK_S)
        say(f"HAProxy before it on port {writers.port}: one writer at a time, {_page(writers.stats_port)}")
        redis = enter(_watched() if sentinels else _clustered())
        kind = (
            "one primary, two replicas, three sentinels" if sentinels else "three primaries, three replicas"
        )
        say(f"Valkey on ports {_ports(redis.servers)}: {kind}")
        settings = {
            "FARMLOKAL_REDIS_URL": redis.url,
            "FARMLOKAL_WEBHOOK_SECRETS": SECRET.decode(),
            "FARMLOKAL_RATE_LIMIT": "1000000/1s;burst=1000000",
            "FARMLOKAL_TRUSTED_PROXIES": "127.0.0.1/32",
            # While one of two is away the other one has all readers.
            "FARMLOKAL_DATABASE_POOL": "25",
        }
        url = galera.nodes[0].url(database.name, writers.port)
        instances = enter(fleet(url, folder, 2, settings))
        for each in instances:
            say(f"an instance on port {each.port}, its dashboard {_page(each.port, 'ops')}")
        shop = enter(
            HaProxy(
                "haproxy-shop.cfg",
                "SHOP",
                {f"APP_{at}": f"127.0.0.1:{each.port}" for at, each in enumerate(instances, 1)},
            )
        )
        wait_until(lambda: len(shop.up("ready")) == len(instances), "both instances are ready", BACK_S)
        say(f"HAProxy before them: the shop {_page(shop.port)}, its numbers {_page(shop.stats_port)}")
        yield Town(galera, database, redis, instances, writers, shop)


def targets() -> list[str]:
    """What readers ask for, one after another: four lists or searches, which are cached, and a product, which
    is read from the database. That is what a shop day is made of (`farmlokal loadtest`)."""
    # Few: every event that moves stock makes all lists old, and what is asked for is made anew.
    lists = cycle(
        [
            *(f"/api/products?limit=20&sort={sort}" for sort in ("id", "price", "-createdAt")),
            *(f"/api/products?search={word}" for word in ("tomato", "rice")),
        ]
    )
    asked = []
    for number in STOCK:
        asked += [*islice(lists, 4), f"/api/products/{number}"]
    return asked


@contextmanager
def _clustered() -> Iterator[Redis]:
    with clustered(3, 3) as group:
        yield Redis(group.url, [*group.servers, *group.replicas])


@contextmanager
def _watched() -> Iterator[Redis]:
    with watched() as group:
        yield Redis(group.url, group.servers)


def _role(server: Valkey) -> str:
    try:
        return str(server.ask("INFO", "replication")["role"])
    except redis.RedisError:
        return "away"


def _furnish(node: GaleraNode, database: Database) -> None:
    words = ("Tomato", "Okra", "Rice", "Nendran banana")
    with closing(MysqlConnection(connect_to(node.port, database.name))) as connection:
        shelf = Shelf(connection)
        connection.execute("BEGIN")
        for number, milli in STOCK.items():
            name = f"{words[number % len(words)]} {number}"
            # Ids of our own: those of the cluster go in threes.
            shelf.product(name, id=number, stock_milli=milli, price_minor=1000 + number)
        connection.execute("COMMIT")


def _ports(servers: Sequence[GaleraNode] | Sequence[Valkey]) -> str:
    return ", ".join(str(each.port) for each in servers)


def _page(port: int, path: str = "") -> str:
    return f"http://127.0.0.1:{port}/{path}"
