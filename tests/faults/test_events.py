"""Events to real servers over real sockets: crowds, callers that leave, endless bodies, locked rows."""

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.sender import delivery, post
from tests.support.catalogue import Shelf, run
from tests.support.engines import FreshDatabase
from tests.support.orders import SECRET, Books, body
from tests.support.server import Caller, Server, fleet

LEAVERS = int(os.environ.get("FARMLOKAL_TEST_LEAVERS", "300"))
"""Callers that leave right after the last byte; 1,000 take a few seconds more."""


@pytest.fixture
def books(fresh_database: FreshDatabase, fresh_shelf: Shelf) -> Iterator[Books]:
    """What is in the database, which has a million kg of product 1."""
    fresh_shelf.product(stock_milli=10**9)
    with closing(fresh_database.connect()) as connection:
        yield Books(connection)


@pytest.fixture
def servers(fresh_database: FreshDatabase, books: Books, tmp_path: Path) -> Iterator[list[Server]]:
    """Two instances over it."""
    with fleet(fresh_database.url, tmp_path, 2, {"FARMLOKAL_WEBHOOK_SECRETS": SECRET.decode()}) as running:
        yield running


async def posted(servers: list[Server], *contents: bytes) -> Counter[tuple[int, bytes]]:
    """What is answered to these events, sent at once, to the instances in turn."""
    sends = (post(servers[at % len(servers)].port, content) for at, content in enumerate(contents))
    return Counter(await asyncio.gather(*sends))


def test_a_crowd_and_a_departure(servers: list[Server], books: Books) -> None:
    """One event three hundred times at once on two instances has one effect and no bad answer; of callers
    that leave right after their last byte each event is applied whole or not at all, and a resend settles."""
    once = body("crowd", "o", items=[(1, 1, "kg")])
    answers = run(posted(servers, *[once] * 300), 120)
    assert {status for status, _ in answers} <= {200, 409, 429, 503}
    assert answers[200, b'{"status":"processed"}'] <= 1
    assert run(posted(servers, once)) == {(200, b'{"status":"duplicate ignored"}'): 1}
    assert books.stock() == {1: 10**9 - 1000}

    left = [body(f"left {at}", f"left {at % 9}", sequence=at, items=[(1, 2, "kg")]) for at in range(LEAVERS)]
    for at, content in enumerate(left):
        with socket.create_connection(("127.0.0.1", servers[at % 2].port)) as connection:
            connection.sendall(delivery(content))
    while left:
        batch, left = left[:50], left[50:]
        for status, _ in run(posted(servers, *batch), 120).elements():
            assert status == 200
    assert len(books.events()) == 1 + LEAVERS
    assert books.stock() == {1: 10**9 - 1000 - 9 * 2000}


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True, scope="session")
def test_bodies_that_do_not_end(servers: list[Server], books: Books) -> None:
    """A chunked body without end is refused when it is over the cap, and one that comes too slowly or not at
    all holds up nobody else."""
    head = delivery(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    with socket.create_connection(("127.0.0.1", servers[0].port), timeout=20) as connection:
        connection.sendall(head)
        sent = 0
        try:
            while sent < 1000:
                connection.sendall(chunk)
                sent += 1
        except OSError:
            pass  # it has been told enough
        answer = connection.recv(65_536)
        assert b" 413 " in answer.split(b"\r\n")[0]
        assert sent < 1000, "it read 64 MB"
    slow = [socket.create_connection(("127.0.0.1", servers[0].port), timeout=40) for _ in range(20)]
    for connection in slow:
        connection.sendall(delivery(body("slow"))[:-1])
    with Caller(servers[0].port) as caller:
        assert caller.ask("/healthz").status == 200
    assert run(posted(servers[:1], body("quick")))[200, b'{"status":"processed"}'] == 1
    for connection in slow:
        with connection:
            assert b" 408 " in connection.recv(65_536).split(b"\r\n")[0]
    assert [name for name, _ in books.events()] == ["quick"]


@pytest.mark.parametrize("engine", ["mariadb"], indirect=True, scope="session")
def test_a_locked_order_delays_its_own_events(
    servers: list[Server], books: Books, fresh_database: FreshDatabase
) -> None:
    """While somebody holds the row of an order, its events are refused with 503 within 3 s and leave nothing
    behind; those of other orders, new and known, its neighbours too, go on within 1 s."""
    made = [body(f"made {name}", name, items=[(1, 1, "kg")]) for name in ("a", "held", "known")]
    run(posted(servers, *made))

    async def timed(number: int, content: bytes) -> tuple[float, int]:
        began_s = time.monotonic()
        status, _ = await post(servers[number % 2].port, content)
        return time.monotonic() - began_s, status

    async def go() -> tuple[list[tuple[float, int]], list[tuple[float, int]]]:
        held, others = [], []
        start_s = time.monotonic()
        for number in range(30):
            await asyncio.sleep(max(0.0, start_s + number / 10 - time.monotonic()))
            for each in range(2):
                content = body(f"held {number} {each}", "held", status="packed", sequence=number)
                held.append(asyncio.create_task(timed(each, content)))
            order = "known" if number % 3 else f"new {number}"
            content = body(f"other {number}", order, sequence=number, items=[(1, 1, "kg")])
            others.append(asyncio.create_task(timed(number, content)))
            # Orders that sort right before and right after it, made for the first time.
            beside = body(f"beside {number}", f"{'held' if number % 2 else 'hel'}{number}", sequence=number)
            others.append(asyncio.create_task(timed(number + 1, beside)))
        return await asyncio.gather(*held), await asyncio.gather(*others)

    with closing(fresh_database.connect()) as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT * FROM orders WHERE order_key = 'held' FOR UPDATE")
        held, others = run(go(), 60)
        assert {status for _, status in others} == {200}, Counter(status for _, status in others)
        assert max(others)[0] <= 1.0
        assert {status for _, status in held} == {503}, Counter(status for _, status in held)
        assert max(held)[0] <= 3.0
        assert not [name for name, _ in books.events() if name.startswith("held")]
        holder.execute("ROLLBACK")
    assert (
        run(posted(servers, body("held 0 0", "held", status="packed", sequence=0)))[
            200, b'{"status":"processed"}'
        ]
        == 1
    )
