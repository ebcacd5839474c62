"""A TCP proxy in front of one server, which delays, holds, loses and cuts what passes, as told while it runs.

It has a thread and a loop of its own, so that it works before the application under test, before plain
synchronous clients and before other processes alike. A method returns when its fault is in force.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.support.servers.place import free_port

CHUNK = 65_536
"""Most bytes of one read."""

QUEUE = 64
"""Most chunks under way in one direction, 4 MB: past that the sender is made to wait, as by a full socket."""

ANSWER_S = 5
"""Longest the proxy's own thread may take to carry out an order."""

T = TypeVar("T")


class Trap:
    """Bytes of a client that make something happen once; `sprung` says whether it has."""

    def __init__(self, pattern: bytes, *, forward: bool, reset: bool) -> None:
        self.pattern, self.forward, self.reset = pattern, forward, reset
        self._event = threading.Event()
        self.taken = False

    @property
    def sprung(self) -> bool:
        """Whether the connection was cut."""
        return self._event.is_set()

    def wait(self, within_s: float = ANSWER_S) -> None:
        """Return when it has; `AssertionError` when it has not within `within_s`."""
        assert self._event.wait(within_s), f"nobody sent {self.pattern!r} within {within_s} s"

    def spring(self) -> None:
        """The connection is cut now."""
        self._event.set()


class Proxy:
    """A proxy before a port of the loopback; enter it to start it. Clients connect to `port`."""

    def __init__(self, target: int) -> None:
        self.target, self.port = target, free_port()
        self.accepted = 0
        """Connections ever accepted."""
        self.bytes_to_server = self.bytes_to_client = 0
        """Bytes delivered so far."""
        self.to_server_s = self.to_client_s = 0.0
        self.traps: list[Trap] = []
        self.replies_to_pass: int | None = None
        """How many replies still pass before one is lost; None: none is lost."""
        self._links: set[_Link] = set()

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(started)), name="proxy")
        self._thread.start()
        assert started.wait(ANSWER_S), "the proxy did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(ANSWER_S)
        assert not self._thread.is_alive(), "the proxy did not stop"

    @property
    def open_connections(self) -> int:
        """Connections that are open through it now."""
        return len(self._links)

    def delay(self, to_server_s: float = 0, to_client_s: float = 0) -> None:
        """From now on bytes are so long under way; several may be under way at once."""
        self.to_server_s, self.to_client_s = to_server_s, to_client_s

    def hold(self) -> None:
        """A black hole: connections are accepted and stay open, and nothing passes until `release`."""
        self._ask(self._set_passing(False))

    def release(self) -> None:
        """What was held is delivered, as TCP does when a network comes back."""
        self._ask(self._set_passing(True))

    def refuse(self) -> None:
        """New connections are refused; those that are open stay."""
        self._ask(self._unlisten())

    def accept(self) -> None:
        """New connections are accepted again."""
        self._ask(self._listen())

    def cut(self, *, reset: bool = False) -> int:
        """Close every open connection on both sides, with FIN or with RST; how many those were."""
        return self._ask(self._cut(reset))

    def lose_reply(self, number: int = 1) -> None:
        """Lose the `number`-th reply from now on and keep its connection open. A reply is all that a server
        says between two messages of its client."""
        self.replies_to_pass = number - 1

    def cut_after(self, pattern: bytes, *, reset: bool = False) -> Trap:
        """Once: forward the client's bytes with this pattern, wait until the server answers, and cut the
        connection in place of delivering the answer. What was asked is done, and the client cannot know.

        For protocols that ask and answer in turns: of several requests under way it is the first answer.
        """
        return self._trap(Trap(pattern, forward=True, reset=reset))

    def cut_before(self, pattern: bytes, *, reset: bool = False) -> Trap:
        """Once: cut the connection in place of forwarding the client's bytes with this pattern. What was
        asked is not done, and the client sees the same as after `cut_after`."""
        return self._trap(Trap(pattern, forward=False, reset=reset))

    def _trap(self, trap: Trap) -> Trap:
        self.traps.append(trap)
        return trap

    def _ask(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_S)

    async def _main(self, started: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.passing = asyncio.Event()
        self.passing.set()
        await self._listen()
        started.set()
        await self._stop.wait()
        await self._unlisten()
        await self._cut(reset=True)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    async def _unlisten(self) -> None:
        self._server.close()

    async def _set_passing(self, passing: bool) -> None:
        if passing:
            self.passing.set()
        else:
            self.passing.clear()

    async def _cut(self, reset: bool) -> int:
        links = list(self._links)
        for link in links:
            link.cut(reset=reset)
        await asyncio.gather(*(link.ended.wait() for link in links))
        return len(links)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            _close(writer, reset=True)
            return
        link = _Link(self, (reader, writer), server)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)
            link.ended.set()


class _Link:
    """One client's connection and the one to the server that belongs to it."""

    def __init__(
        self,
        proxy: Proxy,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self.ended = asyncio.Event()
        self._trap: Trap | None = None  # what the server answers next is not delivered
        self._tail = b""  # a pattern may come in two pieces
        self._clients_turn = True
        self._losing = False
        self._ways: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Carry bytes both ways until both sides are done, one of them fails, or `cut`."""
        to_server = asyncio.Queue[tuple[float, bytes]](QUEUE)
        to_client = asyncio.Queue[tuple[float, bytes]](QUEUE)
        self._ways = [
            asyncio.ensure_future(self._receive(self._client[0], to_server, to_server=True)),
            asyncio.ensure_future(self._receive(self._server[0], to_client, to_server=False)),
            asyncio.ensure_future(self._deliver(to_server, self._server[1], to_server=True)),
            asyncio.ensure_future(self._deliver(to_client, self._client[1], to_server=False)),
        ]
        await asyncio.wait(self._ways, return_when=asyncio.FIRST_EXCEPTION)
        broken = [way for way in self._ways if way.done() and not way.cancelled() and way.exception()]
        self.cut(reset=bool(broken))
        for outcome in await asyncio.gather(*self._ways, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, OSError):
                raise outcome

    def cut(self, *, reset: bool) -> None:
        """Close both connections, whatever is under way."""
        for way in self._ways:
            way.cancel()
        for _, writer in (self._client, self._server):
            _close(writer, reset=reset)

    async def _receive(
        self, reader: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]], *, to_server: bool
    ) -> None:
        clock, data = asyncio.get_running_loop().time, b"something"
        while data:
            data = await reader.read(CHUNK)
            delay_s = self._proxy.to_server_s if to_server else self._proxy.to_client_s
            await queue.put((clock() + delay_s, data))

    async def _deliver(
        self, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, *, to_server: bool
    ) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0, due - clock()))
            await self._proxy.passing.wait()
            if not data:
                writer.write_eof()
                return
            if self._asked(data) if to_server else self._answered():
                writer.write(data)
                await writer.drain()
                if to_server:
                    self._proxy.bytes_to_server += len(data)
                else:
                    self._proxy.bytes_to_client += len(data)

    def _asked(self, data: bytes) -> bool:
        """Whether these bytes of the client are forwarded."""
        if self._clients_turn:
            self._clients_turn, self._losing = False, self._lost()
        seen = self._tail + data
        for trap in self._proxy.traps:
            if not trap.taken and trap.pattern in seen:
                trap.taken = True
                if not trap.forward:
                    self._spring(trap)
                    return False
                self._trap = trap
        longest = max((len(trap.pattern) for trap in self._proxy.traps), default=1)
        self._tail = seen[len(seen) - longest + 1 :] if len(seen) >= longest else seen
        return True

    def _answered(self) -> bool:
        """Whether the server's bytes are delivered."""
        self._clients_turn = True
        if self._trap is not None:
            self._spring(self._trap)
            return False
        return not self._losing

    def _lost(self) -> bool:
        """Whether the reply to the message that begins now is the one to lose."""
        left = self._proxy.replies_to_pass
        if left is None:
            return False
        self._proxy.replies_to_pass = left - 1 if left else None
        return left == 0

    def _spring(self, trap: Trap) -> None:
        self.cut(reset=trap.reset)
        trap.spring()


def _close(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    """Close with FIN; or with RST, which is what lingering for zero seconds means."""
    if reset and (connection := writer.get_extra_info("socket")) is not None:
        with suppress(OSError):  # the other side was first
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()
