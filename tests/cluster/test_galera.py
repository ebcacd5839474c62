"""A real Galera cluster, written to at several nodes at once: nothing is locked across nodes, and of two
commits that meet the first one counts. Nothing may be lost by that, and nothing done twice.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from contextvars import Context
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from farmlokal.errors import Unavailable
from farmlokal.migrations import newest
from farmlokal.migrations.runner import upgrade
from farmlokal.orders.inbox import Outcome
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import Database, Transaction
from tests.cluster.town import STOCK
from tests.faults.oracle import Record, judge
from tests.faults.processes import wait_until
from tests.faults.sender import Sender
from tests.faults.traffic import Traffic
from tests.support.catalogue import Shelf, opened, run
from tests.support.orders import SECRET, Books, event, inbox
from tests.support.provider import simulated
from tests.support.server import command, environment, serving
from tests.support.servers.galera import Galera, GaleraNode
from tests.support.servers.sql import Database as Named
from tests.support.servers.sql import connect as connect_to
from tests.support.sql_connection import MysqlConnection
from tests.support.suppliers import syncing

pytestmark = pytest.mark.xdist_group("cluster")

MIGRATION_S = 60
"""Longest a migration may take, each of whose statements waits for all nodes."""

REFUSED_S = 2.0 + 1.0
"""Longest until a write is refused: 2 s by our promise, and what a busy machine adds."""

ADD = "UPDATE catalogue_version SET version = version + 1"
COUNT = "SELECT version FROM catalogue_version"
"""The row at which all that write the catalogue meet."""


@asynccontextmanager
async def two(galera: Galera, database: Named) -> AsyncIterator[tuple[Database, Database]]:
    """The product's adapter at two nodes."""
    one, other = (node.url(database.name) for node in galera.nodes[:2])
    async with opened(one) as first, opened(other) as second:
        yield first, second


def there(node: GaleraNode, database: Named, sql: str) -> None:
    """Wait until a node has applied what another has committed."""
    with closing(MysqlConnection(connect_to(node.port, database.name))) as connection:
        wait_until(lambda: bool(connection.execute(sql).fetchall()), f"{node.name} has it")


def test_a_transaction_that_another_node_overtook_runs_again(galera: Galera, database: Named) -> None:
    """A transaction whose row was changed at another node before its commit is rolled back by the cluster
    (1213) and runs again as a whole: both changes are there."""

    async def go() -> None:
        async with two(galera, database) as (one, other):
            [(before,)], runs = await one.fetch_all(COUNT), 0

            async def overtaken(tx: Transaction) -> None:
                nonlocal runs
                runs += 1
                await tx.execute(ADD)
                if runs == 1:
                    await asyncio.create_task(other.write(lambda tx: tx.execute(ADD)), context=Context())

            await one.write(overtaken)
            assert runs == 2
            assert await one.fetch_all(COUNT) == [(before + 2,)]

    run(go(), 60)


def test_of_changes_that_meet_each_is_made_once(galera: Galera, database: Named) -> None:
    """Two nodes change one row as fast as they can: every change that was acknowledged is there, once, and
    some were run again or refused."""

    async def go() -> None:
        async with two(galera, database) as both:
            [(before,)] = await both[0].fetch_all(COUNT)
            runs = kept = refused = 0

            async def add(tx: Transaction) -> None:
                nonlocal runs
                runs += 1
                await tx.execute(ADD)

            async def adding(where: Database) -> None:
                nonlocal kept, refused
                for _ in range(60):
                    try:
                        await where.write(add)
                        kept += 1
                    except Unavailable:
                        refused += 1

            await asyncio.gather(*map(adding, both))
            print(f"{runs} runs: {kept} kept, {refused} refused")  # noqa: T201
            assert runs > kept + refused
            assert kept > 60
            for each in both:
                await eventually(each, COUNT, before + kept)

    run(go(), 120)


async def eventually(database: Database, sql: str, value: int) -> None:
    """Wait until a node answers, and has applied what others have committed."""
    deadline, found = time.monotonic() + 30, list[Any]()
    while found != [(value,)]:
        assert time.monotonic() < deadline, (found, value)
        await asyncio.sleep(0.02)
        with suppress(Unavailable):
            found = await database.fetch_all(sql)


def test_ids_are_right_while_nodes_come_and_go(galera: Galera, database: Named, shelf: Shelf) -> None:
    """Ids are given in steps as wide as the cluster is large. On a connection that was open before a node
    died, the ids of rows that are written together are those that the rows have."""
    last = galera.nodes[2]

    async def go() -> None:
        async with inbox(galera.nodes[0].url(database.name)) as (box, kept):
            for number in range(3):
                if number == 1:
                    last.process.kill()
                    galera.wait_for_size(2)
                if number == 2:
                    last.process.start(60)
                    galera.wait_for_size(3)
                batch = [event(f"e{number}{each}", f"o{number}{each}", sequence=1) for each in range(5)]
                assert await box.record(batch, wait=True) == [Outcome.PROCESSED] * 5
            strange = await kept.fetch_all(
                "SELECT e.event_id, o.order_key FROM order_events e JOIN orders o ON o.id = e.order_id"
                " WHERE SUBSTRING(e.event_id, 2) <> SUBSTRING(o.order_key, 2)"
            )
            assert not strange
            [(joined,)] = await kept.fetch_all(
                "SELECT COUNT(*) FROM order_events e JOIN orders o ON o.id = e.order_id"
            )
            assert joined == 15

    run(go(), 120)


def test_a_node_without_a_majority_is_refused_in_time(galera: Galera, database: Named) -> None:
    """A commit during which a node loses the others may have been kept or not (1180). After it the node
    takes no reads and no writes (1047): 503 within 2 s. When the others are back it is used again."""
    first, *others = galera.nodes

    async def go() -> None:
        async with opened(first.url(database.name)) as alone:
            await alone.fetch_all("SELECT 1")
            for node in others:
                node.process.freeze()
            with pytest.raises(Unavailable, match="did not say whether the change was kept"):
                await alone.write(lambda tx: tx.execute(ADD), bulk=True)
            assert first.state()["wsrep_ready"] == "OFF"
            for ask in (
                lambda: alone.fetch_all("SELECT COUNT(*) FROM products"),
                lambda: alone.write(lambda tx: tx.execute(ADD)),
            ):
                began_s = time.monotonic()
                with pytest.raises(Unavailable) as refusal:
                    await ask()
                assert time.monotonic() - began_s < REFUSED_S
                assert refusal.value.detail == "the database takes no writes now"
            for node in others:
                node.process.thaw()
            await eventually(alone, "SELECT COUNT(*) FROM products", 0)

    run(go(), 120)


SECONDS, RATE = 6.0, 60.0
"""Of events at two nodes at once, which meet at orders, stock and the version of the catalogue."""


def test_events_at_two_nodes(galera: Galera, database: Named, shelf: Shelf, tmp_path: Path) -> None:
    """Two instances take the events of the same orders and write to two nodes, where `FOR UPDATE` and `SKIP
    LOCKED` of one mean nothing to the other: nothing is lost, nothing has its effect twice, no order goes
    back."""
    for product, milli in STOCK.items():
        shelf.product(f"p{product}", id=product, stock_milli=milli)
    there(galera.nodes[1], database, f"SELECT 1 FROM products WHERE id = {len(STOCK)}")
    traffic = Traffic(1, RATE, SECONDS)
    record = Record(tmp_path / "record.jsonl", time.monotonic())
    settings = {"FARMLOKAL_WEBHOOK_SECRETS": SECRET.decode()}
    with ExitStack() as stack:
        ports = [
            stack.enter_context(
                serving(node.url(database.name), tmp_path / f"{node.name}.log", settings)
            ).port
            for node in galera.nodes[:2]
        ]
        sender = Sender(traffic.deliveries(), lambda toss: ports[toss % 2], record, 1)
        sender.start()
        sender.join(SECONDS + 60)
        record.close()
    print(f"answers {dict(record.statuses)} {dict(record.words)}")  # noqa: T201
    assert not sender.wrong, sender.wrong[:5]
    assert not sender.left
    for node in galera.nodes:
        with closing(MysqlConnection(connect_to(node.port, database.name))) as connection:
            books = Books(connection)
            wait_until(lambda: len(books.events()) == len(traffic.events), "all is applied", 10)  # noqa: B023
            assert judge(traffic.events, record.acknowledged, books, STOCK) == ([], [], [])
            assert not books.letters()


def test_one_scheduler_of_two(galera: Galera, database: Named) -> None:
    """When the time of a sync has come, two processes at two nodes that look at once begin one run of it."""

    async def go() -> None:
        with simulated() as outside:
            async with (
                syncing(galera.nodes[0].url(database.name), outside, SystemClock()) as one,
                syncing(galera.nodes[1].url(database.name), outside, SystemClock()) as other,
            ):
                assert await one.begin_due("mandi") is None
                with galera.nodes[0].connection(database.name) as plain, plain.cursor() as cursor:
                    cursor.execute("UPDATE supplier_turns SET next_sync_us = 0")
                there(galera.nodes[1], database, "SELECT 1 FROM supplier_turns WHERE next_sync_us = 0")
                found = await asyncio.gather(*(each.begin_due("mandi") for each in (one, other) * 4))
                assert len([turn for turn in found if turn is not None]) == 1

    run(go(), 60)


def test_two_migrators_at_two_nodes(galera: Galera, tmp_path: Path) -> None:
    """Of two migrations at two nodes, where neither sees the other's lock (`GET_LOCK` is a node's own), one
    does its work, and the other one does or is refused in words; run again, it finds nothing left to do."""
    name = galera.nodes[0].new_database().name
    urls = [node.url(name) for node in galera.nodes[:2]]
    wait_until(lambda: bool(galera.nodes[1].administer(f"SHOW DATABASES LIKE '{name}'")), "it is there")
    said = [(tmp_path / f"{number}").open("w+") for number in range(2)]
    started = [
        Popen(command("migrate"), env=environment(url), stderr=log)
        for url, log in zip(urls, said, strict=True)
    ]
    failed = []
    for each, log in zip(started, said, strict=True):
        with log:
            if each.wait(MIGRATION_S):
                log.seek(0)
                failed.append(" ".join(log.read().split()))
    assert len(failed) < 2, failed
    assert all("run it again" in each and "Traceback" not in each for each in failed), failed
    upgrade(urls[0])
    for node in galera.nodes:
        there(node, Named(name, ""), f"SELECT 1 FROM alembic_version WHERE version_num = '{newest()}'")
