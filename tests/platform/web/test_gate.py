"""The layer around every request: ids, limits, security headers, refusals, counting."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, Router
from starlette.types import Message

from farmlokal import errors
from farmlokal.platform.metrics import RequestCounts
from farmlokal.platform.web.gate import HEADER_BYTES, Gate
from farmlokal.platform.web.problem import QUOTA_EXCEEDED, STATUS
from tests.support.asgi import application, calling
from tests.support.catalogue import connect, run

SECRET = "/srv/secrets SELECT password FROM users"


def _raising(error: Exception) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_request: Request) -> Response:
        raise error

    return endpoint


async def _broken_midway(_request: Request) -> StreamingResponse:
    async def chunks() -> Any:
        yield b"half"
        raise RuntimeError(SECRET)

    return StreamingResponse(chunks())


def ask(
    path: str,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    counts: RequestCounts | None = None,
) -> httpx2.Response:
    """The answer of a small application behind the gate."""
    fault = errors.Fault("limit", "out of range", "1 to 100")
    refusals: dict[str, Exception] = {
        f"/{kind.__name__}": kind("No.", fault) for kind in STATUS if kind is not errors.Unavailable
    }
    refusals |= {"/bug": RuntimeError(SECRET), "/Unavailable": errors.Unavailable("Later.", retry_after_s=7)}
    routes = [Route(at, _raising(error), methods=["GET"]) for at, error in refusals.items()]
    gate = Gate(Router(routes), counts or RequestCounts())

    async def go() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=gate)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x") as caller:
            return await caller.request(method, path, headers=headers)

    return run(go())


@pytest.mark.parametrize("kind", list(STATUS))
def test_refusal_is_a_problem_document(kind: type[errors.DomainError]) -> None:
    """Each refusal of the domain has its status, and a document that names it, the request and the faults."""
    answer = ask(f"/{kind.__name__}")
    body = answer.json()
    assert answer.status_code == STATUS[kind] == body["status"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert body["type"] == (QUOTA_EXCEEDED if answer.status_code == 429 else "about:blank")
    assert body["title"] == HTTPStatus(answer.status_code).phrase
    assert body["instance"] == f"/{kind.__name__}"
    assert body["requestId"] == answer.headers["x-request-id"]
    assert body["error"] == ("Too many requests" if answer.status_code == 429 else body["detail"])
    if kind is errors.Unavailable:
        assert answer.headers["retry-after"] == "7"
        assert "errors" not in body
    else:
        assert body["errors"] == [{"parameter": "limit", "code": "out of range", "accepted": "1 to 100"}]


def test_bug_is_a_500_that_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A bug is answered with a request id, and with no word of what went wrong."""
    answer = ask("/bug")
    assert answer.status_code == 500
    assert answer.json()["requestId"] == answer.headers["x-request-id"]
    for word in ("secrets", "SELECT", "RuntimeError", "Traceback"):
        assert word not in answer.text


def test_answer_under_way_is_not_followed_by_another() -> None:
    """When an answer breaks off after its first bytes, no second status line is sent."""
    sent: list[Message] = []

    async def receive() -> Message:
        return await asyncio.Future()

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/midway", "query_string": b"", "headers": []}
    run(Gate(Router([Route("/midway", _broken_midway)]), RequestCounts())(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert (sent[0]["status"], sent[1]["body"]) == (200, b"half")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/none", 404),
        ("POST", "/bug", 405),
        ("DELETE", "/bug", 405),
        ("OPTIONS", "/none", 404),
        ("HEAD", "/none", 404),
    ],
)
def test_protocol_refusals(method: str, path: str, status: int) -> None:
    """Unknown paths and methods are problem documents too; a 405 lists what is allowed; HEAD has no body."""
    answer = ask(path, method=method)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.content == b"") == (method == "HEAD")
    if status == 405:
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_options_lists_the_methods() -> None:
    """OPTIONS answers 204 with the methods of the path."""
    answer = ask("/bug", method="OPTIONS")
    assert (answer.status_code, answer.content) == (204, b"")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/none", "/bug", "/Unavailable", "/Invalid"])
def test_every_answer_has_the_security_headers(path: str) -> None:
    """Every answer forbids sniffing, framing and running anything, whatever its status."""
    headers = ask(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize("given", ["a", "abc-DEF_1.2", "x" * 64])
def test_request_id_of_the_caller(given: str) -> None:
    """A request id of the caller's is kept where it is one plain word of at most 64 characters."""
    assert ask("/none", {"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\tb", "<script>", "a;b", "a,b"])
def test_other_request_ids_are_replaced(given: str) -> None:
    """Any other request id is replaced by one of ours, different each time."""
    found = {ask("/none", {"X-Request-ID": given}).headers["x-request-id"] for _ in range(2)}
    assert len(found) == 2
    assert given not in found
    assert all(len(own) == 24 for own in found)


def test_headers_that_are_too_large() -> None:
    """More than 16 kB of headers are refused with 431, and just less are not."""
    assert ask("/Invalid", {"x-large": "a" * (HEADER_BYTES - 500)}).status_code == 400
    answer = ask("/Invalid", {"x-large": "a" * HEADER_BYTES})
    assert answer.status_code == 431
    assert answer.json()["title"] == "Request Header Fields Too Large"


def test_answers_are_counted() -> None:
    """Every answer is counted by its class of status, and nothing stays in flight."""
    counts = RequestCounts()
    for path in ("/none", "/bug", "/Invalid"):
        ask(path, counts=counts)
    assert counts.by_status_class == {"4xx": 2, "5xx": 1}
    assert counts.in_flight == 0


def test_caller_who_hangs_up_is_not_a_bug(database_path: Path) -> None:
    """A request that is cancelled leaves nothing in flight, and the next one is answered."""

    async def go() -> dict[str, Any]:
        async with calling(application(database_path)) as caller:
            for _ in range(20):
                task = asyncio.create_task(caller.get("/api/products"))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            assert (await caller.get("/api/products")).status_code == 200
            metrics: dict[str, Any] = (await caller.get("/metrics")).json()
            return metrics

    assert run(go())["inFlight"] == 1  # the very request that asks


def test_readiness_without_a_database(database_path: Path) -> None:
    """Without its database the process lives and is not ready, and says why without a path."""

    async def go() -> None:
        async with calling(application(database_path)) as caller:
            assert (await caller.get("/readyz")).json() == {
                "status": "ready",
                "checks": {"database": {"ok": True, "reason": None}},
            }
            with_schema(database_path, "9999")
            assert (await caller.get("/readyz")).status_code == 200
            with_schema(database_path, "0000")
            answer = await caller.get("/readyz")
            assert answer.status_code == 503
            check = answer.json()["checks"]["database"]
            assert not check["ok"]
            assert "farmlokal migrate" in check["reason"]
            assert str(database_path) not in answer.text
            assert (await caller.get("/healthz")).json() == {"status": "ok"}

    run(go())


def with_schema(path: Path, version: str) -> None:
    """A database that another release has migrated."""
    connection = connect(path)
    connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    connection.close()


@pytest.mark.parametrize(
    "path", ["/metrics", "/docs", "/openapi.json", "/docs/start.js", "/docs/swagger-ui.css"]
)
def test_production_hides_its_inside(path: str, database_path: Path) -> None:
    """In production, metrics and the description of the API are not for strangers; health is."""
    production = {
        "FARMLOKAL_PROFILE": "production",
        "FARMLOKAL_SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz",
        "FARMLOKAL_WEBHOOK_SECRETS": "0123456789abcdefghijklmnopqrstuvwxyz",
    }

    async def go(more: Mapping[str, str]) -> tuple[int, int]:
        async with calling(application(database_path, more)) as caller:
            return (await caller.get(path)).status_code, (await caller.get("/healthz")).status_code

    assert run(go({})) == (200, 200)
    assert run(go(production)) == (401, 200)


def test_cross_origin_reading(database_path: Path) -> None:
    """Origins that the settings name may read, with the headers they need; others may not."""

    async def go() -> None:
        more = {"FARMLOKAL_CORS_ORIGINS": "https://shop.example"}
        async with calling(application(database_path, more)) as caller:
            named = await caller.get("/api/products", headers={"origin": "https://shop.example"})
            assert named.headers["access-control-allow-origin"] == "https://shop.example"
            assert "ETag" in named.headers["access-control-expose-headers"]
            other = await caller.get("/api/products", headers={"origin": "https://other.example"})
            assert "access-control-allow-origin" not in other.headers
            assert msgspec.json.decode(other.content)["data"] == []

    run(go())
