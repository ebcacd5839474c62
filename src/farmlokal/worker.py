"""One worker: uvicorn, with what was answered a moment ago in front of its parser.

A request that comes again byte for byte, whole and on its own, is answered from what was made of it before:
reading it and running a task for it would cost twice what its answer does. Everything else is read as ever.
Ours besides: a time and a size within which a head must have come, since uvicorn has neither.
"""

import asyncio
import gc
import logging
import re
import signal
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, cast

import uvloop
from httptools import HttpRequestParser
from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from farmlokal.platform.web.fast_lane import AGAIN, Again

HEAD_S = 10.0
"""How long a head may take, from the first byte or from the connection on."""

HEAD_BYTES = 65_536
"""Where the worker stops reading a head; from 16 kB on the application answers 431."""

IDLE_S = 75
"""How long a connection may be idle: longer than a proxy keeps one, or it would ask on a closed one."""

LINGER_S = 1.0
"""How long whoever sent too much may take to read why: closing at once would take the answer back."""

CONNECTIONS = 900
"""Most connections, below the 1,024 files that a process may have open where nobody has raised it."""

KNOWN_BYTES, KNOWN_HEAD_BYTES = 4 * 1024 * 1024, 1_024
"""Most memory of heads that are known again, some two thousand of them, and the longest one."""

_NOT_PLAIN = frozenset((b"content-length", b"expect", b"transfer-encoding", b"upgrade"))
_UNKNOWN_METHOD = re.compile(rb"([A-Z]{1,32}) [^ \r\n]+ HTTP/1\.[01]\r\n")


class KnownHeads:
    """What is answered to which bytes. When full, the one that was noted first is forgotten."""

    def __init__(self) -> None:
        self._by_head: dict[bytes, Again] = {}
        self._bytes = 0
        self._ending, self._of = b"\r\n", list[tuple[bytes, bytes]]()
        self.get = self._by_head.get

    def note(self, head: bytes, again: Again) -> None:
        """Remember."""
        if len(head) > KNOWN_HEAD_BYTES:
            return
        if head not in self._by_head:
            self._bytes += _size(head)
        self._by_head[head] = again
        while self._bytes > KNOWN_BYTES:
            first = next(iter(self._by_head))
            del self._by_head[first]
            self._bytes -= _size(first)

    def ending(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """The end of every head: the date, of which there is a new list each second."""
        if headers is not self._of:
            self._of = headers
            self._ending = b"".join((*(b"%b: %b\r\n" % header for header in headers), b"\r\n"))
        return self._ending


def _size(head: bytes) -> int:
    """Bytes of memory: the head, and once more in parts, each an object."""
    return 4 * len(head) + 600


class Connection(HttpToolsProtocol):
    """One connection of a caller."""

    def __init__(self, known: KnownHeads, **given: Any) -> None:
        super().__init__(**given)
        self._known = known
        self._used_s = 0.0
        self._between, self._refused = True, False
        self._head_bytes, self._chunk, self._method = 0, b"", ""
        self._deadline: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_head()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        again = self._known.get(data)
        if again is not None and self._between and self._is_idle() and not self.flow.write_paused:
            answer = again(self.client)
            if answer is not None:
                self._write(*answer)
                return
        if self._refused:
            return
        self._chunk = data
        super().data_received(data)
        self._chunk = b""
        if self._deadline is not None and not self._between:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._between, self._head_bytes = False, 0
        if self._deadline is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        self._has_head()
        chunk = self._chunk
        if (
            chunk.startswith(b"GET ")
            and chunk.find(b"\r\n\r\n") == len(chunk) - 4
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and _NOT_PLAIN.isdisjoint(name for name, _ in self.headers)
        ):
            cast("dict[str, Any]", self.scope)[AGAIN] = partial(self._known.note, chunk)
        super().on_headers_complete()
        if self._method:
            self.scope["method"], self._method = self._method, ""

    def on_message_complete(self) -> None:
        self._between = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What cannot be read ends the connection, but for a method that the parser does not know: refusing
        that is the application's, so it is read under another name."""
        unknown = _UNKNOWN_METHOD.match(self._chunk)
        if unknown is None or self._method or not self._is_idle():
            super().send_400_response(msg)
            return
        self._method = unknown[1].decode()
        self.parser = HttpRequestParser(self)
        self.data_received(b"PURGE" + self._chunk[len(unknown[1]) :])

    def timeout_keep_alive_handler(self) -> None:
        left_s = self._used_s + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._idle_for(left_s)
        else:
            super().timeout_keep_alive_handler()

    def _is_idle(self) -> bool:
        # There is none before the first request, whatever its type says.
        done = self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]
        return done and not self.pipeline

    def _write(self, head: bytes, body: bytes) -> None:
        self.transport.write(b"".join((head, self._known.ending(self.server_state.default_headers), body)))
        self._used_s = self.loop.time()
        if self._deadline is not None:
            self._has_head()
            self._idle_for(self.timeout_keep_alive)

    def _idle_for(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_S, self.transport.abort)

    def _has_head(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self) -> None:
        self._refused = True
        self.transport.write(STATUS_LINE[431] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.loop.call_later(LINGER_S, self.transport.close)


class _Server(Server):
    """Ends well on SIGTERM and SIGINT, and not by the signal itself once it has drained."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        def end(_number: int, _frame: object) -> None:
            self.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        yield


class _Quiet(Server):
    """Ends when whoever started it says so, and hears no signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Beside:
    """A second application of a worker, in the same event loop, on a listener of its own. The lifespan of the
    first opens and closes it."""

    def __init__(self, listener: socket.socket, drain_s: int, app: ASGIApp) -> None:
        self._listener = listener
        self._server = _Quiet(_configuration(app, drain_s, "off"))
        self._serving: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Answer whoever has connected by now, and who will."""
        self._serving = asyncio.create_task(self._server.serve([self._listener]), name="beside")

    async def close(self) -> None:
        """End, once what is in flight is answered."""
        if self._serving is not None:
            self._server.should_exit = True
            await self._serving


def work(app: ASGIApp, listener: socket.socket, drain_s: int) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight for so long. Exits with 3 where the
    application does not start."""
    # It warns of each request that cannot be read: a line of the log for whoever sends a byte.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    # What is there by now stays. A cache that fills had its 100,000 objects looked through again and again,
    # which held everybody up for 150 ms each time.
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Server(_configuration(app, drain_s, "on")).serve([listener]))


def _configuration(app: ASGIApp, drain_s: int, lifespan: Literal["on", "off"]) -> Config:
    return Config(
        app,
        interface="asgi3",
        http=cast("type[Connection]", partial(Connection, KnownHeads())),
        ws="none",
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=drain_s,
    )
