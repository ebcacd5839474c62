"""The dashboard: who may look, who may act, and that nobody else can have either done for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from farmlokal.ops.dashboard.page import ASSETS, POLICY, REFUSED
from farmlokal.ops.dashboard.sessions import NOBODY, Sessions
from tests.support.asgi import application, calling
from tests.support.catalogue import run
from tests.support.clock import ManualClock
from tests.support.oauth import PRODUCTION, PRODUCTION_KEYS, Known, register, with_clients
from tests.support.provider import simulated

OURS = {"origin": "https://shop.example"}
ALL = ("ops:read", "orders:repair", "suppliers:sync")
OTHER_KEY = b"another-key-of-thirty-two-bytes-or-more"


@asynccontextmanager
async def production(
    database: Path, scopes: tuple[str, ...] = ALL, **more: str
) -> AsyncIterator[tuple[httpx2.AsyncClient, Known]]:
    """A caller of the application as it runs in production, and a client with these scopes."""
    known = await register(f"sqlite:///{database}", scopes, PRODUCTION_KEYS)
    async with calling(application(database, PRODUCTION | more)) as caller:
        yield caller, known


async def login(caller: httpx2.AsyncClient, client_id: str, secret: str, **headers: str) -> httpx2.Response:
    """The answer to a login. The cookie is not kept: it is for https."""
    form = {"client_id": client_id, "client_secret": secret}
    return await caller.post("/ops/login", data=form, headers=OURS | headers)


async def session(caller: httpx2.AsyncClient, known: Known) -> tuple[dict[str, str], str]:
    """Headers of a session that has just begun, and its word against forged requests."""
    answer = await login(caller, known.client_id, known.secret)
    assert answer.status_code == 303, answer.text
    headers = {"cookie": answer.headers["set-cookie"].partition(";")[0]}
    page = await caller.get("/ops", headers=headers)
    return headers, page.text.partition('data-csrf="')[2].partition('"')[0]


async def looks(caller: httpx2.AsyncClient, cookie: str) -> int:
    """The status for whoever has this cookie."""
    answer = await caller.get("/ops/state", headers={b"cookie": f"farmlokal-ops={cookie}".encode("latin-1")})
    return answer.status_code


def made(keys: tuple[bytes, ...], client_id: str, hours_ago: float = 0) -> str:
    """A cookie as somebody makes it who has these keys, some hours ago."""
    clock = ManualClock(datetime.now(UTC) - timedelta(hours=hours_ago))
    return Sessions(cast("Any", None), keys, clock).begin(client_id)


def test_a_client_logs_in(database_path: Path) -> None:
    """A client with `ops:read` gets a cookie for this path that no script reads and no other site sends, and
    with it the page, which may not be kept, framed, or load anything from elsewhere."""

    async def go() -> None:
        async with production(database_path) as (caller, known):
            first = await caller.get("/ops")
            assert (first.status_code, first.headers["location"]) == (303, "/ops/login")
            assert (await caller.get("/ops/login")).status_code == 200
            answer = await login(caller, known.client_id, known.secret)
            assert answer.headers["location"] == "/ops"
            value, *attributes = answer.headers["set-cookie"].split("; ")
            assert attributes == ["Path=/ops", "Max-Age=28800", "HttpOnly", "SameSite=Strict", "Secure"]
            assert known.secret not in value
            page = await caller.get("/ops", headers={"cookie": value})
            assert page.status_code == 200
            assert known.client_id in page.text
            assert page.headers["content-security-policy"] == POLICY
            assert page.headers["cache-control"] == "no-store"

    run(go())


def test_a_refusal_does_not_say_what_was_wrong(database_path: Path) -> None:
    """An unknown client, a wrong secret and a client that may not look are refused in the same words; without
    a page of ours behind it nothing is even looked at."""

    async def go() -> None:
        async with production(database_path) as (caller, known):
            other = await register(f"sqlite:///{database_path}", ("catalog:write",), PRODUCTION_KEYS)
            tried = [
                await login(caller, "nobody", known.secret),
                await login(caller, known.client_id, "wrong"),
                await login(caller, other.client_id, other.secret),
                await login(caller, known.client_id, ""),
            ]
            assert {each.status_code for each in tried} == {401}
            assert len({each.text for each in tried}) == 1
            assert REFUSED in tried[0].text
            assert not any("set-cookie" in each.headers for each in tried)
            foreign = await login(caller, known.client_id, known.secret, origin="https://evil.example")
            assert foreign.status_code == 403

    run(go())


def test_failed_logins_are_paid_for(database_path: Path) -> None:
    """Whoever guesses pays from the quota of its address, twice what a login costs."""

    async def go() -> None:
        async with production(database_path, FARMLOKAL_RATE_LIMIT="6/86400s;burst=6") as (caller, known):
            tried = [(await login(caller, known.client_id, "wrong")).status_code for _ in range(4)]
            assert tried == [401, 401, 401, 429]

    run(go())


def test_only_a_session_of_ours_that_still_counts_may_look(database_path: Path) -> None:
    """A cookie that is forged, changed, over, of another key or of nobody is as good as none; one of an older
    key of the list counts."""
    keys = PRODUCTION_KEYS

    async def go() -> None:
        async with production(database_path) as (caller, known):
            good = made(keys, known.client_id, hours_ago=7.9)
            assert await looks(caller, good) == 200
            forged = [
                made(keys, known.client_id, hours_ago=8.1),
                made((OTHER_KEY,), known.client_id),
                made(keys, "nobody"),
                made(keys, NOBODY),
                good[:-1] + ("A" if good[-1] != "A" else "B"),
                "A" + good,
                good.partition(".")[0],
                "",
                "é.é",
                "." * 5000,
                f"{good}; farmlokal-ops={good}",
            ]
            assert [await looks(caller, each) for each in forged] == [401] * len(forged)
        rotated = {"FARMLOKAL_SECRET_KEY": f"{OTHER_KEY.decode()},{keys[0].decode()}"}
        async with calling(application(database_path, PRODUCTION | rotated)) as caller:
            assert await looks(caller, good) == 200

    run(go())


def test_a_session_ends_with_its_client_and_by_logout(database_path: Path) -> None:
    """Whoever logs out, or is disabled, looks no more, whatever copies of the cookie there are."""

    async def go() -> None:
        async with production(database_path) as (caller, known):
            one, word = await session(caller, known)
            two, _ = await session(caller, known)
            left = await caller.post("/ops/logout", data={"csrf": word}, headers=OURS | one)
            assert left.status_code == 303
            assert "Max-Age=0" in left.headers["set-cookie"]

            async def state(headers: dict[str, str]) -> int:
                return (await caller.get("/ops/state", headers=headers)).status_code

            assert [await state(one), await state(two)] == [401, 200]
            await with_clients(
                f"sqlite:///{database_path}",
                lambda clients: clients.disable(known.client_id),
                PRODUCTION_KEYS,
            )
            while await state(two) != 401:  # within a second: the run of a test ends the wait
                pass

    run(go())


@pytest.mark.parametrize(
    "forge",
    ["no word", "another session's word", "another origin", "no origin", "a hidden origin", "two origins"],
)
def test_no_other_page_acts_for_somebody(database_path: Path, forge: str) -> None:
    """An action needs the word of its own session and the origin of our own page."""

    async def go() -> None:
        async with production(database_path) as (caller, known):
            headers, word = await session(caller, known)
            _, other = await session(caller, known)
            honest = await caller.post("/ops/suppliers/x/sync", data={"csrf": word}, headers=OURS | headers)
            assert honest.status_code == 404
            data = {"csrf": {"no word": "", "another session's word": other}.get(forge, word)}
            origins = {
                "another origin": [("origin", "https://evil.example")],
                "no origin": [],
                "a hidden origin": [("origin", "null")],
                "two origins": [*OURS.items(), ("origin", "https://evil.example")],
            }.get(forge, [*OURS.items()])
            answer = await caller.post(
                "/ops/suppliers/x/sync", data=data, headers=[*headers.items(), *origins]
            )
            assert answer.status_code == 403, answer.text

    run(go())


def test_each_button_needs_its_scope(database_path: Path) -> None:
    """Who may look may not replay or sync for that, and does not see what is behind; the switches of the
    simulator are not there in production at all."""
    paths = [
        *("/ops/dead-letters/1/replay", "/ops/suppliers/external/sync", "/ops/jobs/1/approve"),
        "/ops/simulator/dummyjson",
    ]

    async def go() -> None:
        for scopes, expected in ((("ops:read",), [403, 403, 403, 404]), (ALL, [404] * 4)):
            async with production(database_path, scopes) as (caller, known):
                headers, word = await session(caller, known)
                answers = [
                    await caller.post(path, data={"csrf": word}, headers=OURS | headers) for path in paths
                ]
                assert [each.status_code for each in answers] == expected
                state = (await caller.get("/ops/state", headers=headers)).json()
                assert (state["letters"] is None, state["jobs"] is None) == (scopes != ALL, scopes != ALL)
                assert state["switches"] is None

    run(go())


def test_other_origins_read_nothing(database_path: Path) -> None:
    """Whatever `CORS_ORIGINS` says, no script of another origin reads the dashboard."""

    async def go() -> None:
        async with production(database_path, FARMLOKAL_CORS_ORIGINS="*") as (caller, known):
            headers, _ = await session(caller, known)
            answer = await caller.get("/ops/state", headers=headers | {"origin": "https://evil.example"})
            assert answer.status_code == 200
            assert "access-control-allow-origin" not in answer.headers

    run(go())


def test_in_development_whoever_is_here_looks(database_path: Path) -> None:
    """In development the page opens for callers on this machine, and switches the simulated supplier; a page
    of another name that leads here gets neither, and the buttons still need a client."""
    here = {"origin": "http://127.0.0.1:3000"}

    async def go() -> None:
        with simulated() as outside:
            async with calling(application(database_path, outside.settings)) as caller:
                page = await caller.get("/ops")
                word = page.text.partition('data-csrf="')[2].partition('"')[0]
                cookie = {"cookie": page.headers["set-cookie"].partition(";")[0]}
                caller.cookies.clear()  # each request says itself which it brings
                state = (await caller.get("/ops/state", headers=cookie)).json()
                assert "dummyjson" in state["switches"]["endpoints"]

                async def post(path: str, headers: dict[str, str], **form: str) -> int:
                    return (await caller.post(path, data={"csrf": word, **form}, headers=headers)).status_code

                switch = "/ops/simulator/dummyjson"
                assert await post(switch, here | cookie, fault="503") == 200
                assert (await caller.get("/external/products")).status_code == 503
                assert await post(switch, here | cookie, fault="no such fault") == 400
                assert await post("/ops/simulator/nothing", here | cookie) == 404
                assert await post(switch, here) == 403
                assert await post(switch, {"origin": "http://evil.example"} | cookie) == 403
                rebound = {"host": "evil.example", "origin": "http://evil.example"}
                assert await post(switch, rebound | cookie) == 404
                assert (await caller.get("/ops/state", headers=rebound | cookie)).status_code == 401
                assert await post("/ops/suppliers/external/sync", here | cookie) == 403

    run(go())


def test_the_page_is_small() -> None:
    """All that the page loads is at most 60 kB, and comes from here."""
    assert sum(len(content) for _, content in ASSETS.values()) < 60_000
    assert not [
        name for name, (_, content) in ASSETS.items() if b"://" in content.replace(b"http://www.w3.org/", b"")
    ]
