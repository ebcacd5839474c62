"""A supplier over HTTP: one attempt at one question, in the words that retries and circuit understand.

What is sent goes to the address of the settings and nowhere else: redirects are not followed, and the
connection is made to an address that was looked at. Our token is sent where it belongs and to nobody else.
A token that the supplier refuses is replaced once a question, by its own name, so that a thousand callers who
notice it together cost one refresh (`oauth/upstream`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import TypeVar
from urllib.parse import urlencode

from farmlokal.errors import Unavailable
from farmlokal.oauth.upstream import TokenSource, UpstreamToken
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.http_client import HttpAnswer, HttpClient, HttpFailed
from farmlokal.platform.resilience.attempts import Work
from farmlokal.platform.resilience.deadline import Deadline, DeadlineExceeded
from farmlokal.platform.resilience.failures import (
    NotCalled,
    UpstreamFailed,
    UpstreamRefused,
    check_status,
)
from farmlokal.platform.resilience.retry import parse_retry_after
from farmlokal.suppliers.counts import SupplierCounts
from farmlokal.suppliers.models import UnreadablePage

T = TypeVar("T")

BODY_BYTES = 5 * 1024 * 1024
"""Most of a body, unpacked (requirement)."""

THREAD_BYTES = 65_536
"""Longer bodies are read in a thread: one of 5 MB takes half a second, in which nobody else would be
answered."""

LARGE_BODIES = 2
"""Bodies of one supplier that may be long at the same time, until they are read. Twenty bombs at once took
115 MB, twenty endless bodies 240, where 50 are allowed."""

MARGIN_S = 0.05
"""How long before the end of an attempt the wait for a token ends: the supplier is not blamed for it."""

_AGAIN = frozenset(["connection", "protocol"])
"""How HTTP fails by chance: no connection, or one that ended in the middle. A question is a GET, so asking it
again does no harm. All time was spent on a timeout; what cannot be read will be no better."""


class SupplierClient:
    """One supplier. Without a `token` source it is asked as a stranger."""

    def __init__(
        self,
        http: HttpClient,
        url: str,
        token: TokenSource | None,
        counts: SupplierCounts,
        clock: SystemClock,
    ) -> None:
        self._http = http
        self._url = url
        self._token = token
        self._counts = counts
        self._clock = clock
        self._large = asyncio.Semaphore(LARGE_BODIES)

    def asking(self, query: Mapping[str, str], read: Callable[[bytes], T]) -> Work[T]:
        """One question, as attempts that may be made one after another. `read` makes a value of the body, or
        raises `UnreadablePage`."""
        url, renewed = self._at(query), False

        async def attempt(deadline: Deadline) -> T:
            nonlocal renewed
            token = await self._in_time(deadline, self._token.get) if self._token else None
            async with AsyncExitStack() as held:
                answer = await self._send(url, token, deadline, held)
                if answer.status == 401 and self._token and token and not renewed:
                    renewed = True
                    await self._replace(self._token, token, deadline)
                    raise UpstreamRefused(401, mended=True)
                headers = answer.headers
                check_status(
                    answer.status,
                    parse_retry_after(headers.get("retry-after"), self._clock.now_us(), headers.get("date")),
                )
                return await _read(read, answer.body)

        return attempt

    def _at(self, query: Mapping[str, str]) -> str:
        joint = "&" if "?" in self._url else "?"
        return f"{self._url}{joint}{urlencode(query)}" if query else self._url

    async def _send(
        self, url: str, token: UpstreamToken | None, deadline: Deadline, held: AsyncExitStack
    ) -> HttpAnswer:
        headers = {"accept": "application/json", "user-agent": "farmlokal"}
        if token is not None:
            headers["authorization"] = f"Bearer {token.value}"
        begun_s = self._clock.monotonic_s()
        try:
            return await self._http.call(
                "GET",
                url,
                headers,
                within_s=deadline.remaining_s(),
                body_bytes=BODY_BYTES,
                gzip=True,
                grow=lambda: held.enter_async_context(self._large),
            )
        except HttpFailed as failure:
            raise UpstreamFailed(str(failure), retryable=str(failure) in _AGAIN) from None
        finally:
            self._counts.attempted(self._clock.monotonic_s() - begun_s)

    async def _replace(self, source: TokenSource, rejected: UpstreamToken, deadline: Deadline) -> None:
        try:
            await self._in_time(deadline, lambda: source.replace(rejected))
        except NotCalled:
            raise UpstreamRefused(401) from None

    async def _in_time(
        self, deadline: Deadline, token: Callable[[], Awaitable[UpstreamToken]]
    ) -> UpstreamToken:
        try:
            return await deadline.within(deadline.remaining_s() - MARGIN_S).run(token)
        except DeadlineExceeded:
            raise NotCalled("no token in time") from None
        except Unavailable as none:
            raise NotCalled("no token", retry_after_s=none.retry_after_s) from None


async def _read(read: Callable[[bytes], T], body: bytes) -> T:
    try:
        return read(body) if len(body) <= THREAD_BYTES else await asyncio.to_thread(read, body)
    except UnreadablePage:
        raise UpstreamFailed("unreadable", retryable=False) from None
