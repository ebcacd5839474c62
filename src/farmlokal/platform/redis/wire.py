"""One server over one connection: commands go out as they come, and replies come back in their order.

Not redis-py's pool, which takes a connection out, sends, waits and puts it back: 37 µs of processor time a
call where this takes 10, and a page that is read from the database makes two. Parsing is hiredis' here, too.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from hiredis import HiredisError, Reader, pack_command

from farmlokal.platform.redis.turns import TurnLimit
from farmlokal.platform.resilience.single_flight import SingleFlight

Value = str | bytes | int | float
Connect = Callable[[Callable[[], asyncio.Protocol]], Awaitable[tuple[asyncio.BaseTransport, Any]]]
"""Makes a connection for a protocol, as `create_connection` of an event loop does."""

CONNECT_S = 0.4
"""Longest a connection may take to be made and to be greeted: less than a probe, so that it says why."""


class Refused(Exception):
    """What the server answered instead: `word` is the first of its error, in capitals."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.word = "MAXCLIENTS" if text.startswith(_FULL) else text.partition(" ")[0]


_FULL = "ERR max number of clients"


class SingleServer:
    """A server as a driver; `greeting` are the commands that a new connection begins with."""

    def __init__(self, connect: Connect, greeting: Sequence[tuple[Value, ...]]) -> None:
        self._connect = connect
        self._greeting = greeting
        self._wire: _Wire | None = None
        self._connecting: SingleFlight[None, _Wire] = SingleFlight()

    async def execute(self, command: Sequence[Value]) -> Any:
        """Send one command, once; its reply. Raises `Refused`, `OSError`, `TimeoutError`."""
        wire = self._wire
        if wire is None or not wire.takes_calls:
            wire, _ = await self._connecting.run(None, self._connected)
        return await wire.call(command)

    async def ping(self) -> None:
        """Ask for a sign of life."""
        await self.execute(("PING",))

    async def close(self) -> None:
        """Close the connection; calls that are under way fail."""
        await self._connecting.close()
        if self._wire is not None:
            self._wire.drop()

    async def _connected(self) -> "_Wire":
        async with TurnLimit(CONNECT_S):
            _, wire = await self._connect(_Wire)
            assert isinstance(wire, _Wire)
            try:
                await asyncio.gather(*(wire.call(command) for command in self._greeting))
            except BaseException:
                wire.drop()
                raise
        self._wire = wire
        return wire


class _Wire(asyncio.Protocol):
    """A connection. A call that is given up leaves a reply behind that may never come, so the connection
    takes no more calls and ends with the last of those that it has."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(replyError=Refused)
        self._replies: deque[asyncio.Future[Any]] = deque()
        self._transport: Any = None
        self._calls = 0
        self.takes_calls = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                waiting = self._replies.popleft()
                if not waiting.done():
                    waiting.set_result(reply)
        except (HiredisError, IndexError):  # no Redis, or more replies than there were commands
            self.drop()

    def connection_lost(self, error: Exception | None) -> None:
        self.takes_calls = False
        while self._replies:
            waiting = self._replies.popleft()
            if not waiting.done():
                waiting.set_exception(ConnectionResetError(str(error or "closed")))

    async def call(self, command: Sequence[Value]) -> Any:
        """One command and its reply."""
        waiting = self._loop.create_future()
        self._replies.append(waiting)
        self._transport.write(pack_command(tuple(command)))  # type: ignore[arg-type]  # any number of them
        self._calls += 1
        try:
            reply = await waiting
        except asyncio.CancelledError:
            self.takes_calls = False
            raise
        finally:
            self._calls -= 1
            if not self.takes_calls and not self._calls:
                self.drop()
        if isinstance(reply, Exception):
            raise reply
        return reply

    def drop(self) -> None:
        """End it at once."""
        self.takes_calls = False
        self._transport.abort()
