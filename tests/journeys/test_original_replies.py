"""What callers of the first system sent and read, sent and read again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.asgi import application, calling
from tests.support.catalogue import Shelf, run
from tests.support.provider import simulated

CREATED_US = 1_770_631_200_000_000  # 2026-02-09T10:00:00Z, as in the recorded replies


@pytest.fixture
def database(shelf: Shelf, database_path: Path) -> Path:
    """The products of the recorded replies, and one more."""
    for name, price in (("Tomato", 4250), ("Okra", 3800), ("Cherry tomato", 9900)):
        shelf.product(name, "Vegetables", price_minor=price, created_at_us=CREATED_US)
    shelf.product("Tomato jam", "Preserves", price_minor=100)
    return database_path


@asynccontextmanager
async def first_system(database: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """A caller."""
    async with calling(application(database)) as caller:
        yield caller


def get(database: Path, path: str) -> Any:
    """The JSON of a 200."""

    async def go() -> Any:
        async with first_system(database) as caller:
            answer = await caller.get(path)
            assert answer.status_code == 200, answer.text
            return answer.json()

    return run(go())


def test_listing_has_the_members_it_had(database: Path) -> None:
    """A product has its id, name, price as a decimal string, category and instant of creation, so named."""
    page = get(database, "/api/products?limit=2")
    first, second = page["data"]
    known = {name: first[name] for name in ("id", "name", "price", "category", "created_at")}
    assert known == {
        "id": 1,
        "name": "Tomato",
        "price": "42.50",
        "category": "Vegetables",
        "created_at": "2026-02-09T10:00:00.000000Z",
    }
    assert (second["id"], second["price"]) == (2, "38.00")
    assert page["nextCursor"]


def test_next_cursor_may_be_fed_back(database: Path) -> None:
    """`nextCursor` is fed back as it is, or the last id in its place; on the last page it is null."""
    page = get(database, "/api/products?limit=2")
    by_cursor = get(database, f"/api/products?limit=2&cursor={page['nextCursor']}")
    by_number = get(database, "/api/products?cursor=2&limit=2")
    assert [product["id"] for product in by_number["data"]] == [3, 4]
    assert by_cursor["data"] == by_number["data"]
    assert by_cursor["nextCursor"] is by_number["nextCursor"] is None
    assert get(database, "/api/products?cursor=4&limit=2")["data"] == []


def test_category_search_and_sort(database: Path) -> None:
    """Category, search by the beginning of a name, and sort by price go together."""
    page = get(database, "/api/products?category=Vegetables&search=Tom&sort=price")
    assert [product["name"] for product in page["data"]] == ["Tomato", "Cherry tomato"]


@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        ("price", [4, 2, 1, 3]),
        ("name", [3, 2, 1, 4]),
        ("createdAt", [4, 1, 2, 3]),
        ("price&order=desc", [3, 1, 2, 4]),
    ],
)
def test_sorts(database: Path, sort: str, ids: list[int]) -> None:
    """The three sorts of the first system are there, ascending, and turn round with order=desc."""
    page = get(database, f"/api/products?sort={sort}")
    assert [product["id"] for product in page["data"]] == ids


def test_the_token_is_there(database: Path) -> None:
    """`GET /auth/token` has the opaque `token` that it had."""

    async def go(settings: dict[str, str]) -> Any:
        async with calling(application(database, settings)) as caller:
            return (await caller.get("/auth/token")).json()

    with simulated() as provider:
        assert run(go(provider.settings))["token"] in provider.simulator.provider.issued


def test_events(database: Path) -> None:
    """An event is processed, and the second time ignored; one without an id is refused in the old words."""

    async def go() -> list[tuple[int, Any]]:
        async with first_system(database) as caller:
            bodies = [{"eventId": "e1"}, {"eventId": "e1"}, {}]
            answers = [await caller.post("/webhook/order-update", json=body) for body in bodies]
            return [(answer.status_code, answer.json()) for answer in answers]

    [processed, ignored, (status, refusal)] = run(go())
    assert processed == (200, {"status": "processed"})
    assert ignored == (200, {"status": "duplicate ignored"})
    assert (status, refusal["error"]) == (400, "Missing eventId")


def test_metrics(database: Path) -> None:
    """The metrics say that all is well, for how many seconds, and how many bytes of memory are used."""
    for accept in ("*/*", "application/json"):

        async def go(accept: str = accept) -> Any:
            async with first_system(database) as caller:
                return (await caller.get("/metrics", headers={"accept": accept})).json()

        metrics = run(go())
        assert metrics["status"] == "ok"
        assert isinstance(metrics["uptime"], float)
        assert 0 <= metrics["uptime"] < 60
        assert 10_000_000 < metrics["memory"]["rss"] < 10_000_000_000


def test_refusals_have_the_error_string(database: Path) -> None:
    """A refusal has the `error` string that callers of the first system show."""

    async def go() -> Any:
        async with first_system(database) as caller:
            return (await caller.get("/api/products?sort=colour")).json()

    assert isinstance(run(go())["error"], str)
