"""Answers again what was answered a moment ago, in front of everything: the same bytes, without the work.

A route opts in by noting in the scope how to tell that its answer still holds (`lasting`). The whole answer
is then kept as it left the house, headers and all, under what it was made from: path, query string and the
three headers that choose a form. A server that can tell a request by its bytes is given a way to ask for the
answer without reading it (`AGAIN`). Nothing here knows what the answer is. What is new in each is added: the
caller's quota, the request id. Everything that is not plainly the same again (a token, a quota that is spent,
an answer that no longer holds) goes the long way, which refuses, counts and explains.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from farmlokal.platform.metrics import RequestCounts
from farmlokal.platform.web.admission import Admission, Headers
from farmlokal.platform.web.gate import HEADER_BYTES, RequestIds

ANSWERS, BYTES = 12_000, 16 * 1024 * 1024
"""Most answers, and most memory of all. Their bodies are those that the cache holds, but may outlive them."""

KEY_BYTES = 1_024
"""Longest of what an answer is made from. Callers who send more pay for it with the long way."""

_OVERHEAD = 2_500
"""Bytes of an answer besides its body and key: a dozen headers (measured: 2,300)."""

_CHOOSING = frozenset((b"accept", b"accept-encoding", b"if-none-match"))
_OWN = frozenset((b"x-request-id", b"ratelimit", b"ratelimit-policy", b"x-cache"))
"""Headers that every answer has anew."""

_LASTING = "farmlokal.lasting"
AGAIN = "farmlokal.again"
"""In the scope of a request that may come again byte for byte: what takes an `Again` for those bytes."""

Again = Callable[[tuple[str, int] | None], tuple[bytes, bytes] | None]
"""The answer to the same request of this peer, now: status line and headers without the empty line, and the
body. None says: read the request."""

_ANEW = frozenset((b"authorization", b"origin", b"x-request-id"))
"""Headers of requests that are read each time: for these the long way or another layer has a say."""

_HIT = (b"x-cache", b"hit")
_WHOLE = frozenset((200, 304))

_Key = tuple[str | bytes, ...]
Still = Callable[[], bool]
"""Whether an answer is still what the long way would give; counts as a lookup if so."""


def lasting(scope: Scope, still: Still) -> None:
    """Let the answer to this request be given again for as long as `still` says so. It must be the same for
    every caller, and depend on nothing but the path, the query string and the three headers."""
    scope[_LASTING] = still


@dataclass(slots=True)
class _Ready:
    """A whole answer. `cost` is in units of the rate limit, `size` in bytes; `head` is made when first asked
    for."""

    still: Still
    cost: int
    status: int
    headers: Headers
    body: bytes
    size: int
    head: bytes = b""


class FastLane:
    """In front of the gate. Other paths than `paths` pass it untouched. `unread` says whether the server may
    answer by itself what comes again: not where a layer around this one has to see each request."""

    def __init__(
        self,
        app: ASGIApp,
        counts: RequestCounts,
        admission: Admission | None,
        paths: Collection[str],
        *,
        unread: bool = True,
    ) -> None:
        self._app = app
        self._counts = counts
        self._admission = admission
        self._paths = frozenset(paths)
        self._unread = unread
        self._ready: OrderedDict[_Key, _Ready] = OrderedDict()
        self._bytes = 0
        self._ids = RequestIds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in self._paths:
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        parts: list[str | bytes] = [scope["path"], scope["query_string"]]
        size, plain, known = 0, True, True
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name in _CHOOSING:
                parts += name, value
            elif name in _ANEW:
                plain, known = False, known and name != b"authorization"
        key = tuple(parts)
        # Somebody with a token: the long way knows who.
        ready = self._find(key) if known and size <= HEADER_BYTES else None
        told = None if ready is None else await self._admit(scope, ready.cost)
        if ready is not None and told is not None:
            named = (b"x-request-id", self._ids.of(scope).encode())
            headers = [*ready.headers, *told, named]
            self._counts.count(ready.status, scope["path"], "GET", perf_counter() - began)
            if plain and self._unread and AGAIN in scope:
                scope[AGAIN](partial(self._again, key, scope["path"], scope["headers"]))
            await send({"type": "http.response.start", "status": ready.status, "headers": headers})
            await send({"type": "http.response.body", "body": ready.body})
            return
        answer = _Recorded(send)
        await self._app(scope, receive, answer.send)
        self._drop(key)
        if _LASTING in scope and answer.status in _WHOLE and answer.body is not None:
            self._keep(key, scope, answer.status, answer.headers, answer.body)

    def _find(self, key: _Key) -> "_Ready | None":
        """The answer that is ready and still holds."""
        ready = self._ready.get(key)
        if ready is None or not ready.still():
            return None
        self._ready.move_to_end(key)
        return ready

    async def _admit(self, scope: Scope, cost: int) -> Headers | None:
        """What the caller is told of its quota; None where it is refused, which the long way explains."""
        if self._admission is None:
            return []
        told = self._admission.admit_now(scope, cost)
        return await self._admission.decide(scope, cost) if told is None else told

    def _again(
        self, key: _Key, path: str, headers: Headers, client: tuple[str, int] | None
    ) -> tuple[bytes, bytes] | None:
        began, told = perf_counter(), Headers()
        ready = self._find(key)
        if ready is None:
            return None
        if self._admission is not None:
            now = self._admission.admit_now({"client": client, "headers": headers}, ready.cost)
            if now is None:
                return None
            told = now
        if not ready.head:
            ready.head = _head(ready.status, ready.headers)
        self._counts.count(ready.status, path, "GET", perf_counter() - began)
        named = b"x-request-id: %b\r\n" % self._ids.ours().encode()
        return b"".join((ready.head, *map(_line, told), named)), ready.body

    def _keep(
        self,
        key: _Key,
        scope: Scope,
        status: int,
        headers: Headers,
        body: bytes,
    ) -> None:
        length = sum(map(len, key))
        if length > KEY_BYTES:
            return
        kept = [(name, value) for name, value in headers if name not in _OWN]
        cost = 0 if self._admission is None else self._admission.cost(scope)
        size = _OVERHEAD + length + len(body)
        self._ready[key] = _Ready(scope[_LASTING], cost, status, [*kept, _HIT], body, size)
        self._bytes += size
        while self._bytes > BYTES or len(self._ready) > ANSWERS:
            self._drop(next(iter(self._ready)))

    def _drop(self, key: _Key) -> None:
        ready = self._ready.pop(key, None)
        if ready is not None:
            self._bytes -= ready.size


def _head(status: int, headers: Headers) -> bytes:
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    return b"".join((line, *map(_line, headers)))


def _line(header: tuple[bytes, bytes]) -> bytes:
    return b"%b: %b\r\n" % header


class _Recorded:
    """Passes an answer on, and remembers it if its body is one message."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.headers: Headers = []
        self.body: bytes | None = None

    async def send(self, message: Message) -> None:
        """The sending side of one request."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            whole = self.body is None and not message.get("more_body", False)
            self.body = message.get("body", b"") if whole else None
        await self._send(message)
