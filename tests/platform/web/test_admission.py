"""The rate limit as callers see it: headers, 429, what is free, what costs."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from farmlokal.errors import RateLimited
from farmlokal.platform.metrics import LimitCounts
from farmlokal.platform.rate_limit import MemoryLimiter, Policy
from farmlokal.platform.web.admission import Admission
from farmlokal.platform.web.peers import Peers
from farmlokal.platform.web.problem import QUOTA_EXCEEDED
from tests.support.asgi import application, calling
from tests.support.catalogue import run
from tests.support.clock import ManualClock

LIMIT = "600/60s;burst=5"


def limited(
    database: Path,
    work: Callable[[httpx2.AsyncClient], Coroutine[Any, Any, None]],
    limit: str = LIMIT,
    more: Mapping[str, str] | None = None,
) -> None:
    """Run `work` with a caller of the application under this limit."""

    async def go() -> None:
        app = application(database, {"FARMLOKAL_RATE_LIMIT": limit} | dict(more or {}))
        async with calling(app) as caller:
            await work(caller)

    run(go())


def items(field: str) -> dict[str, dict[str, int]]:
    """A List of Strings with integer parameters (RFC 9651, 4.2), parsed strictly:
    every octet has to be accounted for."""
    found: dict[str, dict[str, int]] = {}
    for item in field.split(","):
        match = re.fullmatch(
            r' *"([\x20\x21\x23-\x5b\x5d-\x7e]*)"((?:;[a-z*][a-z0-9_.*-]*=-?[0-9]{1,15})*)', item
        )
        assert match, f"not a Structured Field: {field!r}"
        pairs = [pair.split("=") for pair in match[2].split(";")[1:]]
        found[match[1]] = {name: int(value) for name, value in pairs}
    return found


def test_every_answer_tells_the_quota(database_path: Path) -> None:
    """Answers of any status tell the policy and what is left of it, as Structured Fields."""

    async def work(caller: httpx2.AsyncClient) -> None:
        left = []
        for path in ("/api/products", "/api/products/999", "/nowhere", "/api/products?nonsense=1", "/docs"):
            answer = await caller.get(path)
            assert items(answer.headers["ratelimit-policy"]) == {"default": {"q": 600, "w": 86_400}}
            [told] = items(answer.headers["ratelimit"]).values()
            assert told["t"] >= 1
            left.append(told["r"])
        assert left == [4, 3, 2, 1, 0]

    limited(database_path, work, "600/86400s;burst=5")


def test_too_many_requests(database_path: Path) -> None:
    """A caller whose quota is spent gets a problem document of its own type that says when to come back."""

    async def work(caller: httpx2.AsyncClient) -> None:
        for _ in range(5):
            assert (await caller.get("/api/products")).status_code == 200
        answer = await caller.get("/api/products?limit=100")
        body = answer.json()
        assert answer.status_code == body["status"] == 429
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
        assert (body["type"], body["violated-policies"]) == (QUOTA_EXCEEDED, ["default"])
        assert (body["title"], body["error"]) == ("Too Many Requests", "Too many requests")
        assert body["requestId"] == answer.headers["x-request-id"]
        [told] = items(answer.headers["ratelimit"]).values()
        assert told["r"] == 0
        # Three units, of which one takes 144 s.
        assert told["t"] <= 144 < 431 <= int(answer.headers["retry-after"]) <= 432
        assert (await caller.head("/api/products")).status_code == 429

    limited(database_path, work, "600/86400s;burst=5")


def test_who_waits_as_told_is_admitted(database_path: Path) -> None:
    """After Retry-After the same request is admitted, however often it was refused meanwhile."""

    async def work(caller: httpx2.AsyncClient) -> None:
        while (answer := await caller.get("/api/products")).status_code == 200:
            pass
        until = asyncio.get_running_loop().time() + int(answer.headers["retry-after"])
        refused = 0
        while asyncio.get_running_loop().time() < until:
            refused += (await caller.get("/api/products?limit=100")).status_code == 429
            await asyncio.sleep(0.01)
        assert refused
        assert (await caller.get("/api/products")).status_code == 200

    limited(database_path, work, "1/1s;burst=2")


def test_health_and_webhooks_are_free(database_path: Path) -> None:
    """Health checks and signed events spend nothing, are never refused and tell of no quota."""

    async def work(caller: httpx2.AsyncClient) -> None:
        for path in ("/healthz", "/readyz", "/webhook/order-update", "/webhook/github/order-update"):
            for _ in range(10):
                answer = await caller.get(path)
                assert answer.status_code in (200, 404, 405)
                assert "ratelimit" not in answer.headers
        assert (await caller.get("/webhook")).status_code == 404
        assert "r=3;t=" in (await caller.get("/api/products")).headers["ratelimit"]

    limited(database_path, work, "600/86400s;burst=5")


def test_no_limit_no_headers(database_path: Path) -> None:
    """With the limit off nobody is refused, and no answer speaks of one."""

    async def work(caller: httpx2.AsyncClient) -> None:
        for _ in range(100):
            answer = await caller.get("/api/products/1")
            assert answer.status_code == 404
            assert not {"ratelimit", "ratelimit-policy"} & set(answer.headers)
        assert (await caller.get("/metrics")).json()["rateLimit"] == {
            "admitted": 0,
            "refused": 0,
            "byFallback": 0,
        }

    limited(database_path, work, "off")


def test_a_large_page_costs_more(database_path: Path) -> None:
    """A page of 100 costs more than one of 10, and a search more than a listing."""

    async def work(caller: httpx2.AsyncClient) -> None:
        left = [
            items((await caller.get(f"/api/products?{query}")).headers["ratelimit"])["default"]["r"]
            for query in ("limit=10", "limit=100", "limit=10&search=tomato")
        ]
        assert left == [19, 16, 14]

    limited(database_path, work, "600/86400s;burst=20")


def test_scripts_of_other_origins_may_read_the_quota(database_path: Path) -> None:
    """The headers of the quota are exposed to the origins that may read at all, on a 429 as well."""

    async def work(caller: httpx2.AsyncClient) -> None:
        for _ in range(2):
            answer = await caller.get("/nowhere", headers={"origin": "https://shop.example"})
            exposed = answer.headers["access-control-expose-headers"]
            assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(exposed.split(", "))

    limited(database_path, work, "1/86400s;burst=1", {"FARMLOKAL_CORS_ORIGINS": "https://shop.example"})


def test_decisions_are_counted(database_path: Path) -> None:
    """The metrics count what was admitted and what was refused."""

    async def work(caller: httpx2.AsyncClient) -> None:
        for _ in range(5):
            await caller.get("/metrics")
        assert (await caller.get("/metrics")).status_code == 429
        await asyncio.sleep(0)

    async def read(caller: httpx2.AsyncClient) -> None:
        for _ in range(3):
            counted = (await caller.get("/metrics")).json()["rateLimit"]
        assert counted == {"admitted": 3, "refused": 0, "byFallback": 0}

    limited(database_path, work, "600/86400s;burst=5")
    limited(database_path, read)


@pytest.mark.parametrize("header", ["a" * 10_000, "[::1", "1.2.3.4:x:y", ",,,", "\u00e9", "10.0.0.1, " * 900])
def test_no_forwarding_header_fails_the_server(header: str, database_path: Path) -> None:
    """Whatever a trusted proxy passes on, the request is answered."""

    async def work(caller: httpx2.AsyncClient) -> None:
        answer = await caller.get("/api/products", headers={b"x-forwarded-for": header.encode("latin-1")})
        assert answer.status_code == 200

    limited(database_path, work, more={"FARMLOKAL_TRUSTED_PROXIES": "127.0.0.0/8,10.0.0.0/8"})


def test_failed_proofs_cost_the_address(clock: ManualClock) -> None:
    """On a free path a wrong secret is charged to the address, and once nothing is left it is not even
    checked."""
    policy = Policy("default", 600, 60, 5)
    admission = Admission(
        MemoryLimiter(policy, clock, LimitCounts()), policy, Peers(), lambda _path, _query: 1
    )
    scope = {"client": ("192.0.2.1", 1), "headers": []}

    async def go() -> None:
        for _ in range(2):
            await admission.require_quota(scope)
            await admission.charge(scope, 3)
        with pytest.raises(RateLimited) as refusal:
            await admission.require_quota(scope)
        assert refusal.value.retry_after_s == 1
        clock.advance(0.1)
        await admission.require_quota(scope)

    run(go())
