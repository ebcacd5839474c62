"""HTTP to others: one total time limit, a bounded body, no redirects, no cookies, nothing decoded.

This is the engine inside httpx2 and not httpx2 itself, whose conveniences would each have to be switched
off: it would keep cookies, read proxies from the environment, log whole URLs, and unpack a kilobyte into a
gigabyte. Its time limits are for one read each; ours ends the call, however busily the other side drips.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpcore2

IDLE_S = 4.0
"""How long an idle connection is kept: less than servers keep theirs (Node 5 s, nginx 75 s)."""


class HttpFailed(Exception):
    """No answer that could be used. The text is a word or two of ours: what the other side wrote may hold
    anything, and a URL may hold a secret."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer. Names of headers are in lower case, and several of one name are joined by a comma."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """At most `connections` at once, to all hosts together; `idle` of them stay open for `IDLE_S` after use.
    `tls` says whom to trust, by default whom the system trusts. Nothing happens before `open()`."""

    def __init__(self, connections: int, idle: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._connections = connections
        self._idle = idle
        self._tls = tls
        self._pool: httpcore2.AsyncConnectionPool | None = None

    async def open(self) -> None:
        """Make the pool. It connects when it is first used."""
        import httpcore2  # here, and not where nobody is called: it takes 6 MB

        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=self._tls or httpcore2.default_ssl_context(),
            max_connections=self._connections,
            max_keepalive_connections=self._idle,
            keepalive_expiry=IDLE_S,
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
    ) -> HttpAnswer:
        """One attempt: connect, send, read all of it, within `within_s` seconds and `body_bytes` bytes.

        Raises `HttpFailed`: nothing else comes out of here but a cancellation.
        """
        import httpcore2

        assert self._pool is not None, "open() first"
        sent = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        sent.append((b"accept-encoding", b"identity"))
        try:
            async with (
                asyncio.timeout(within_s),
                self._pool.stream(method, url, headers=sent, content=content) as response,
            ):
                received = _headers(response.headers)
                return HttpAnswer(response.status, received, await _body(response, received, body_bytes))
        except HttpFailed:
            raise
        except TimeoutError:
            raise HttpFailed("timeout") from None
        except (httpcore2.NetworkError, httpcore2.TimeoutException, OSError):
            raise HttpFailed("connection") from None
        except Exception:  # noqa: BLE001  whatever the other side sent, it must not become a bug of a caller's
            raise HttpFailed("protocol") from None


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    received: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        received[key] = f"{received[key]}, {text}" if key in received else text
    return received


async def _body(response: "httpcore2.Response", headers: Mapping[str, str], most: int) -> bytes:
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise HttpFailed("coding")  # we asked for none; unpacking what was not asked for is how bombs go off
    body = bytearray()
    async with aclosing(response.aiter_stream()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > most:
                raise HttpFailed("too large")
    return bytes(body)
