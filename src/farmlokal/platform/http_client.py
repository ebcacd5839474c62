"""HTTP to others: one total time limit, a bounded body, no redirects, no cookies, gzip only where asked for.

This is the engine inside httpx2 and not httpx2 itself, whose conveniences would each have to be switched
off: it would keep cookies, read proxies from the environment, log whole URLs, and unpack a kilobyte into a
gigabyte. Its time limits are for one read each; ours ends the call, however busily the other side drips.
"""

import asyncio
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from farmlokal.platform.connecting import NotAllowed, guarded
from farmlokal.platform.traces import span

if TYPE_CHECKING:
    import httpcore2

IDLE_S = 4.0
"""How long an idle connection is kept: less than servers keep theirs (Node 5 s, nginx 75 s)."""


SMALL_BYTES = 262_144
"""A body that is longer waits for `Grow`. A hundred products of a shop, described at length, are not."""

UNREAD_BYTES = 131_072
"""What a connection takes in ahead of its reader: the kernel's own choice is up to 6 MB, and an event loop
reads all that is there before anybody can say stop."""

Grow = Callable[[], Awaitable[object]]
"""Returns when a body may be longer than `SMALL_BYTES`. Until then no more of it is read, so the other side
has to keep it: what many bodies take together is bounded like what one takes."""


class HttpFailed(Exception):
    """No answer that could be used. The text is a word or two of ours: what the other side wrote may hold
    anything, and a URL may hold a secret."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer. Names of headers are in lower case, and several of one name are joined by a comma."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@cache
def _trusted() -> ssl.SSLContext:
    """Whom the system trusts, read once a process: that takes 25 ms, and a server has several clients."""
    import httpcore2

    return httpcore2.default_ssl_context()


class HttpClient:
    """At most `connections` at once, to all hosts together; `idle` of them stay open for `IDLE_S` after use.
    `tls` says whom to trust, by default whom the system trusts; `reaches` to which addresses a connection may
    go, by default to any. Nothing happens before `open()`."""

    def __init__(
        self,
        connections: int,
        idle: int = 0,
        tls: ssl.SSLContext | None = None,
        reaches: Callable[[str], bool] | None = None,
    ) -> None:
        self._connections = connections
        self._idle = idle
        self._tls = tls
        self._reaches = reaches
        self._pool: httpcore2.AsyncConnectionPool | None = None

    async def open(self) -> None:
        """Make the pool. It connects when it is first used."""
        import httpcore2  # here, and not where nobody is called: it takes 2 MB

        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=self._tls or _trusted(),
            max_connections=self._connections,
            max_keepalive_connections=self._idle,
            keepalive_expiry=IDLE_S,
            socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_BYTES)],
            network_backend=None if self._reaches is None else guarded(self._reaches),
        )

    async def close(self) -> None:
        """Close every connection."""
        if self._pool is not None:
            await self._pool.aclose()

    async def call(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes = b"",
        *,
        within_s: float,
        body_bytes: int,
        gzip: bool = False,
        grow: Grow | None = None,
    ) -> HttpAnswer:
        """One attempt: connect, send, read all of it, within `within_s` seconds and `body_bytes` bytes.

        With `gzip` the other side may compress; the bound is of what it unpacks to, and holds while it does.
        `grow` is asked once, for a long body; waiting for it is in `within_s`.
        Raises `HttpFailed`: nothing else comes out of here but a cancellation.
        """
        import httpcore2

        assert self._pool is not None, "open() first"
        try:
            host = urlsplit(url).hostname or ""  # the rest of a URL may hold a key
            with span(method, {"http.request.method": method, "server.address": host}) as told:
                named = {**headers, **told.headers, "accept-encoding": "gzip" if gzip else "identity"}
                sent = [(name.encode("ascii"), value.encode("ascii")) for name, value in named.items()]
                async with (
                    asyncio.timeout(within_s),
                    self._pool.stream(method, url, headers=sent, content=content) as response,
                ):
                    told.note("http.response.status_code", response.status)
                    received = _headers(response.headers)
                    body = await _body(response, _unpacking(received, gzip), body_bytes, grow)
                    return HttpAnswer(response.status, received, body)
        except NotAllowed:
            raise HttpFailed("address") from None
        except HttpFailed:
            raise
        except TimeoutError:
            raise HttpFailed("timeout") from None
        except (httpcore2.NetworkError, httpcore2.TimeoutException, OSError) as error:
            raise HttpFailed("certificate" if _is_distrust(error) else "connection") from None
        except Exception:  # noqa: BLE001  whatever the other side sent, it must not become a bug of a caller's
            raise HttpFailed("protocol") from None


def _is_distrust(error: BaseException | None) -> bool:
    """Whether the other side could not show that it is who it should be."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    received: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        received[key] = f"{received[key]}, {text}" if key in received else text
    return received


def _unpacking(headers: Mapping[str, str], gzip: bool) -> "_Gzip | None":
    """How the body is read; raises `HttpFailed` for a coding that we did not ask for."""
    coding = headers.get("content-encoding", "identity").lower()
    if coding == "identity":
        return None
    if gzip and coding == "gzip":
        return _Gzip()
    raise HttpFailed("coding")  # unpacking what was not asked for is how bombs go off


class _Gzip:
    """Unpacks no more than there is room for, and keeps the rest as it came."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    def unpack(self, chunk: bytes, room: int) -> bytes:
        """At most `room` bytes (one or more) of what all chunks so far unpack to."""
        try:
            return self._inflate.decompress(self._inflate.unconsumed_tail + chunk, room)
        except zlib.error:
            raise HttpFailed("coding") from None

    def end(self) -> None:
        """Raise `HttpFailed` unless the stream was whole, and all there was."""
        if not self._inflate.eof or self._inflate.unused_data:
            raise HttpFailed("coding")


async def _body(response: "httpcore2.Response", gzip: _Gzip | None, most: int, grow: Grow | None) -> bytes:
    body = bytearray()
    try:
        await _read(response, gzip, most, grow, body)
        return bytes(body)
    finally:
        body.clear()  # an exception keeps its frames, and what they hold, for as long as anyone keeps it


async def _read(
    response: "httpcore2.Response", gzip: _Gzip | None, most: int, grow: Grow | None, body: bytearray
) -> None:
    came, limit = 0, most if grow is None else min(most, SMALL_BYTES)
    async with aclosing(response.aiter_stream()) as chunks:
        async for chunk in chunks:
            came += len(chunk)  # a stream of empty blocks unpacks to nothing, for ever
            # A byte more than the limit is enough to see that it is too much.
            body += chunk if gzip is None else gzip.unpack(chunk, limit + 1 - len(body))
            if grow is not None and limit < most and max(came, len(body)) > limit:
                await grow()
                limit = most
                body += b"" if gzip is None else gzip.unpack(b"", limit + 1 - len(body))
            if max(came, len(body)) > limit:
                raise HttpFailed("too large")
    if gzip is not None:
        gzip.end()
