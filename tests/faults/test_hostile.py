"""Nobody can make the server fail, leak its insides or think for long by asking strange things."""

import os
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

import pytest

from farmlokal.catalog.generator import generate
from farmlokal.catalog.importing.load import Importer
from tests.faults import hostile
from tests.support.catalogue import new_database, opened, run
from tests.support.clock import ManualClock
from tests.support.server import Server, serving

REQUESTS = int(os.environ.get("FARMLOKAL_TEST_HOSTILE_REQUESTS", "2000"))
"""`make hostile` sends 50,000."""

PRODUCTS = int(os.environ.get("FARMLOKAL_TEST_HOSTILE_PRODUCTS", "2000"))
"""`make hostile` generates 35,000: as many as the real catalogue has."""

SEED = 20261122
LIMIT_S = 1.0
LEAKS = re.compile(
    rb"Traceback|sqlite|(?<!<)SELECT |FROM products|no such|syntax error|near \"|\.py\b|site-packages|/src/",
    re.IGNORECASE,
)
ECHO = re.compile(rb'"instance":"[^"]*"|(?:value|href)="[^"]*"')
"""What is the caller's own: the path in a problem document, and what stands in the form of a page."""


class Answer(NamedTuple):
    """What came back for one request."""

    status: int
    body: bytes
    seconds: float
    closed: bool


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over a generated catalogue."""
    folder = tmp_path_factory.mktemp("hostile")
    path = new_database(folder)

    async def fill() -> None:
        async with opened(path) as database:
            importer = Importer(database, ManualClock())
            await importer.load_reference_postcodes()
            await importer.load_drafts(generate(PRODUCTS, random_seed=SEED, today=date(2026, 11, 20)))
            await database.optimize()

    run(fill())
    with serving(path, folder / "server.log") as running:
        yield running


def test_hostile_requests_are_refused_quickly_and_say_nothing_of_the_inside(server: Server) -> None:
    """Whatever is asked, no answer is a 5xx, tells of SQL or code, or takes over a second."""
    cursors = _real_cursors(server)
    statuses: Counter[int] = Counter()
    connection: Connection | None = None
    slowest = 0.0
    for number, request in enumerate(hostile.requests(REQUESTS, SEED, cursors)):
        connection = connection or Connection(server.port)
        answer = connection.ask(request)
        about = f"request {number} of seed {SEED}: {request[:300]!r} -> {answer.status} {answer.body[:300]!r}"
        assert 200 <= answer.status < 500, about
        if answer.status >= 400:
            assert not LEAKS.search(ECHO.sub(b"", answer.body)), about
        assert answer.seconds < LIMIT_S, f"{answer.seconds:.2f} s for {about}"
        statuses[answer.status] += 1
        slowest = max(slowest, answer.seconds)
        if answer.closed:
            connection.close()
            connection = None
    if connection is not None:
        connection.close()
    print(f"{REQUESTS} requests: {dict(sorted(statuses.items()))}, slowest {slowest * 1000:.0f} ms")  # noqa: T201
    assert {200, 400, 404, 405} <= set(statuses), "the mix no longer reaches what it should"
    with server.caller() as caller:
        assert caller.ask("/healthz").status == 200


def _real_cursors(server: Server) -> list[str]:
    """Cursors of several queries, forward and backward."""
    found: list[str] = []
    with server.caller() as caller:
        for query in ("limit=2", "limit=2&sort=-price", "limit=2&sort=name", "limit=2&sort=harvestedOn"):
            path = f"/api/products?{query}"
            page = caller.ask(path).json()
            found.append(page["nextCursor"])
            found.append(caller.ask(f"{path}&cursor={page['nextCursor']}").json()["prevCursor"])
    return found


class Connection:
    """A keep-alive connection that reads exactly one answer for each request."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._rest = b""

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def ask(self, request: bytes) -> Answer:
        """Send the bytes, read the answer."""
        started = time.perf_counter()
        self._socket.sendall(request)
        head = self._until(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        length = re.search(rb"\r\ncontent-length: *([0-9]+)", head, re.IGNORECASE)
        bodiless = request.startswith(b"HEAD ") or status in (204, 304)
        body = self._exactly(int(length.group(1))) if length and not bodiless else b""
        closed = b"\r\nconnection: close" in head.lower()
        return Answer(status, body, time.perf_counter() - started, closed)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._rest:
            self._more()
        head, _, self._rest = self._rest.partition(mark)
        return head + mark

    def _exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._more()
        body, self._rest = self._rest[:size], self._rest[size:]
        return body

    def _more(self) -> None:
        received = self._socket.recv(65_536)
        assert received, f"the server closed the connection after {self._rest[:200]!r}"
        self._rest += received
