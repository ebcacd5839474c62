"""Nobody can make the server fail, leak its insides or think for long by asking strange things."""

import os
import re
import socket
import time
from collections import Counter
from typing import NamedTuple

from tests.support.servers import Server

from tests.faults import hostile

REQUESTS = int(os.environ.get("FARMLOKAL_TEST_HOSTILE_REQUESTS", "2000"))
"""`make hostile` sends 50,000."""

SEED = 20261122
LIMIT_S = 1.0
LEAKS = re.compile(
    rb"Traceback|sqlite|SELECT |FROM products|no such|syntax error|near \"|\.py\b|site-packages|/src/", re.IGNORECASE
)
ECHO = re.compile(rb'"instance":"[^"]*"')
"""The caller's own path, which a problem document repeats."""


class Answer(NamedTuple):
    """What came back for one request."""

    status: int
    body: bytes
    seconds: float
    closed: bool


def test_hostile_requests_are_refused_quickly_and_say_nothing_of_the_inside(small_server: Server) -> None:
    """Whatever is asked, no answer is a 5xx, tells of SQL or code, or takes over a second."""
    cursors = _real_cursors(small_server)
    statuses: Counter[int] = Counter()
    connection: Connection | None = None
    slowest = 0.0
    for number, request in enumerate(hostile.requests(REQUESTS, SEED, cursors)):
        connection = connection or Connection(small_server.port)
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
    print(f"{REQUESTS} hostile requests: {dict(sorted(statuses.items()))}, slowest {slowest * 1000:.0f} ms")  # noqa: T201
    assert {200, 400, 404, 405} <= set(statuses), "the mix no longer reaches what it should"
    assert Connection(small_server.port).ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").status == 200


def _real_cursors(server: Server) -> list[str]:
    """Cursors of several queries, forward and backward."""
    found: list[str] = []
    for query in ("limit=2", "limit=2&sort=-price", "limit=2&sort=name", "limit=2&sort=harvestedOn"):
        page = server.json(f"/api/products?{query}")
        found.append(page["nextCursor"])
        found.append(server.json(f"/api/products?{query}&cursor={page['nextCursor']}")["prevCursor"])
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
