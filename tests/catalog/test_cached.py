"""Lists through the cache, over the whole application: keys, outcomes, and writes that are seen in time."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from farmlokal.catalog.generator import generate
from farmlokal.catalog.importing.load import Importer
from farmlokal.catalog.repository import CatalogueRepository
from farmlokal.platform.clock import SystemClock
from tests.support.asgi import application, calling, furnish
from tests.support.catalogue import Shelf, opened, run
from tests.support.clock import NOON
from tests.support.servers.valkey import Valkey

SPELLINGS = [
    "category=fruits&category=cereals&minPrice=20&search=a&limit=20",
    "category=cereals&category=fruits&minPrice=20&search=a&limit=20",
    "category=Fruits&category=CEREALS&minPrice=20&search=A",
    "minPrice=20.00&search=a&category=fruits&category=cereals",
    "minPrice=20.0&q=a&category=fruits&category=cereals",
    "q=A&category=%46ruits&category=cereals&minPrice=20",
    "q=+a+&category=fruits&category=cereals&minPrice=20",
    "q=%20a&category=fruits&category=cereals&minPrice=20",
    "category=fruits&category=cereals&category=fruits&minPrice=20&search=a",
    "search=a&q=a&category=fruits&category=cereals&minPrice=20",
    "search=a&category=fruits&category=cereals&minPrice=20&sort=id",
    "search=a&category=fruits&category=cereals&minPrice=20&order=asc",
    "search=a&category=fruits&category=cereals&minPrice=20&lang=en",
    "search=a&category=fruits&category=cereals&minPrice=20&count=none",
    "search=%61&category=fruits&category=cereals&minPrice=20",
    "search=a&c%61tegory=fruits&category=cereals&minPrice=20",
    "search=a&category=+fruits&category=cereals+&minPrice=20",
    "search=%C3%A1&category=fruits&category=cereals&minPrice=20",
    "&search=a&category=fruits&category=cereals&minPrice=20",
    "search=a&category=fruits&category=cereals&category=&minPrice=20",
]
"""Twenty ways to ask one question."""

DIFFERENT = [
    "",
    "limit=19",
    "sort=-id",
    "sort=price",
    "category=a",
    "category=b",
    "category=a&category=b",
    f"category={quote('a,b')}",
    f"category={quote('a|b=2')}",
    "state=a",
    "district=a",
    "search=a",
    "search=a+b",
    "search=ab",
    "seller=1",
    "ids=1",
    "ids=1,2",
    "ids=12",
    "minPrice=1",
    "maxPrice=1",
    "minPrice=1&maxPrice=1",
    "organic=true",
    "organic=false",
    "inStock=true",
    "near=1,2",
    "near=1,2&radiusKm=5",
    "near=2,1&radiusKm=5",
    "updatedSince=2026-01-01T00:00:00Z",
    "harvestedAfter=2026-01-01",
    "fields=id",
    "fields=id,name",
    "lang=hi",
    "facets=state",
    "facets=state,district",
    "count=exact",
    "cursor=5",
    "cursor=6",
]
"""Questions of which no two are one."""


@pytest.fixture
def furnished(shelf: Shelf, database_path: Path) -> Path:
    """A small catalogue."""
    furnish(shelf)
    return database_path


@pytest.fixture
def redis(valkey: Valkey) -> Valkey:
    """Empty, and well."""
    return valkey


@pytest.fixture(params=["in the process", "behind Redis"])
def more(request: pytest.FixtureRequest, redis: Valkey) -> dict[str, str]:
    """Settings: without Redis, and with it."""
    return {} if request.param == "in the process" else {"FARMLOKAL_REDIS_URL": redis.url}


@asynccontextmanager
async def fleet(
    database: Path, more: dict[str, str], instances: int = 2
) -> AsyncIterator[list[httpx2.AsyncClient]]:
    """Callers of several instances over one database."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(calling(application(database, more))) for _ in range(instances)
        ]


async def import_one(database: Path, random_seed: int = 7) -> None:
    """Write as `farmlokal seed` does, over a connection of its own."""
    product = generate(1, random_seed=random_seed, today=NOON.date())
    async with opened(database) as other:
        await Importer(other, SystemClock()).load_drafts(product)


async def seen(caller: httpx2.AsyncClient, path: str, before: bytes, limit_s: float) -> float:
    """Ask until the answer is another one than before; how long that took."""
    began = time.monotonic()
    while (await caller.get(path)).content == before:
        assert time.monotonic() - began < limit_s, "the write is not seen"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


def test_twenty_spellings_are_one_key(furnished: Path) -> None:
    """However a question is spelled, the answer is made once; each spelling keeps its own Link header."""

    async def go() -> None:
        async with calling(application(furnished)) as caller:
            answers = [await caller.get(f"/api/products?{spelling}") for spelling in SPELLINGS]
            assert [answer.status_code for answer in answers] == [200] * len(SPELLINGS)
            outcomes = [answer.headers["x-cache"] for answer in answers]
            assert outcomes == ["miss"] + ["hit"] * (len(SPELLINGS) - 1)
            assert len({answer.content for answer in answers}) == 1

    run(go())


def test_different_questions_never_share_a_key(furnished: Path) -> None:
    """Any two questions that differ in one thing have keys of their own, whatever separators are in them."""

    async def go() -> None:
        async with calling(application(furnished)) as caller:
            for question in DIFFERENT:
                answer = await caller.get(f"/api/products?{question}")
                assert (answer.status_code, answer.headers["x-cache"]) == (200, "miss"), question

    run(go())


def test_the_order_of_fields_and_facets_is_one_key(furnished: Path) -> None:
    """Members of an object have no order, so the order in which they are asked for makes no other answer."""

    async def go() -> None:
        async with calling(application(furnished)) as caller:
            first = await caller.get("/api/products?fields=id,name,price&facets=state,organic")
            second = await caller.get("/api/products?fields=price,id,name,id&facets=organic,state")
            assert second.headers["x-cache"] == "hit"
            assert first.content == second.content

    run(go())


@pytest.mark.parametrize(
    "path",
    ["/api/products?limit=3", "/api/facets?facets=state", "/api/categories", "/api/sellers?limit=2"],
)
def test_a_hit_is_the_same_answer(furnished: Path, path: str, more: dict[str, str]) -> None:
    """A list from the cache of this or another instance equals the one that was made, header for header."""

    async def go() -> None:
        async with fleet(furnished, more) as (here, there):
            made = await here.get(path)
            assert made.headers["x-cache"] == "miss"
            for caller in (here, there) if more else (here,):
                for headers in ({}, {"accept-encoding": "br"}, {"accept-encoding": "gzip"}):
                    answer = await caller.get(path, headers=headers)
                    assert answer.headers["x-cache"] == "hit"
                    assert answer.content == made.content
                    for name in ("etag", "link", "cache-control", "vary", "content-type"):
                        if name != "etag" or "content-encoding" not in answer.headers:
                            assert answer.headers.get(name) == made.headers.get(name)
                again = await caller.get(path, headers={"if-none-match": made.headers["etag"]})
                assert (again.status_code, again.content) == (304, b"")
                assert (await caller.head(path)).headers["x-cache"] == "hit"

    run(go())


def test_a_walk_from_the_cache_is_the_walk(furnished: Path, more: dict[str, str]) -> None:
    """Pages further on are cached, too, and a walk over them is the same twice and on another instance."""

    async def walk(caller: httpx2.AsyncClient) -> list[int]:
        ids: list[int] = []
        path: str | None = "/api/products?limit=7&sort=-price"
        while path:
            answer = await caller.get(path)
            ids += [product["id"] for product in answer.json()["data"]]
            following = answer.links.get("next")
            path = following["url"] if following else None
        return ids

    async def go() -> None:
        async with fleet(furnished, more) as (here, there):
            first = await walk(here)
            assert len(first) == len(set(first)) == 57
            assert await walk(here) == await walk(there) == first

    run(go())


def test_what_is_refused_is_never_kept(furnished: Path, redis: Valkey) -> None:
    """Unknown parameters, forged and foreign cursors and unknown postcodes are refused, and leave no key."""

    async def go() -> None:
        async with calling(application(furnished, {"FARMLOKAL_REDIS_URL": redis.url})) as caller:
            page = (await caller.get("/api/products?limit=2&sort=price")).json()
            cursor = page["nextCursor"]
            forged = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
            before = redis.ask("DBSIZE")
            refused = [
                f"cursor={forged}&sort=price",
                f"cursor={cursor}&sort=-price",
                f"cursor={cursor}x&sort=price",
                "pincode=999999",
                *(f"unknown{number}=1" for number in range(300)),
            ]
            for question in refused:
                for _ in range(2):
                    assert (await caller.get(f"/api/products?{question}")).status_code == 400
                    await asyncio.sleep(0)  # to refuse takes no I/O: let others have the loop
            assert redis.ask("DBSIZE") == before
            for outcome in ("miss", "hit"):
                good = await caller.get(f"/api/products?cursor={cursor}&sort=price")
                assert good.headers["x-cache"] == outcome

    run(go())


def test_a_write_is_in_every_list_within_a_second(furnished: Path, more: dict[str, str]) -> None:
    """What one process writes is in the lists of all instances within a second, for how long it may take."""

    async def go() -> None:
        async with fleet(furnished, more) as callers:
            path = "/api/products?count=exact&limit=1"
            slowest = []
            for random_seed in (7, 8, 9):  # a busy machine makes it longer, nothing makes it shorter
                before = [(await caller.get(path)).content for caller in callers]
                for caller in callers:
                    assert (await caller.get(path)).headers["x-cache"] == "hit"
                await import_one(furnished, random_seed)
                took = await asyncio.gather(
                    *(seen(caller, path, old, 10) for caller, old in zip(callers, before, strict=True))
                )
                slowest.append(max(took))
            assert min(slowest) < 1

    run(go())


def test_every_transaction_that_writes_raises_the_version(database_path: Path) -> None:
    """A first filling, further products, postcodes: each leaves the catalogue with a greater version."""

    async def go() -> None:
        async with opened(database_path) as database:
            repository, importer = CatalogueRepository(database), Importer(database, SystemClock())
            versions = [await repository.version()]
            for write in (
                lambda: importer.load_drafts(generate(5, random_seed=1, today=NOON.date())),
                lambda: importer.load_drafts(generate(5, random_seed=2, today=NOON.date())),
                importer.load_reference_postcodes,
            ):
                await write()
                versions.append(await repository.version())
            assert versions == sorted(set(versions))
            assert versions[-1] > 1_700_000_000_000_000, "microseconds: no database gives it twice"

    run(go())


def test_a_version_never_falls_behind_the_clock_or_itself(database_path: Path, shelf: Shelf) -> None:
    """With a clock that is behind, the version still goes up by one."""
    ahead = 9_000_000_000_000_000
    shelf.connection.execute("UPDATE catalogue_version SET version = ?", (ahead,))

    async def go() -> None:
        async with opened(database_path) as database:
            await Importer(database, SystemClock()).load_reference_postcodes()
            assert await CatalogueRepository(database).version() == ahead + 1

    run(go())


def test_a_single_product_is_not_cached(furnished: Path, shelf: Shelf) -> None:
    """A change of a product is in the product's own answer at once, which says nothing of a cache."""

    async def go() -> None:
        async with calling(application(furnished)) as caller:
            assert (await caller.get("/api/products/1")).json()["name"] == "Tomato"
            shelf.connection.execute("UPDATE products SET name = 'Plum' WHERE id = 1")
            changed = await caller.get("/api/products/1")
            assert changed.json()["name"] == "Plum"
            assert "x-cache" not in changed.headers

    run(go())


def test_two_hundred_callers_of_two_instances_cost_one_miss(furnished: Path, redis: Valkey) -> None:
    """A page that nobody has made yet is made once for the fleet: one miss, and the rest shares it."""

    async def go() -> None:
        async with fleet(furnished, {"FARMLOKAL_REDIS_URL": redis.url}) as callers:
            path = "/api/products?sort=-price&limit=50&facets=category,state&count=exact"
            answers = await asyncio.gather(*(caller.get(path) for caller in callers for _ in range(100)))
            outcomes = [answer.headers["x-cache"] for answer in answers]
            assert outcomes.count("miss") == 1, "a miss is a question to the database"
            assert outcomes.count("coalesced") + outcomes.count("hit") == 199
            assert len({answer.content for answer in answers}) == 1

    run(go())


def test_metrics_and_readiness_tell_of_the_cache_and_of_redis(furnished: Path, redis: Valkey) -> None:
    """`/metrics` counts lookups by outcome and shows Redis; `/readyz` is 200 and `degraded` without it."""

    async def go() -> None:
        async with calling(application(furnished)) as caller:
            for _ in range(3):
                await caller.get("/api/categories")
            metrics = (await caller.get("/metrics")).json()
            assert metrics["cache"] == {"hit": 2, "miss": 1, "stale": 0, "coalesced": 0, "errors": 0}
            assert metrics["redis"] is None
            assert (await caller.get("/readyz")).json()["checks"].keys() == {"database"}
        async with calling(application(furnished, {"FARMLOKAL_REDIS_URL": redis.url})) as caller:
            assert (await caller.get("/metrics")).json()["redis"]["up"] is True
            assert (await caller.get("/readyz")).json()["status"] == "ready"
        nowhere = {"FARMLOKAL_REDIS_URL": "redis://:hidden-word@127.0.0.1:1"}
        async with calling(application(furnished, nowhere)) as caller:
            assert (await caller.get("/api/products")).status_code == 200
            ready = await caller.get("/readyz")
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
            state = (await caller.get("/metrics")).json()["redis"]
            assert (state["up"], state["reason"]) == (False, "connection")
            assert "hidden-word" not in ready.text

    run(go())
