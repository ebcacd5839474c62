"""Where a connection goes: to an address that was looked at, whatever the name says a moment later."""

import asyncio
import gzip
import socket
import tracemalloc
from typing import Any

import pytest

from farmlokal.platform.http_client import HttpClient, HttpFailed
from farmlokal.suppliers.simulator.faults import empty_blocks
from farmlokal.suppliers.simulator.wire import Line, Reply, Request, Send, WireServer
from tests.support.catalogue import run

BUSY_S = 20.0


class Server:
    """Counts who comes."""

    def __init__(self, reply: Reply | Send | None = None) -> None:
        self.came = 0
        self._reply = reply or Reply(b"{}")
        self.wire = WireServer(self._answer)

    async def _answer(self, _request: Request) -> Reply | Send:
        self.came += 1
        return self._reply


async def call(url: str, http: HttpClient, body_bytes: int = 1000, *, unpack: bool = False) -> bytes:
    """The body of one answer, which may always grow."""
    await http.open()
    try:
        answer = await http.call(
            "GET", url, {}, within_s=BUSY_S, body_bytes=body_bytes, gzip=unpack, grow=lambda: asyncio.sleep(0)
        )
        return answer.body
    finally:
        await http.close()


def test_a_name_is_resolved_once() -> None:
    """R11: whoever owns a name cannot answer otherwise once the address was looked at: the name is resolved
    once, and the connection goes to that address and to no other."""

    async def go() -> None:
        server, asked = Server(), []
        port = await server.wire.start("127.0.0.1", 0)
        loop = asyncio.get_running_loop()
        resolve = loop.getaddrinfo

        async def rebinding(host: Any, *more: Any, **named: Any) -> Any:
            if host != "supplier.test":
                return await resolve(host, *more, **named)
            asked.append(host)
            address = "127.0.0.2" if len(asked) == 1 else "127.0.0.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        loop.getaddrinfo = rebinding  # type: ignore[method-assign]
        looked: list[str] = []

        def reaches(address: str) -> bool:
            looked.append(address)
            return address == "127.0.0.2"

        with pytest.raises(HttpFailed, match="connection"):
            await call(f"http://supplier.test:{port}/", HttpClient(1, reaches=reaches))
        assert (asked, looked, server.came) == (["supplier.test"], ["127.0.0.2"], 0)
        with pytest.raises(HttpFailed, match="address"):
            await call(f"http://supplier.test:{port}/", HttpClient(1, reaches=reaches))
        assert server.came == 0
        await call(f"http://supplier.test:{port}/", HttpClient(1, reaches=lambda _address: True))
        assert server.came == 1
        await server.wire.stop()

    run(go(), 60)


WHOLE = gzip.compress(b"x" * 1000)

EMPTY = WHOLE[:10] + b"\x00\x00\x00\xff\xff" * 2000 + b"\x03\x00" + bytes(8)
"""A sound stream of 10 kB that unpacks to nothing: after its head, stored blocks of no bytes."""


@pytest.mark.parametrize(
    ("body", "most", "fails"),
    [
        pytest.param(WHOLE, 1000, None, id="exactly the bound"),
        pytest.param(WHOLE, 999, "too large", id="one more than the bound"),
        pytest.param(WHOLE[:-4], 1000, "coding", id="cut off"),
        pytest.param(WHOLE + b"more", 1000, "coding", id="something after it"),
        pytest.param(b"no gzip", 1000, "coding", id="no gzip"),
        pytest.param(gzip.compress(bytes(50_000_000)), 5_000_000, "too large", id="a bomb"),
        pytest.param(gzip.compress(b"x" * 300_000), 300_000, None, id="a long one"),
        pytest.param(gzip.compress(b"x" * 300_001), 300_000, "too large", id="one more than a long bound"),
        pytest.param(EMPTY, 5_000, "too large", id="more than the bound for nothing"),
    ],
)
def test_gzip_is_unpacked_within_the_bound(body: bytes, most: int, fails: str | None) -> None:
    """R10: a body that was compressed as we asked is unpacked, and what is more than the bound, cut off or no
    gzip is a failure."""

    async def go() -> None:
        headers = (("content-type", "application/json"), ("content-encoding", "gzip"))
        server = Server(Reply(body, headers=headers))
        url = f"http://127.0.0.1:{await server.wire.start('127.0.0.1', 0)}/"
        try:
            if fails is None:
                assert await call(url, HttpClient(1), most, unpack=True) == b"x" * most
            else:
                tracemalloc.start()
                with pytest.raises(HttpFailed, match=fails):
                    await call(url, HttpClient(1), most, unpack=True)
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                assert peak < 30_000_000
            with pytest.raises(HttpFailed, match="coding"):
                await call(url, HttpClient(1), most)
        finally:
            await server.wire.stop()

    run(go(), 60)


def test_a_stream_of_nothing_ends() -> None:
    """R10: gzip that unpacks to nothing is cut off when as much has come in as may come out."""

    async def nothing(line: Line) -> None:
        await empty_blocks(line, Reply(b"{}"))

    async def go() -> None:
        server = Server(nothing)
        url = f"http://127.0.0.1:{await server.wire.start('127.0.0.1', 0)}/"
        with pytest.raises(HttpFailed, match="too large"):
            await call(url, HttpClient(1), 100_000, unpack=True)
        await server.wire.stop()

    run(go(), 60)
