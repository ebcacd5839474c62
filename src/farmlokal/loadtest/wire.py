"""One connection of HTTP/1.1, one request at a time, with as little work as possible.

The load generator shares the machine with what it measures: `platform/http_client.py` takes ten times as
long for a request, all of it care about strangers. Here the other side is our own server. An answer without
Content-Length (chunked, by a proxy) is not understood and counts as none.
"""

import asyncio
import re
from collections.abc import Callable
from typing import cast

BODY_BYTES = 4 * 1024 * 1024
"""Longest answer that is read."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,9})\r\n", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)

Done = Callable[["Wire", int, bytes, str], None]
"""Called once a request: (the connection, status, body, "") or (the connection, 0, nothing, the reason)."""


class Wire(asyncio.Protocol):
    """A connection; `open` says whether it takes another request."""

    def __init__(self, done: Done) -> None:
        self._done = done
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._body_at = 0
        self._busy = False
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.open = True

    def send(self, request: bytes) -> None:
        """Send one; its end is told to `done`."""
        assert self._transport is not None
        self._busy = True
        self._transport.write(request)

    def give_up(self, reason: str) -> None:
        """End the connection, and with it the request that is under way."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()
        self._end(0, b"", reason)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._body_at:
            head = self._received.find(b"\r\n\r\n")
            if head < 0:
                return
            self._body_at = head + 4
        length = self._length()
        if length is None or length > BODY_BYTES:
            self.give_up("protocol")
        elif len(self._received) >= self._body_at + length:
            self._take()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  the protocol's
        self.open = False
        self._end(0, b"", "connection")

    def _length(self) -> int | None:
        if bytes(self._received[9:12]) in (b"204", b"304"):
            return 0
        found = _LENGTH.search(self._received, 0, self._body_at - 2)
        return int(found[1]) if found and self._received[9:12].isdigit() else None

    def _take(self) -> None:
        status, body = int(self._received[9:12]), bytes(self._received[self._body_at :])
        if _CLOSES.search(self._received, 0, self._body_at - 2):
            self.open = False
        self._received.clear()
        self._body_at = 0
        self._end(status, body, "")

    def _end(self, status: int, body: bytes, reason: str) -> None:
        if self._busy:
            self._busy = False
            self._done(self, status, body, reason)

    def close(self) -> None:
        """Close it when nothing is under way."""
        self.open = self._busy = False
        if self._transport is not None:
            self._transport.abort()
