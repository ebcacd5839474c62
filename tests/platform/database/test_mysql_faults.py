"""A MariaDB that is cut off, frozen, overtaken: who asks it is answered rightly, or refused soon."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop

from farmlokal.errors import Unavailable
from farmlokal.platform.database.mysql import ATTEMPTS, MysqlDatabase
from farmlokal.platform.database.mysql_address import Address
from farmlokal.platform.database.mysql_faults import Failed
from farmlokal.platform.database.mysql_link import WRITE, Link
from farmlokal.platform.database.port import Contended, Transaction
from tests.faults.proxy import Proxy
from tests.support.catalogue import run
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.sql import USER, Database

REFUSED_S = 2.0 + 2.0
"""Longest a caller may wait for a refusal, whatever the server does; and as long for a machine that runs
other tests."""

RECOVERED_S = 5.0
"""Longest from the moment that the server is well again to the first right answer."""

COUNT = "SELECT COUNT(*) FROM categories"
CONNECTIONS = f"SELECT id FROM information_schema.processlist WHERE user = '{USER}'"


@pytest.fixture
def url(migrated_mariadb: Database) -> str:
    """A migrated, empty database."""
    return migrated_mariadb.url


@asynccontextmanager
async def opened(url: str, pool: int = 4) -> AsyncIterator[MysqlDatabase]:
    """The adapter, open."""
    database = MysqlDatabase(Address.parse(url), pool)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def add(tx: Transaction, name: str) -> int:
    """One category."""
    sql = "INSERT INTO categories (name, name_key) VALUES (%(name)s, %(name)s)"
    return await tx.execute(sql, {"name": name})


async def count(database: MysqlDatabase) -> int:
    """How many categories there are."""
    [(found,)] = await database.fetch_all(COUNT)
    return int(found)


async def refused(work: Awaitable[Any], kind: type[Unavailable] = Unavailable) -> str:
    """What it is refused with, in time and as this kind."""
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        await work
    assert time.monotonic() - started <= REFUSED_S
    return caught.value.detail


async def until(found: Any, within_s: float) -> None:
    """Poll until the coroutine that `found` makes says true."""
    deadline = time.monotonic() + within_s
    while not await found():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_a_storm_of_cancelled_queries_hands_nobody_the_rows_of_another(
    mariadb_server: MariaDb, url: str
) -> None:
    """When 2,000 callers give up at any moment, every other caller gets the rows of its own query."""

    async def go() -> None:
        async with opened(url, pool=5) as database:

            async def ask(number: int) -> None:
                sql = "SELECT %(number)s, SLEEP(%(pause)s), REPEAT('x', %(length)s)"
                given = {"number": number, "pause": (number % 3) / 1000, "length": (number % 7) * 20_000}
                [(found, _, text)] = await database.fetch_all(sql, given)
                assert (found, len(text)) == (number, given["length"])

            async def storm(start: int) -> list[Any]:
                tasks = [asyncio.create_task(ask(start + number)) for number in range(100)]
                for number, task in enumerate(tasks):
                    for _ in range(number % 11):
                        await asyncio.sleep(0)
                    if number % 5:
                        task.cancel()
                return await asyncio.gather(*tasks, return_exceptions=True)

            for start in range(0, 2500, 100):
                for result in await storm(start):
                    assert result is None or isinstance(result, asyncio.CancelledError | Unavailable), result

            async def is_calm() -> bool:
                return mariadb_server.connected() <= 5

            await until(is_calm, RECOVERED_S)
            await ask(1)

    run(go(), 120)


def test_a_cancelled_query_does_not_run_on(mariadb_server: MariaDb, url: str) -> None:
    """A query whose caller has gone is ended by the server within the limit of a statement."""
    running = "SELECT 1 FROM information_schema.processlist WHERE user = %s AND info LIKE %s"

    async def go() -> None:
        async with opened(url) as database:
            task = asyncio.create_task(database.fetch_all("SELECT SLEEP(30)"))

            async def is_running() -> bool:
                return bool(mariadb_server.administer(running, (USER, "%SLEEP(30)%")))

            async def is_gone() -> bool:
                return not await is_running()

            await until(is_running, RECOVERED_S)
            task.cancel()
            await until(is_gone, RECOVERED_S)

    run(go())


def test_a_slow_read_is_stopped(url: str) -> None:
    """A read that takes longer than it may is stopped by the server, and its connection is used again."""

    async def go() -> None:
        async with opened(url, pool=1) as database:
            [(before,)] = await database.fetch_all("SELECT CONNECTION_ID()")
            assert "longer" in await refused(database.fetch_all("SELECT SLEEP(30)"))
            assert await database.fetch_all("SELECT CONNECTION_ID()") == [(before,)]

    run(go())


def test_killed_connections_cost_no_read(mariadb_server: MariaDb, url: str) -> None:
    """When all connections are killed again and again, no read fails."""

    async def go() -> None:
        async with opened(url, pool=4) as database:
            for _ in range(20):
                await asyncio.gather(*(count(database) for _ in range(8)))
                mariadb_server.disconnect()
                results = await asyncio.gather(*(count(database) for _ in range(8)))
                assert results == [0] * 8

    run(go())


def test_killed_connections_cost_no_write_that_has_not_begun(mariadb_server: MariaDb, url: str) -> None:
    """A write on a connection that was killed while idle is done on another; one killed amidst is refused."""

    async def go() -> None:
        async with opened(url, pool=1) as database:
            for number in range(10):
                mariadb_server.disconnect()
                await database.write(lambda tx, name=str(number): add(tx, name))  # type: ignore[misc]
            runs = 0

            async def cut_off(tx: Transaction) -> None:
                nonlocal runs
                runs += 1
                await add(tx, "never")
                [(identity,)] = await tx.fetch_all("SELECT CONNECTION_ID()")
                mariadb_server.administer(f"KILL {identity}")
                await add(tx, "nor this")

            await refused(database.write(cut_off))
            assert (runs, await count(database)) == (1, 10)

    run(go())


def test_a_frozen_server_is_refused_soon_and_found_again_soon() -> None:
    """While the server is frozen 200 callers are refused within 2 s; when it goes on, so does everything."""

    async def go(server: MariaDb, url: str) -> None:
        async with opened(url, pool=10) as database:
            await asyncio.gather(*(count(database) for _ in range(10)))
            server.process.freeze()
            try:
                for _ in range(2):
                    reads = [refused(count(database)) for _ in range(190)]
                    writes = [refused(database.write(lambda tx: add(tx, "lost"))) for _ in range(10)]
                    await asyncio.gather(*reads, *writes)
            finally:
                server.process.thaw()

            async def answers() -> bool:
                try:
                    return await count(database) == 0
                except Unavailable:
                    return False

            await until(answers, RECOVERED_S)
            await database.write(lambda tx: add(tx, "kept"))
            assert await count(database) == 1

    with MariaDb() as server, server.migrated() as database:
        run(go(server, database.url))


def test_a_server_that_has_become_read_only(mariadb_server: MariaDb, url: str) -> None:
    """A write on a read-only server is refused, reads go on, and every connection of before is dropped."""

    async def go() -> None:
        async with opened(url, pool=2) as database:
            mine = "SELECT CONNECTION_ID(), SLEEP(0.05)"
            rows = await asyncio.gather(database.fetch_all(mine), database.fetch_all(mine))
            before = {identity for ((identity, _),) in rows}
            assert len(before) == 2
            mariadb_server.administer("SET GLOBAL read_only = 1")
            try:
                for _ in range(3):
                    said = await refused(database.write(lambda tx: add(tx, "lost")))
                    assert "no writes" in said
                assert await count(database) == 0
                after = {identity for (identity,) in mariadb_server.administer(CONNECTIONS)}
                assert after
                assert not before & after
            finally:
                mariadb_server.administer("SET GLOBAL read_only = 0")
            await database.write(lambda tx: add(tx, "kept"))
            assert await count(database) == 1

    run(go())


def test_a_deadlock_is_run_again(url: str) -> None:
    """Two transactions that wait for each other both succeed: the one that was rolled back is run again."""
    # By the unique key: without an index each would lock every row that it looks at.
    lock = "UPDATE categories SET name_hi = CONCAT(COALESCE(name_hi, ''), '+') WHERE name_key = %(name)s"

    async def go() -> None:
        async with opened(url) as database:
            await database.write(lambda tx: add(tx, "a"))
            await database.write(lambda tx: add(tx, "b"))
            runs = 0
            both = asyncio.Barrier(2)

            async def cross(tx: Transaction, first: str, second: str) -> None:
                nonlocal runs
                runs += 1
                await tx.execute(lock, {"name": first})
                if runs <= 2:
                    await both.wait()
                await tx.execute(lock, {"name": second})

            await asyncio.gather(
                database.write(lambda tx: cross(tx, "a", "b")), database.write(lambda tx: cross(tx, "b", "a"))
            )
            assert runs == 3
            assert await database.fetch_all("SELECT name_hi FROM categories") == [("++",), ("++",)]

    run(go())


@pytest.mark.parametrize("code", [1205, 1213, 1020])
def test_a_transaction_is_run_three_times_at_most(url: str, code: int) -> None:
    """A transaction that is rolled back on others' account again and again is refused after the third run."""

    async def go() -> None:
        async with opened(url) as database:
            runs = 0

            async def unlucky(tx: Transaction) -> None:
                nonlocal runs
                runs += 1
                await add(tx, "lost")
                await tx.execute(f"SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = {code}")

            await refused(database.write(unlucky), Contended)
            assert runs == ATTEMPTS
            assert await count(database) == 0

    run(go())


def test_a_lock_that_does_not_come_free(url: str) -> None:
    """A write that waits for a locked row is refused within 2 s, and leaves nothing behind."""

    async def go() -> None:
        async with opened(url) as database:
            await database.write(lambda tx: add(tx, "a"))

            async with opened(url) as second:
                holding, release = asyncio.Event(), asyncio.Event()

                async def keep(tx: Transaction) -> None:
                    await tx.execute("UPDATE categories SET name_hi = 'held'")
                    holding.set()
                    await release.wait()

                async def wait(tx: Transaction) -> None:
                    await add(tx, "lost")
                    await tx.execute("UPDATE categories SET name_hi = 'lost' WHERE name = 'a'")

                holder = asyncio.create_task(database.write(keep, bulk=True))
                await holding.wait()
                await refused(second.write(wait), Contended)
                release.set()
                await holder
            assert await database.fetch_all("SELECT name, name_hi FROM categories") == [("a", "held")]

    run(go())


def test_the_locks_of_a_client_that_has_stopped_come_free(url: str) -> None:
    """A client that stops in the middle of a transaction keeps its locks for as long as the transaction could
    have lasted, and not until somebody notices."""

    async def go() -> None:
        async with opened(url) as database:
            await database.write(lambda tx: add(tx, "a"))
            stopped = await Link.connect(Address.parse(url))
            await stopped.apply(WRITE)
            await stopped.begin()
            await stopped.run("UPDATE categories SET name_hi = 'half'")

            async def is_free() -> bool:
                try:
                    await database.write(lambda tx: tx.execute("UPDATE categories SET name_hi = 'whole'"))
                except Contended:
                    return False
                return True

            assert not await is_free()
            await until(is_free, 20)
            stopped.drop()
            assert await database.fetch_all("SELECT name_hi FROM categories") == [("whole",)]

    run(go())


def test_who_waits_too_long_for_a_connection_is_refused(url: str) -> None:
    """When all connections are taken, a caller waits half a second and not for ever; then all is well."""

    async def go() -> None:
        async with opened(url, pool=1) as database:
            inside, leave = asyncio.Event(), asyncio.Event()

            async def occupy(tx: Transaction) -> None:
                inside.set()
                await leave.wait()

            task = asyncio.create_task(database.write(occupy))
            await inside.wait()
            assert "more work" in await refused(count(database))
            leave.set()
            await task
            assert await count(database) == 0

    run(go())


def test_a_commit_whose_answer_is_lost_is_not_repeated(mariadb_server: MariaDb, url: str) -> None:
    """When the answer to a commit is lost the outcome is unknown: the caller hears so, nothing is redone."""

    async def go(proxy: Proxy) -> None:
        runs = 0

        async def work(tx: Transaction) -> None:
            nonlocal runs
            runs += 1
            await add(tx, "kept")

        async with opened(url.replace(f":{mariadb_server.port}/", f":{proxy.port}/")) as database:
            trap = proxy.cut_after(b"\x03COMMIT")
            assert "did not say" in await refused(database.write(work))
            assert (runs, trap.sprung) == (1, True)
            assert await count(database) == 1

    with Proxy(mariadb_server.port) as proxy:
        run(go(proxy))


CROWDS, CROWD = 40, 32
"""So many connect at once, so often: some are cut off before the driver has looked at their socket."""


def test_a_balancer_that_has_no_server() -> None:
    """Who is connected and cut off at once is refused in words, however early that was, in the event loop
    that serves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def cut_off() -> None:
            with suppress(OSError):
                while True:
                    accepted, _ = listener.accept()
                    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    accepted.close()

        thread = threading.Thread(target=cut_off)
        thread.start()

        async def connect() -> None:
            with pytest.raises(Failed):
                await Link.connect(Address.parse(f"mariadb://u:p@127.0.0.1:{listener.getsockname()[1]}/none"))

        async def go() -> None:
            for _ in range(CROWDS):
                await asyncio.gather(*(connect() for _ in range(CROWD)))

        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(asyncio.wait_for(go(), 60))
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
