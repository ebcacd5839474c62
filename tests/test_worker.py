"""The worker on the wire: what is answered without being read again, and how long and large a head may be."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from farmlokal.worker import CONNECTIONS, HEAD_BYTES, HEAD_S, KNOWN_BYTES, KNOWN_HEAD_BYTES, KnownHeads
from tests.support.asgi import furnish
from tests.support.catalogue import Shelf, connect, new_database
from tests.support.server import Server, serving

PAGE = b"GET /api/products?limit=3 HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n"
EACH_ANEW = re.compile(rb"(?im)^(x-request-id|date|ratelimit): .*\r\n")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small catalogue."""
    path = new_database(tmp_path_factory.mktemp("worker"))
    connection = connect(path)
    furnish(Shelf(connection))
    connection.close()
    return path


@pytest.fixture(scope="module")
def server(database: Path) -> Iterator[Server]:
    """One server for all of them, that counts quotas."""
    limit = {"FARMLOKAL_RATE_LIMIT": "1000/60000s;burst=1000"}
    with serving(database, database.with_suffix(".log"), limit) as running:
        yield running


class Wire:
    """A connection, spoken to in bytes."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), 20)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, *parts: bytes) -> None:
        """Send parts, each by itself."""
        for part in parts:
            self._socket.sendall(part)

    def answer(self) -> bytes:
        """The next answer, whole."""
        while b"\r\n\r\n" not in self._received:
            self._more()
        head, _, rest = self._received.partition(b"\r\n\r\n")
        found = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        length = int(found[1]) if found and not head.startswith(b"HTTP/1.1 304") else 0
        while len(rest) < length:
            self._more()
            rest = self._received.partition(b"\r\n\r\n")[2]
        self._received = rest[length:]
        return head + b"\r\n\r\n" + rest[:length]

    def rest(self) -> bytes:
        """All that comes until the other side ends."""
        while part := self._socket.recv(65_536):
            self._received += part
        return self._received

    def _more(self) -> None:
        part = self._socket.recv(65_536)
        assert part, self._received
        self._received += part


def lines(answer: bytes) -> tuple[list[bytes], bytes]:
    """What must not differ, in no order."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return sorted(EACH_ANEW.sub(b"", head + b"\r\n").split(b"\r\n")), body


@pytest.mark.parametrize("more", [b"", b"Accept-Encoding: br\r\n", b"If-None-Match: *\r\n"])
def test_what_comes_again_gets_the_same_answer(server: Server, more: bytes) -> None:
    """A request that comes again byte for byte gets the status, headers and body that it had when it was
    read, with an id, a quota and a date of its own."""
    request = PAGE.replace(b"limit=3", b"limit=%d" % (4 + len(more))).replace(
        b"\r\n\r\n", b"\r\n" + more + b"\r\n"
    )
    with Wire(server) as wire:
        answers = []
        for _ in range(6):
            wire.send(request)
            answers.append(wire.answer())
        wire.send(request.replace(b"Host: x", b"Host: y"))  # not known yet, so it is read
        assert lines(wire.answer()) == lines(answers[-1]) == lines(answers[-2]) == lines(answers[1])
    for name in (b"x-request-id", b"ratelimit"):
        assert len({re.search(rb"(?i)\r\n%b: (.*)\r\n" % name, answer)[1] for answer in answers}) == 6  # type: ignore[index]
    assert all(re.search(rb"(?i)\r\ndate: ", answer) for answer in answers)


def received(server: Server) -> None:
    """Return when what was sent before has been read: the worker reads in the order in which things come."""
    with Wire(server) as other:
        other.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        other.answer()


def test_requests_in_a_row_are_answered_in_their_order(server: Server) -> None:
    """Requests that come together or while others are under way are answered in turn, though they are known
    by their bytes."""
    slow = b"GET /api/products?search=a&limit=100&minPrice=%d&facets=state HTTP/1.1\r\nHost: x\r\n\r\n"
    with Wire(server) as wire:
        for _ in range(3):
            wire.send(PAGE)
            known = wire.answer()
        wire.send(PAGE + PAGE)
        assert lines(wire.answer()) == lines(wire.answer()) == lines(known)
        wire.send(b"".join(slow % number for number in range(100)))
        received(server)
        wire.send(PAGE)
        assert all(b'"facets"' in wire.answer() for _ in range(100))
        assert lines(wire.answer()) == lines(known)


def test_what_looks_like_a_known_request_is_not_always_one(server: Server) -> None:
    """The bytes of a known request inside a head or a body are what they are there."""
    with Wire(server) as wire:
        for _ in range(3):
            wire.send(PAGE)
            wire.answer()
        wire.send(b"GET /healthz HTTP/1.1\r\nX-Odd: ")
        received(server)
        wire.send(PAGE)
        assert b'"data"' not in wire.answer()
        wire.send(b"POST /webhook/order-update HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(PAGE))
        received(server)
        wire.send(PAGE)
        assert wire.answer().startswith(b"HTTP/1.1 400 ")
        wire.send(PAGE)
        assert b'"data"' in wire.answer()


def test_a_request_that_asks_for_the_end_gets_it(server: Server) -> None:
    """`Connection: close` and HTTP/1.0 end the connection each time, however often they came."""
    for request in (
        PAGE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        PAGE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ):
        for _ in range(3):
            with Wire(server) as wire:
                wire.send(request)
                assert wire.rest().startswith(b"HTTP/1.1 200")


def test_a_head_has_to_come_in_time(server: Server) -> None:
    """Whoever connects and says nothing, or half a head, is let go after ten seconds, after an answer too."""
    with Wire(server) as silent, Wire(server) as half, Wire(server) as later:
        later.send(PAGE)
        later.answer()
        began = time.monotonic()
        half.send(PAGE[:20])
        later.send(PAGE[:20])
        for wire in (silent, half, later):
            assert wire.rest() == b""
        assert time.monotonic() - began < HEAD_S + 5


def test_a_head_without_end_is_refused(server: Server) -> None:
    """A head that goes on past its bound is a 431, however small its parts are."""
    with Wire(server) as wire:
        wire.send(PAGE[:-2] + b"X: ", *[b"x" * (HEAD_BYTES // 4)] * 4)
        assert wire.rest().startswith(b"HTTP/1.1 431 ")


def test_connections_are_bounded(server: Server) -> None:
    """Past the bound a connection is closed at once, and those that are open go on."""
    with Wire(server) as first:
        first.send(PAGE)
        first.answer()
        held = [socket.create_connection(("127.0.0.1", server.port), 20) for _ in range(CONNECTIONS)]
        try:
            with suppress(ConnectionResetError):
                assert held[-1].recv(1) == b""
            first.send(PAGE)
            assert first.answer().startswith(b"HTTP/1.1 200")
        finally:
            for each in held:
                each.close()


def test_known_heads_are_bounded() -> None:
    """The memory of known heads has a bound, and so has each; the first to come is forgotten first."""
    known = KnownHeads()
    known.note(b"x" * (KNOWN_HEAD_BYTES + 1), lambda _client: None)
    assert known.get(b"x" * (KNOWN_HEAD_BYTES + 1)) is None
    heads = [b"%0*d" % (KNOWN_HEAD_BYTES, number) for number in range(KNOWN_BYTES // KNOWN_HEAD_BYTES)]
    for head in (*heads, heads[-1]):
        known.note(head, lambda _client: None)
    kept = [head for head in heads if known.get(head)]
    assert kept == heads[-len(kept) :]
    assert 0 < len(kept) * 4 * KNOWN_HEAD_BYTES < KNOWN_BYTES
