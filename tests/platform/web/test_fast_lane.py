"""The fast lane: what is answered again is what would be answered, and nothing else is."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from farmlokal.platform.metrics import LimitCounts, RequestCounts
from farmlokal.platform.rate_limit import MemoryLimiter, Policy
from farmlokal.platform.web.admission import Admission
from farmlokal.platform.web.fast_lane import ANSWERS, BYTES, KEY_BYTES, FastLane, lasting
from farmlokal.platform.web.gate import HEADER_BYTES, Gate
from farmlokal.platform.web.peers import Peers
from tests.support.asgi import application, calling, furnish
from tests.support.catalogue import Shelf, run
from tests.support.clock import ManualClock

PATHS = (
    "/api/products",
    "/api/products?limit=1&sort=price",
    "/api/products?limit=1&sort=price&count=exact&facets=state",
    "/api/products?sort=nonsense",
    "/api/products?search=zzzz",
    "/api/products/1",
    "/api/products/1/prices",
    "/api/facets?facets=category",
    "/api/categories",
    "/api/sellers?limit=2",
    "/api/nothing",
    "/healthz",
)
HEADERS: tuple[Mapping[str, str], ...] = (
    {},
    {"accept-encoding": "br"},
    {"accept-encoding": "gzip;q=0.5, zstd"},
    {"accept": "text/html"},
    {"accept": "*/*", "x-request-id": "of-the-caller"},
    {"if-none-match": "*"},
    {"authorization": "Bearer nonsense"},
    {"x-long": "x" * HEADER_BYTES},
)
EACH_ANEW = ("x-request-id", "ratelimit", "content-length")


def same(answer: httpx2.Response) -> tuple[int, dict[str, str], bytes]:
    """What must not differ of an answer. A problem names its request."""
    headers = {name: value for name, value in answer.headers.items() if name not in EACH_ANEW}
    return answer.status_code, headers, b"" if answer.status_code >= 400 else answer.content


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_every_answer_is_the_same_without_it(shelf: Shelf, database_path: Path, method: str) -> None:
    """Whatever is asked in whatever form, once or again: status, headers and body do not tell whether the
    lane is on."""
    furnish(shelf)

    async def answers(lane: str) -> list[tuple[int, dict[str, str], bytes]]:
        limit = {"FARMLOKAL_RATE_LIMIT": "100000/60s;burst=100000", "FARMLOKAL_FAST_LANE": lane}
        async with calling(application(database_path, limit)) as caller:
            return [
                same(await caller.request(method, path, headers=headers))
                for path in PATHS
                for headers in HEADERS
                for _ in range(3)
            ]

    assert run(answers("on")) == run(answers("off"))


def test_what_is_answered_again_has_its_own_id_and_quota(shelf: Shelf, database_path: Path) -> None:
    """Each answer has a request id of its own, or the caller's, and tells how much quota is left; the request
    that finds none is refused as ever."""
    furnish(shelf)

    async def go() -> None:
        limit = {"FARMLOKAL_RATE_LIMIT": "600/600s;burst=4"}
        async with calling(application(database_path, limit)) as caller:
            answers = [await caller.get("/api/products") for _ in range(3)]
            answers.append(await caller.get("/api/products", headers={"x-request-id": "mine"}))
            refused = await caller.get("/api/products")
        assert [answer.headers["x-cache"] for answer in answers] == ["miss", "hit", "hit", "hit"]
        ids = [answer.headers["x-request-id"] for answer in answers]
        assert len({*ids}) == 4
        assert ids[-1] == "mine"
        left = [answer.headers["ratelimit"].split(";")[1] for answer in answers]
        assert left == ["r=3", "r=2", "r=1", "r=0"]
        assert refused.status_code == 429

    run(go())


def test_a_write_ends_it(shelf: Shelf, database_path: Path) -> None:
    """A second after a write nobody gets the old answer."""
    furnish(shelf)

    async def go() -> None:
        async with calling(application(database_path)) as caller:
            for _ in range(2):
                before = await caller.get("/api/products?limit=1")
            assert before.headers["x-cache"] == "hit"
            name = "Written a moment ago"
            shelf.connection.execute("UPDATE products SET name = ? WHERE id = 1", (name,))
            shelf.connection.execute("UPDATE catalogue_version SET version = version + 1")
            written = time.monotonic()
            while (await caller.get("/api/products?limit=1")).json()["data"][0]["name"] != name:
                assert time.monotonic() < written + 20
                await asyncio.sleep(0.01)

    run(go())


class Route:
    """The long way, as the lane sees it: it counts its visits."""

    def __init__(self, body: bytes = b"[]", *, opts_in: bool = True) -> None:
        self.body = body
        self.holds = True
        self.visits = 0
        self._opts_in = opts_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.visits += 1
        if self._opts_in:
            lasting(scope, lambda: self.holds)
        status = 404 if Request(scope).query_params.get("status") else 200
        await Response(self.body, status)(scope, receive, send)


def visits(route: Route, targets: list[str], headers: Mapping[str, str] | None = None) -> int:
    """How often requests for these targets, one after the other, went the long way."""

    async def go() -> None:
        lane = FastLane(route, RequestCounts(), None, ["/list"])
        transport = httpx2.ASGITransport(app=lane)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x") as caller:
            for target in targets:
                assert (await caller.get(target, headers=headers)).content == route.body

    run(go())
    return route.visits


def test_only_what_lasts_is_given_again() -> None:
    """Another path, a route that has not opted in, an answer that has ended, one that is no success, a caller
    with a token and a key that is too long go the long way each time."""
    assert visits(Route(), ["/list"] * 3) == 1
    assert visits(Route(), ["/other"] * 3) == 3
    assert visits(Route(opts_in=False), ["/list"] * 3) == 3
    assert visits(Route(), ["/list?status=404"] * 3) == 3
    assert visits(Route(), ["/list"] * 3, {"authorization": "Bearer x"}) == 3
    assert visits(Route(), ["/list"] * 3, {"accept": "a" * KEY_BYTES}) == 3
    ended = Route()
    ended.holds = False
    assert visits(ended, ["/list"] * 3) == 3


def test_what_is_kept_is_bounded() -> None:
    """Answers past the number or the memory that is allowed push out those that were used longest ago."""
    many = [f"/list?n={number}" for number in range(ANSWERS + 1)]
    assert visits(Route(), [*many, many[-1], many[0]]) == ANSWERS + 2
    large = Route(b"x" * (BYTES // 4))
    targets = [f"/list?n={number}" for number in range(4)]
    assert visits(large, [*targets, targets[-1], targets[0]]) == 5


def test_a_quota_that_is_spent_is_not_gone_around() -> None:
    """Where the limiter does not admit at once, the request goes the long way, which asks it."""
    clock, route = ManualClock(), Route()
    policy = Policy("small", 60, 60, 2)
    limits = LimitCounts()
    admission = Admission(MemoryLimiter(policy, clock, limits), policy, Peers(), lambda _path, _query: 1)

    async def go() -> None:
        lane = FastLane(route, RequestCounts(), admission, ["/list"])
        transport = httpx2.ASGITransport(app=lane)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x") as caller:
            for expected in (1, 1, 1, 2):  # the route itself asks nobody here
                await caller.get("/list")
                assert route.visits == expected
            clock.advance(1)
            await caller.get("/list")
            assert route.visits == 2

    run(go())
    assert limits.admitted == 3


def test_a_refusal_is_decided_and_counted_once() -> None:
    """Whoever finds the quota spent in the lane is told why, and counts as one refused."""
    route, limits, counts = Route(), LimitCounts(), RequestCounts()
    policy = Policy("small", 60, 60, 2)
    admission = Admission(
        MemoryLimiter(policy, ManualClock(), limits), policy, Peers(), lambda _path, _query: 1
    )

    async def go() -> list[int]:
        lane = FastLane(Gate(route, counts, admission), counts, admission, ["/list"])
        transport = httpx2.ASGITransport(app=lane)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x") as caller:
            return [(await caller.get("/list")).status_code for _ in range(4)]

    assert run(go()) == [200, 200, 429, 429]
    assert (limits.admitted, limits.refused) == (2, 2)
    assert route.visits == 1


def test_each_request_is_logged_where_that_is_asked_for(shelf: Shelf, database_path: Path) -> None:
    """At debug level there is one line a request, those that could be answered again included."""
    furnish(shelf)

    async def go(level: str) -> list[int]:
        with capture_logs() as lines:
            async with calling(application(database_path, {"FARMLOKAL_LOG_LEVEL": level})) as caller:
                for path in ("/api/products", "/api/products", "/api/nothing"):
                    await caller.get(path)
        return [line["status"] for line in lines if line["event"] == "request"]

    assert run(go("debug")) == [200, 200, 404]
    assert run(go("info")) == []
