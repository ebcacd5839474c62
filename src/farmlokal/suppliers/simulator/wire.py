"""HTTP/1.1 by hand, as little as the simulator needs: a server that lies on the wire must own every byte.

No framework sends a wrong length, half a header or a reset. One request after another on a connection, bodies
by Content-Length only.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import msgspec

HEAD_BYTES = 32_768
BODY_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Request:
    """What came in; names of headers are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    def form(self) -> list[tuple[str, str]]:
        """The body as application/x-www-form-urlencoded."""
        return parse_qsl(self.body.decode("latin-1"), keep_blank_values=True)


@dataclass(frozen=True, slots=True)
class Reply:
    """What an honest server would send."""

    body: bytes = b""
    status: int = 200
    headers: Sequence[tuple[str, str]] = field(default=(("content-type", "application/json"),))

    @classmethod
    def json(cls, value: object, status: int = 200, *headers: tuple[str, str]) -> "Reply":
        """A value as JSON."""
        return cls(msgspec.json.encode(value), status, (("content-type", "application/json"), *headers))

    def head(self, length: int | None = None) -> bytes:
        """Status line and headers; `length` is claimed in place of the true one, and -1 claims none."""
        claimed = len(self.body) if length is None else length
        lines = [f"HTTP/1.1 {self.status} {_phrase(self.status)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines += [f"content-length: {claimed}"] if claimed >= 0 else []
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Line:
    """The sending side of a connection, for those who do not send an honest reply."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes, and wait while the other side does not read."""
        self._writer.write(data)
        await self._writer.drain()

    def reset(self) -> None:
        """Close with RST."""
        link = self._writer.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Send = Callable[[Line], Coroutine[Any, Any, None]]
"""Sends something other than an honest reply; the connection is closed after it."""

Answer = Callable[[Request], Coroutine[Any, Any, Reply | Send]]


class WireServer:
    """Accepts connections and asks `answer` for each request."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen; the port, which the system chooses for 0."""
        self._server = await asyncio.start_server(self._accept, host, port, limit=HEAD_BYTES, ssl=tls)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and end every connection, hanging ones too."""
        if self._server is not None:
            self._server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # Whoever leaves early, or speaks no HTTP, is nobody's concern here.
            with suppress(OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while (request := await _read(reader)) is not None:
                    answer = await self._answer(request)
                    if not isinstance(answer, Reply):
                        await _while_there(reader, answer(Line(writer)))
                        return
                    writer.write(answer.head() + (b"" if request.method == "HEAD" else answer.body))
                    await writer.drain()
        finally:
            writer.close()


async def _while_there(reader: asyncio.StreamReader, sending: Coroutine[Any, Any, None]) -> None:
    """Send until all is sent, or the other side has left: it waits for nobody who does not wait."""
    tasks = {asyncio.ensure_future(sending), asyncio.ensure_future(reader.read(1))}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """One request; None at the end of the connection. Raises `ValueError` for what is none."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= BODY_BYTES or "transfer-encoding" in headers:
        raise ValueError("no body that this server reads")
    path, _, query = target.partition("?")
    return Request(method, path, query, headers, await reader.readexactly(length))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
