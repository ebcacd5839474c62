"""Orders and dead letters over HTTP, on every engine: pages, one order with its history, repair."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from itertools import chain, permutations
from typing import Any

import httpx2
import pytest

from tests.support.asgi import application, calling
from tests.support.catalogue import Shelf, run
from tests.support.engines import FreshDatabase
from tests.support.oauth import bearer, register, token_of
from tests.support.orders import Books, body, record
from tests.support.orders import event as read

SCOPES = ("orders:read", "orders:repair", "catalog:write")
STATUSES = ("created", "packed", None, "delivered")


@pytest.fixture
def books(fresh_database: FreshDatabase, fresh_shelf: Shelf) -> Iterator[Books]:
    """What is in the database, which has 10 kg of product 1."""
    fresh_shelf.product(stock_milli=10_000)
    with closing(fresh_database.connect()) as connection:
        yield Books(connection)


class Asked:
    """A caller with a token for some scopes."""

    def __init__(self, caller: httpx2.AsyncClient, token: str) -> None:
        self._caller = caller
        self._headers = bearer(token)

    async def get(self, path: str, expected: int = 200, **query: Any) -> Any:
        """The answer to a GET, which nobody on the way may keep."""
        answer = await self._caller.get(path, params=query, headers=self._headers)
        assert answer.status_code == expected, answer.text
        if expected == 200:
            assert answer.headers["cache-control"] == "private, no-store"
        return answer.json()

    async def post(self, path: str, content: bytes = b"") -> Any:
        """The status of the answer to a POST, and what it says."""
        headers = self._headers | {"content-type": "application/json"}
        answer = await self._caller.post(path, content=content, headers=headers)
        return answer.status_code, answer.json().get("status")

    async def counted(self) -> Any:
        """What `/metrics` says of deliveries."""
        return (await self._caller.get("/metrics")).json()["webhooks"]

    async def walk(self, path: str, **query: Any) -> list[Any]:
        """All of a list, there and back again: the way back has to be the same."""
        there, page = [], await self.get(path, **query)
        while True:
            there += page["data"]
            if page["nextCursor"] is None:
                break
            assert page["hasMore"]
            page = await self.get(path, **query, cursor=page["nextCursor"])
        back = [page["data"]]
        while page["prevCursor"] is not None:
            page = await self.get(path, **query, cursor=page["prevCursor"])
            back.insert(0, page["data"])
        assert [*chain.from_iterable(back)] == there
        return there


def calls(database: FreshDatabase, work: Callable[[Asked], Awaitable[Any]]) -> Any:
    """Run calls with a token that may read and repair."""

    async def go() -> Any:
        known = await register(database.url, SCOPES)
        async with calling(application(database.url)) as caller:
            return await work(Asked(caller, await token_of(caller, known)))

    return run(go())


def test_one_order(fresh_database: FreshDatabase, books: Books) -> None:
    """An order shows where it stands, what it holds and what the stock did not have; its history is in the
    order of events, with steps that cannot have been marked, whatever the order of arrival."""
    events = [
        read("1", "a/b ö", sequence=1, status="created", items=[(1, 8, "kg")]),
        read("2", "a/b ö", sequence=2, occurredAt="2026-07-24T06:30:00Z", status="cancelled"),
        read("3", "a/b ö", sequence=3, status="delivered", items=[(1, "12", "kg")]),
    ]
    shown = []
    for arrival in list(permutations(events))[::2]:
        record(fresh_database.url, *[[each] for each in arrival])
        shown.append(calls(fresh_database, lambda asked: asked.get("/api/orders/a%2Fb%20%C3%B6")))
        for table in ("order_events", "orders"):
            books.rows(f"DELETE FROM {table}")
        books.rows("UPDATE products SET stock_milli = 10000")
    first = shown[0]
    assert {name: first[name] for name in ("id", "status", "sequence", "occurredAt", "historyComplete")} == {
        "id": "a/b ö",
        "status": "delivered",
        "sequence": 3,
        "occurredAt": None,
        "historyComplete": True,
    }
    assert first["items"] == [{"productId": 1, "quantity": "12", "unit": "kg"}]
    assert first["holdings"] == [{"productId": 1, "wanted": "12", "held": "10", "shortfall": "2"}]
    for each in shown:
        assert [(step["eventId"], step["impossibleAfter"]) for step in each["history"]] == [
            ("1", None),
            ("2", None),
            ("3", "cancelled"),
        ]
    step = first["history"][1]
    assert (step["occurredAt"], step["items"], step["source"]) == (
        "2026-07-24T06:30:00.000000Z",
        None,
        "standard",
    )
    assert {each["outcome"] for one in shown for each in one["history"]} == {"processed", "stale"}


def test_pages_of_orders(fresh_database: FreshDatabase, books: Books) -> None:
    """Orders are listed by either time, there and back, each once, with a status and a range of times."""
    for batch in range(5):
        record(
            fresh_database.url,
            [
                read(f"e{batch} {number}", f"o{batch} {number}", status=STATUSES[number % 4])
                for number in range(7)
            ],
        )
    moved = [read(f"again {number}", f"o{number} 1", sequence=1, status="delivered") for number in (3, 0)]
    record(fresh_database.url, *[[each] for each in moved])

    async def go(asked: Asked) -> None:
        path = "/api/orders"
        everything = await asked.walk(path, limit=100)
        assert len(everything) == 35
        names = [each["id"] for each in everything]
        for limit in (1, 4, 35):
            assert [each["id"] for each in await asked.walk(path, limit=limit)] == names
        assert await asked.walk(path, limit=4, sort="createdAt") == everything[::-1]
        newest = await asked.walk(path, limit=3, sort="-updatedAt")
        assert [each["id"] for each in newest[:2]] == ["o0 1", "o3 1"]
        assert {each["id"] for each in newest} == set(names)
        assert await asked.walk(path, limit=3, sort="updatedAt") == newest[::-1]
        for status in ("created", "packed", "delivered", "returned"):
            wanted = [each for each in everything if each["status"] == status]
            assert await asked.walk(path, limit=2, status=status) == wanted
        since, until = everything[20]["createdAt"], everything[5]["createdAt"]
        inside = [each for each in everything if since <= each["createdAt"] < until]
        assert await asked.walk(path, limit=6, since=since, until=until) == inside
        assert inside
        by_status = [each for each in inside if each["status"] == "packed"]
        assert await asked.walk(path, limit=1, since=since, until=until, status="packed") == by_status
        cursor = (await asked.get(path, limit=2))["nextCursor"]
        await asked.get(path, 400, cursor=cursor, status="packed")
        await asked.get("/api/products", 400, cursor=cursor)
        await asked.get(path, 400, status="invented")
        await asked.get(path, 400, since=until, until=since)
        await asked.get("/api/orders/nobody", 404)
        await asked.get("/api/orders/%FF", 404)

    calls(fresh_database, go)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True, scope="session")
def test_who_may(fresh_database: FreshDatabase, books: Books) -> None:
    """Orders need `orders:read`, dead letters `orders:repair`; a stranger is a 401 and another scope a
    403."""
    paths = {"/api/orders": 0, "/api/orders/o": 0, "/api/webhooks/dead-letters": 1}

    async def go() -> None:
        async with calling(application(fresh_database.url)) as caller:
            tokens = [
                await token_of(caller, await register(fresh_database.url, [scope]))
                for scope in ("orders:read", "orders:repair")
            ]
            for path, needed in paths.items():
                assert (await caller.get(path)).status_code == 401
                other = await caller.get(path, headers=bearer(tokens[1 - needed]))
                assert other.status_code == 403
                assert "insufficient_scope" in other.headers["www-authenticate"]
            replay = "/api/webhooks/dead-letters/1/replay"
            assert (await caller.post(replay)).status_code == 401
            assert (await caller.post(replay, headers=bearer(tokens[0]))).status_code == 403

    run(go())


def test_dead_letters(fresh_database: FreshDatabase, books: Books, fresh_shelf: Shelf) -> None:
    """What could not be applied is listed with its reason, and a replay applies it once the cause is mended:
    once, however often, beside a resend, and counted."""
    letters, poison = "/api/webhooks/dead-letters", body("poison", "o", items=[(2, 1, "kg")])

    async def fail(asked: Asked) -> None:
        for _ in range(5):
            assert (await asked.post("/webhook/order-update", poison))[0] == 422
        await asked.post("/webhook/order-update", body("once", "o", items=[(3, 1, "kg")]))
        await asked.post("/webhook/order-update", b"{no json")
        await asked.post("/webhook/order-update", body("twin", "p", sequence=1))
        await asked.post("/webhook/order-update", body("twin", "p", sequence=2))
        found = await asked.walk(letters, limit=1)
        assert [(each["kind"], each["eventId"], each["attempts"]) for each in found] == [
            ("mismatched", "twin", 1),
            ("malformed", None, 1),
            ("dead", "poison", 5),
        ]
        assert found[2]["reason"] == "There is no product 2."
        assert (found[2]["body"], found[2]["settled"]) == (poison.decode(), False)
        assert [each["eventId"] for each in await asked.walk(letters, kind="failing")] == ["once"]
        path = "{}/{}/replay"
        assert [(await asked.post(path.format(letters, each["id"])))[0] for each in found] == [422, 400, 422]
        assert (await asked.post(path.format(letters, 99)))[0] == 404
        assert (await asked.post(path.format(letters, "x")))[0] == 400

    async def mend(asked: Asked) -> None:
        [dead] = await asked.walk(letters, kind="dead")
        path = f"{letters}/{dead['id']}/replay"
        assert await asked.post(path) == (200, "processed")
        assert await asked.post(path) == (200, "duplicate ignored")
        assert await asked.post("/webhook/order-update", poison) == (200, "duplicate ignored")
        [dead] = await asked.walk(letters, kind="dead")
        assert dead["settled"]
        assert dead["replayedAt"]
        counted = await asked.counted()
        assert (counted["replayed"], counted["processed"], counted["duplicate"]) == (2, 1, 2)

    calls(fresh_database, fail)
    assert fresh_shelf.product(stock_milli=5000) == 2
    calls(fresh_database, mend)
    assert books.stock() == {1: 10_000, 2: 4000}
