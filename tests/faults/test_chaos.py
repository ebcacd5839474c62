"""Two instances, their database and their Redis are killed and frozen at random while events come in: what
was acknowledged is there, once, and every order is what its greatest events say.

`FARMLOKAL_TEST_CHAOS_SECONDS` is how long events come in on each engine (`make chaos` asks for 900). In the
first part of it nobody is disturbed, and answers have to come in time. `FARMLOKAL_TEST_CHAOS_SEED` repeats a
run.
"""

import http.client
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import NamedTuple

import pymysql
import pytest
import redis

from tests.faults.oracle import Record, Watch, judge
from tests.faults.processes import OwnedProcess, wait_until
from tests.faults.sender import Sender
from tests.faults.torment import Torment
from tests.faults.traffic import PRODUCTS, SCARCE, Traffic
from tests.support.catalogue import Shelf, connect, new_database
from tests.support.orders import SECRET, Books
from tests.support.server import Caller, Server, fleet
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.sql import connect as connect_to
from tests.support.servers.valkey import Valkey
from tests.support.sql_connection import Connection, MysqlConnection

SECONDS = float(os.environ.get("FARMLOKAL_TEST_CHAOS_SECONDS", "60"))
SEED = int(os.environ.get("FARMLOKAL_TEST_CHAOS_SEED") or SystemRandom().randrange(2**31))
RATE = float(os.environ.get("FARMLOKAL_TEST_CHAOS_RATE", "200"))
LONG = SECONDS >= 300
"""A campaign has the machine to itself, and its times are held to what is promised."""

READY_S = 5.0 if LONG else 15.0
"""Longest from the start of a killed process to its readiness, but for one in twenty."""

CALM_S = min(60.0, SECONDS / 5)
"""So long nobody is killed or frozen."""

SOON_S, LATE_S = 1.0 if LONG else 2.0, 5.0
"""Then 95 of 100 answers come this soon, and none comes later: the tightest known sender waits for 5 s."""

DRAIN_S = 60.0
"""Longest from the last fault until every event is acknowledged."""

PLENTY, FEW = 10**12, 100_000
"""Thousandths of a product that never runs out, and of one that does."""


class Town(NamedTuple):
    """What there is to torment."""

    servers: list[Server]
    torment: Torment
    connect: Callable[[], Connection]

    def port(self, toss: int) -> int:
        """The instance that a toss chooses."""
        return self.servers[toss % len(self.servers)].port

    def look(self, watch: Watch) -> None:
        """Look at the orders, where the database answers: nobody would thaw it while this waits for it."""
        if all(each.state == "up" for each in self.torment.victims if each.name == "database"):
            with closing(self.connect()) as connection:
                watch.look(Books(connection))


@contextmanager
def town(engine: str, folder: Path) -> Iterator[Town]:
    """Two instances over one database of this engine and one Valkey."""
    with ExitStack() as stack:
        valkey = stack.enter_context(Valkey())
        victims: dict[str, tuple[OwnedProcess, Callable[[], bool]]] = {}
        victims["redis"] = (valkey.process, lambda: _is_there(lambda: valkey.ask("PING")))
        url: str | Path
        connecting: Callable[[], Connection]
        if engine == "sqlite":
            url = path = new_database(folder)
            connecting = partial(connect, path)
        else:
            server = stack.enter_context(MariaDb())
            victims["database"] = (server.process, lambda: _is_there(lambda: server.administer("SELECT 1")))
            database = stack.enter_context(server.migrated())
            url = database.url
            connecting = lambda: MysqlConnection(connect_to(server.port, database.name))  # noqa: E731
        with closing(connecting()) as connection:
            shelf = Shelf(connection)
            for number in range(1, PRODUCTS + 1):
                shelf.product(f"p{number}", stock_milli=FEW if number > PRODUCTS - SCARCE else PLENTY)
        settings = {"FARMLOKAL_REDIS_URL": valkey.url, "FARMLOKAL_WEBHOOK_SECRETS": SECRET.decode()}
        servers = stack.enter_context(fleet(url, folder, 2, settings))
        for at, each in enumerate(servers):
            victims[f"app {at}"] = (each.process, partial(_is_there, partial(_ask_readiness, each.port)))
        yield Town(servers, Torment(victims, SEED), connecting)


def _is_there(ask: Callable[[], object]) -> bool:
    """Whether a process answers."""
    try:
        ask()
    except (OSError, http.client.HTTPException, pymysql.err.Error, redis.RedisError, AssertionError):
        return False
    return True


def _ask_readiness(port: int) -> None:
    with Caller(port, timeout_s=1) as caller:
        assert caller.ask("/readyz").status == 200


@pytest.mark.parametrize("engine", ["sqlite", "mariadb"])
def test_nothing_is_lost_doubled_or_turned_back(engine: str, tmp_path: Path) -> None:
    """While instances, database and Redis are killed and frozen at random, every event that was acknowledged
    has its effect exactly once, no order goes back, and a restarted process is ready soon."""
    print(f"\n{engine}, seed {SEED}, {SECONDS:.0f} s at {RATE:.0f} events/s")  # noqa: T201
    traffic = Traffic(SEED, RATE, SECONDS)
    deliveries = traffic.deliveries()
    with town(engine, tmp_path) as place:
        start_s = time.monotonic()
        record, watch = Record(tmp_path / "record.jsonl", start_s), Watch()
        sender = Sender(deliveries, place.port, record, SEED)
        sender.start()
        try:
            wait_until(lambda: time.monotonic() > start_s + CALM_S, "the calm is over", CALM_S + 5)
            calm = sorted(record.seconds)
            place.torment.run(
                start_s + SECONDS,
                lambda fault, name: record.note(time.monotonic(), "fault", fault, name),
                lambda: place.look(watch),
            )
        finally:
            sender.join(DRAIN_S)
            record.close()
        restarted_s = time.monotonic()
        place.servers[0].process.restart()  # one restart in peace, which a short run might not have had
        place.torment.restarts_s.append(time.monotonic() - restarted_s)
        with closing(place.connect()) as connection:
            books = Books(connection)
            watch.look(books)
            stock = {at: FEW if at > PRODUCTS - SCARCE else PLENTY for at in range(1, PRODUCTS + 1)}
            verdict = judge(traffic.events, record.acknowledged, books, stock)
            kept = books.letters()
    slow, restarts, faults = sorted(record.seconds), sorted(place.torment.restarts_s), place.torment.faults
    print(  # noqa: T201
        f"{len(traffic.events)} events, {len(deliveries)} deliveries, {sender.sent} sent, {record.cut} cut;"
        f" answers {dict(record.statuses)} {dict(record.words)}\n"
        f"{faults.total()} faults {dict(faults)}; instances ready again {len(restarts)} times:"
        f" half in {_at(restarts, 0.5):.1f} s, 95 % in {_at(restarts, 0.95):.1f} s\n"
        f"in calm {len(calm)} answered: 95 % in {_at(calm, 0.95):.3f} s, all in {_at(calm, 1):.3f} s\n"
        f"answered: half in {_at(slow, 0.5):.3f} s, 95 % in {_at(slow, 0.95):.3f} s\n"
        f"lost {len(verdict.lost)}, doubled {len(verdict.doubled)},"
        f" regressed {len(verdict.regressed) + len(watch.backward)} in {watch.looks} looks"
    )
    assert not sender.wrong, sender.wrong[:5]
    assert not sender.left, f"{sender.left} deliveries were never acknowledged"
    assert len(record.acknowledged) == len(traffic.events)
    assert verdict == ([], [], []), {name: found[:5] for name, found in verdict._asdict().items()}
    assert not watch.backward
    assert not kept
    assert _at(restarts, 0.95) <= READY_S
    assert len(calm) > RATE * CALM_S / 2
    assert _at(calm, 0.95) < SOON_S
    assert _at(calm, 1) < LATE_S
    assert faults.total() > SECONDS / 10


def _at(values: list[float], share: float) -> float:
    """The value at this share of a sorted list."""
    return values[int((len(values) - 1) * share)] if values else 0.0
