"""The layer every request passes once: request id, size of headers, quota, errors, security headers, counts.

Pure ASGI and one layer, not a stack of middlewares: each layer would wrap `send` again, and their order
would be one more thing to know.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from time import perf_counter

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from farmlokal.errors import DomainError, Fault, RateLimited
from farmlokal.platform.metrics import NOWHERE, RequestCounts
from farmlokal.platform.web import problem
from farmlokal.platform.web.admission import Admission

HEADER_BYTES = 16_384
"""Most bytes of all request headers together; past it the answer is 431."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]

# Both, because RFC 6749 §5.2 asks for both where a refusal is one of a token.
_NEVER_STORED = {"cache-control": "no-store", "pragma": "no-cache"}


class Gate:
    """Wraps the routes. Without an `admission` nobody is limited; `log_requests` logs each request."""

    def __init__(
        self,
        app: ASGIApp,
        counts: RequestCounts,
        admission: Admission | None = None,
        *,
        log_requests: bool = False,
    ) -> None:
        self._app = app
        self._counts = counts
        self._admission = admission
        self._log_requests = log_requests
        self._ids = RequestIds()
        self._log = structlog.get_logger("farmlokal.web")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        named = self._ids.of(scope)
        scope["app"] = self._app  # tells the router to raise what it would answer itself
        answer, began = _Answer(send, named), perf_counter()
        self._counts.in_flight += 1
        with structlog.contextvars.bound_contextvars(request_id=named):
            try:
                await self._answer(scope, receive, answer)
            finally:
                self._counts.in_flight -= 1
                if answer.status:  # none when the caller left first
                    route = getattr(scope.get("route"), "path", NOWHERE)
                    self._counts.count(answer.status, route, scope["method"], perf_counter() - began)
                if self._log_requests:
                    self._log.debug(
                        "request",
                        method=scope["method"],
                        path=scope["path"],
                        status=answer.status,
                        ms=round((perf_counter() - began) * 1000, 3),
                    )

    async def _answer(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        try:
            if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADER_BYTES:
                raise HTTPException(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"at most {HEADER_BYTES} bytes"
                )
            if self._admission is not None:
                await self._admission.admit(scope, answer.headers)
            await self._app(scope, receive, answer.send)
        except DomainError as error:
            status, headers = problem.of_error(error)
            await answer.refuse(scope, status, error.detail, headers, error)
        except HTTPException as error:
            status = HTTPStatus(error.status_code)
            headers = dict(error.headers or {})
            if status == HTTPStatus.METHOD_NOT_ALLOWED and scope["method"] == "OPTIONS":
                await answer.whole(HTTPStatus.NO_CONTENT, headers)
            else:
                await answer.refuse(scope, status, _DETAILS.get(status, error.detail), headers)
        except ClientDisconnect:
            pass  # the caller left before all of its request was here
        except Exception:  # noqa: BLE001  the last resort: logged whole, answered with an id
            self._log.exception("bug", path=scope["path"])
            detail = "Something went wrong on our side; the request id finds it in our log."
            await answer.refuse(scope, HTTPStatus.INTERNAL_SERVER_ERROR, detail)


_DETAILS = {
    HTTPStatus.NOT_FOUND: "There is nothing at this path.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This path does not take this method; Allow lists those it takes.",
}


class _Answer:
    """The sending side of one request."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.headers: list[tuple[bytes, bytes]] = []
        self.status = 0

    async def send(self, message: Message) -> None:
        """Pass a message on; the first one gets the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            present = {name for name, _ in message["headers"]}
            extra = [(name, value) for name, value in _ALWAYS if name not in present]
            message["headers"] = [
                *message["headers"],
                *extra,
                *self.headers,
                (b"x-request-id", self._request_id.encode()),
            ]
        await self._send(message)

    async def refuse(
        self,
        scope: Scope,
        status: HTTPStatus,
        detail: str,
        headers: Mapping[str, str] | None = None,
        error: DomainError | None = None,
    ) -> None:
        """Answer with a problem document, unless an answer is under way already."""
        if not self.status:
            faults: Sequence[Fault] = error.faults if error else ()
            policies = [error.policy] if isinstance(error, RateLimited) else []
            body = problem.body(status, detail, scope["path"], self._request_id, faults, policies)
            named = {**_NEVER_STORED, **(headers or {}), "content-type": problem.MEDIA_TYPE}
            await self.whole(status, named, b"" if scope["method"] == "HEAD" else body)

    async def whole(self, status: HTTPStatus, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Answer with a status, headers and a body that is all there."""
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        if body:
            encoded.append((b"content-length", str(len(body)).encode()))
        await self.send({"type": "http.response.start", "status": status.value, "headers": encoded})
        await self._send({"type": "http.response.body", "body": body})


class RequestIds:
    """Gives each request its id. Ours are random, and drawn many at a time: asking the kernel for one takes
    3 µs, a tenth of what a page from memory costs."""

    def __init__(self) -> None:
        self._drawn: list[str] = []

    def of(self, scope: Scope) -> str:
        """The caller's X-Request-ID where it is one plain word, else one of ours."""
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                return str(value, "ascii")
        return self.ours()

    def ours(self) -> str:
        """One of ours."""
        if not self._drawn:
            many = secrets.token_hex(_ID_BYTES * _IDS)
            self._drawn = [many[at : at + 2 * _ID_BYTES] for at in range(0, len(many), 2 * _ID_BYTES)]
        return self._drawn.pop()


_ID_BYTES, _IDS = 12, 256
