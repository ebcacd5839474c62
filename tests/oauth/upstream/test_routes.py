"""`GET /auth/token`: who is given the upstream token, and what goes with it."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from starlette.requests import Request
from starlette.routing import Router

from farmlokal.oauth.upstream import MemoryTokenStore, TokenCounts, TokenSource
from farmlokal.oauth.upstream.routes import UpstreamRoutes
from farmlokal.platform.metrics import LimitCounts, RequestCounts
from farmlokal.platform.rate_limit import Caller, MemoryLimiter, Policy
from farmlokal.platform.web import openapi
from farmlokal.platform.web.gate import Gate
from farmlokal.suppliers.simulator import Behaviour
from tests.support.asgi import alive, application
from tests.support.catalogue import run
from tests.support.clock import ManualClock
from tests.support.provider import Running, simulated
from tests.support.upstream import ScriptedProvider

PRODUCTION = {
    "FARMLOKAL_PROFILE": "production",
    "FARMLOKAL_SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz",
    "FARMLOKAL_WEBHOOK_SECRETS": "0123456789abcdefghijklmnopqrstuvwxyz",
}
LOCAL = ("127.0.0.1", 4711)


@pytest.fixture
def provider() -> Iterator[Running]:
    """A provider of the test's own."""
    with simulated() as running:
        yield running


@asynccontextmanager
async def calling(
    database: Path, settings: Mapping[str, str], peer: tuple[str, int] = LOCAL
) -> AsyncIterator[httpx2.AsyncClient]:
    """A caller from this address of an application with these settings."""
    app = application(database, settings)
    transport = httpx2.ASGITransport(app=app, client=peer)
    async with (
        alive(app),
        httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:3000") as caller,
    ):
        yield caller


def ask(
    database: Path,
    settings: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
    peer: tuple[str, int] = LOCAL,
    path: str = "/auth/token",
    method: str = "GET",
) -> httpx2.Response:
    """One answer."""

    async def go() -> httpx2.Response:
        async with calling(database, settings, peer) as caller:
            return await caller.request(method, path, headers=dict(headers or {}))

    return run(go())


def is_never_stored(answer: httpx2.Response) -> bool:
    """Whether an answer has both headers, and none by which a copy could be made or recognised."""
    headers = answer.headers
    return (headers["cache-control"], headers["pragma"]) == ("no-store", "no-cache") and not (
        {"etag", "age", "expires", "last-modified", "access-control-allow-origin"} & set(headers)
    )


def test_the_token_and_what_goes_with_it(provider: Running, database_path: Path) -> None:
    """The answer has the token under both names, its type, its scope, and the seconds that it has left; no
    member more."""
    answer = ask(database_path, provider.settings | {"FARMLOKAL_UPSTREAM_SCOPE": "prices stock"})
    [token] = provider.simulator.provider.issued
    assert answer.status_code == 200
    body = answer.json()
    assert 3500 < body.pop("expires_in") < 3600
    assert body == {"token": token, "access_token": token, "token_type": "Bearer", "scope": "prices stock"}
    assert is_never_stored(answer)
    assert answer.headers["content-type"] == "application/json"


def test_a_scope_that_nobody_named(provider: Running, database_path: Path) -> None:
    """Where neither we nor the provider name a scope, the answer has none."""
    body = ask(database_path, provider.settings).json()
    assert set(body) == {"token", "access_token", "token_type", "expires_in"}


@pytest.mark.parametrize(
    ("host", "peer", "more"),
    [
        ("127.0.0.1:3000", "127.0.0.1", {}),
        ("localhost", "127.0.0.1", {}),
        ("shop.LOCALHOST:3000", "127.8.9.1", {}),
        ("[::1]:3000", "::1", {}),
        ("localhost", "::ffff:127.0.0.1", {}),
    ],
)
def test_development_is_open_to_this_machine(
    host: str, peer: str, more: dict[str, str], provider: Running, database_path: Path
) -> None:
    """In development a caller on a loopback address who names a loopback host needs no token of ours."""
    answer = ask(database_path, provider.settings, {"host": host, **more}, (peer, 4711))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("host", "peer", "more"),
    [
        ("shop.example", "127.0.0.1", {}),
        ("localhost.example", "127.0.0.1", {}),
        ("localhost@evil.example", "127.0.0.1", {}),
        ("127.0.0.1.evil.example", "127.0.0.1", {}),
        ("2130706433", "127.0.0.1", {}),
        ("0.0.0.0:3000", "127.0.0.1", {}),
        ("", "127.0.0.1", {}),
        ("localhost:x", "127.0.0.1", {}),
        ("localhost", "192.0.2.7", {}),
        ("localhost", "::2", {}),
        ("localhost", "", {}),
        ("localhost", "127.0.0.1", {"x-forwarded-for": "127.0.0.1"}),
        ("localhost", "127.0.0.1", {"Forwarded": "for=127.0.0.1"}),
        ("localhost", "127.0.0.1", {"X-Real-IP": "192.0.2.7"}),
        ("shop.example", "127.0.0.1", {"authorization": "Bearer anything"}),
    ],
)
def test_development_is_open_to_nobody_else(
    host: str, peer: str, more: dict[str, str], provider: Running, database_path: Path
) -> None:
    """A name that leads here, another address, and whatever a proxy hands on need a token of ours even in
    development; the provider is not called for them."""
    answer = ask(database_path, provider.settings, {"host": host, **more}, (peer, 4711))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert is_never_stored(answer)
    assert provider.calls == 0


def test_production_is_open_to_nobody(provider: Running, database_path: Path) -> None:
    """In production this machine, too, needs a token of ours."""
    answer = ask(database_path, provider.settings | PRODUCTION)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert provider.calls == 0


@pytest.mark.parametrize("query", ["force=1", "force", "access_token=canary", "scope=all"])
def test_nothing_can_be_asked_for(query: str, provider: Running, database_path: Path) -> None:
    """There is no parameter: neither a refresh nor a scope can be asked for from outside."""

    async def go() -> None:
        async with calling(database_path, provider.settings) as caller:
            first = (await caller.get("/auth/token")).json()["token"]
            answer = await caller.get(f"/auth/token?{query}")
            assert answer.status_code == 400
            assert "canary" not in answer.text
            assert is_never_stored(answer)
            assert (await caller.get("/auth/token")).json()["token"] == first

    run(go())
    assert provider.calls == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_only_get(method: str, provider: Running, database_path: Path) -> None:
    """Another method is refused with the list of those that there are."""
    answer = ask(database_path, provider.settings, method=method)
    assert (answer.status_code, set(answer.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})
    assert provider.calls == 0


def test_no_other_origin_may_read_it(provider: Running, database_path: Path) -> None:
    """Whatever origins may read the catalogue, scripts may not read this, nor ask whether they might."""
    settings = provider.settings | {"FARMLOKAL_CORS_ORIGINS": "*"}
    origin = {"origin": "https://evil.example"}
    assert (
        "access-control-allow-origin" in ask(database_path, settings, origin, path="/api/categories").headers
    )
    assert is_never_stored(ask(database_path, settings, origin))
    preflight = ask(
        database_path, settings, origin | {"access-control-request-method": "GET"}, method="OPTIONS"
    )
    assert not [name for name in preflight.headers if name.startswith("access-control-")]


def test_without_a_provider(database_path: Path) -> None:
    """Where no provider is set there is no token, and the answer says when to ask again."""
    answer = ask(database_path, {})
    assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (503, True)
    assert is_never_stored(answer)


@pytest.mark.parametrize(
    "step",
    [
        Behaviour(status=500),
        Behaviour(status=429, retry_after="7"),
        Behaviour(fault="html"),
        Behaviour(
            members={"error": "canary-error", "error_description": "canary\r\n"}, without=("access_token",)
        ),
        Behaviour(members={"token_type": "mac"}),
        Behaviour(members={"expires_in": 29}),
        Behaviour(members={"expires_in": "3600"}),
    ],
    ids=str,
)
def test_a_provider_that_gives_nothing(step: Behaviour, provider: Running, database_path: Path) -> None:
    """Without a token that lives long enough the answer is a 503 that says when to ask again, and nothing of
    what the provider said; whoever asks meanwhile makes no further call."""
    provider.play(step)

    async def go() -> None:
        async with calling(database_path, provider.settings) as caller:
            for _ in range(5):
                answer = await caller.get("/auth/token")
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) >= (7 if step.retry_after else 1) - 1
                assert is_never_stored(answer)
                assert "canary" not in answer.text
                assert not set(provider.simulator.provider.issued) & {answer.text}

    run(go())
    assert provider.calls <= 2


def test_a_quota_of_its_own() -> None:
    """Each client takes tokens from a quota of its own, whatever addresses it comes from: a 429 names it."""
    clock, policy = ManualClock(), Policy("upstream-token", 60, 60, 3)
    source = TokenSource(ScriptedProvider(), MemoryTokenStore(clock), clock, TokenCounts())

    async def authorize(request: Request) -> Caller:
        return Caller("client", request.headers["x-client"])

    routes = UpstreamRoutes(source, authorize, (MemoryLimiter(policy, clock, LimitCounts()), policy), clock)
    app = Gate(Router(openapi.routes(routes.operations)), RequestCounts())

    async def go() -> None:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as caller:
            for client in ("one", "two"):
                answers = [await caller.get("/auth/token", headers={"x-client": client}) for _ in range(4)]
                assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
                assert answers[-1].json()["violated-policies"] == ["upstream-token"]
                assert answers[-1].headers["retry-after"] == "1"
                assert is_never_stored(answers[-1])

    run(go())
