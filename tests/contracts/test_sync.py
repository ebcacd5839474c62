"""Syncs with suppliers on every engine: what comes in, what goes out of stock, what is not believed."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from random import Random
from typing import Any

import msgspec
import pytest

from farmlokal.errors import Conflict
from farmlokal.suppliers.applying import BATCH
from farmlokal.suppliers.jobs import Progress, State
from farmlokal.suppliers.schedule import Schedule
from farmlokal.suppliers.simulator import Behaviour
from farmlokal.suppliers.simulator.goods import generated
from farmlokal.suppliers.sync import SupplierSync
from tests.support.asgi import application, calling
from tests.support.catalogue import run
from tests.support.clock import NOON, ManualClock
from tests.support.engines import FreshDatabase
from tests.support.oauth import bearer, register, token_of
from tests.support.provider import Running, simulated
from tests.support.published import published
from tests.support.suppliers import done, settings_of, synced, syncing

LIMIT_S = 120


@pytest.fixture
def outside() -> Iterator[Running]:
    """A supplier of the test's own, which sells 40 things."""
    with simulated() as running:
        running.simulator.supplier.goods = generated(NOON.date(), 40)
        yield running


def with_sync(
    database: FreshDatabase,
    outside: Running,
    work: Callable[[SupplierSync], Awaitable[None]],
    clock: ManualClock | None = None,
) -> None:
    """Do something with the syncs of a process."""

    async def go() -> None:
        async with syncing(database.url, outside, clock or ManualClock()) as sync:
            await work(sync)

    run(go(), LIMIT_S)


def rows(database: FreshDatabase, sql: str) -> list[tuple[Any, ...]]:
    """What a plain query finds."""
    with closing(database.connect()) as connection:
        return [tuple(row) for row in connection.execute(sql)]


def catalogue(database: FreshDatabase) -> list[tuple[Any, ...]]:
    """All that callers can tell of the catalogue, and its version."""
    products = rows(database, "SELECT * FROM products ORDER BY id")
    return (
        products
        + rows(database, "SELECT * FROM catalogue_version")
        + rows(database, "SELECT * FROM price_history ORDER BY product_id, observed_on")
    )


def stock(database: FreshDatabase) -> dict[str, tuple[int, int | None]]:
    """(price, stock) by external key."""
    found = rows(database, "SELECT external_key, price_minor, stock_milli FROM products")
    return {key.decode() if isinstance(key, bytes) else key: (price, left) for key, price, left in found}


def goods(outside: Running, kind: str) -> list[dict[str, Any]]:
    """What the supplier sells, to be changed."""
    return outside.simulator.supplier.goods[kind]


def test_published_pages_come_in(fresh_database: FreshDatabase, outside: Running) -> None:
    """The published pages of data.gov.in, served by a supplier, are in the catalogue after a sync, and found
    by callers; what was refused says why; a second sync changes nothing at all."""
    document = json.loads(published("supplier_api/datagovin_page_limit1000.json").read_bytes())
    outside.simulator.supplier.goods = {"datagovin": document["records"]}

    async def work(sync: SupplierSync) -> None:
        first = await done(sync, "mandi")
        assert first.diff is not None
        assert (first.offers, first.diff.created, first.quarantine.count) == (1000, 997, 3)
        assert first.diff.complete
        for refusal in first.quarantine.rows:
            assert refusal.code
            assert refusal.reason.startswith("page 1, item ")
            assert json.loads(refusal.item)["commodity"]
        before = catalogue(fresh_database)
        second = await done(sync, "mandi")
        assert second.diff is not None
        assert (second.diff.writes, second.diff.unchanged, second.quarantine.count) == (0, 997, 3)
        assert second.quarantine.rows[0].reason == first.quarantine.rows[0].reason
        assert catalogue(fresh_database) == before

    with_sync(fresh_database, outside, work)
    origins = rows(
        fresh_database,
        "SELECT DISTINCT i.file_name FROM products p JOIN imports i ON i.id = p.import_id",
    )
    assert [name.startswith("supplier mandi at ") for (name,) in origins] == [True]

    async def browse() -> None:
        async with calling(application(fresh_database.url)) as caller:
            page = (await caller.get("/api/products?limit=1&count=exact&search=ginger")).json()
            assert "inger" in page["data"][0]["name"]
            everything = (await caller.get("/api/products?limit=1&count=exact")).json()
            assert everything["total"] == 997

    run(browse(), LIMIT_S)


@pytest.mark.parametrize("name", ["external", "mandi", "shop"])
def test_a_second_sync_changes_nothing(fresh_database: FreshDatabase, outside: Running, name: str) -> None:
    """In every format a sync brings all that is offered, and the next one writes nothing."""

    async def work(sync: SupplierSync) -> None:
        first = await done(sync, name)
        assert first.diff is not None
        assert first.diff.created == first.offers > 20
        before = catalogue(fresh_database)
        second = await done(sync, name)
        assert second.diff is not None
        assert (second.diff.writes, second.diff.unchanged) == (0, first.offers)
        assert catalogue(fresh_database) == before

    with_sync(fresh_database, outside, work)


def test_what_vanished_goes_out_of_stock_and_comes_back(
    fresh_database: FreshDatabase, outside: Running
) -> None:
    """A product that is offered no more is out of stock and still there; offered again it has its stock
    again, also where the supplier tells of none."""

    async def work(sync: SupplierSync) -> None:
        for name, kind in (("external", "dummyjson"), ("mandi", "datagovin")):
            await done(sync, name)
            before = stock(fresh_database)
            taken = goods(outside, kind)[5:9]
            del goods(outside, kind)[5:9]
            without = await done(sync, name)
            assert without.diff is not None
            assert (without.diff.vanished, without.diff.changed, without.diff.created) == (4, 0, 0)
            gone = {key for key, value in stock(fresh_database).items() if value != before[key]}
            assert 3 <= len(gone) <= 4  # what had no stock has none
            assert {stock(fresh_database)[key][1] for key in gone} == {0}
            again = await done(sync, name)
            assert again.diff is not None
            assert again.diff.writes == 0
            goods(outside, kind)[5:5] = taken
            back = await done(sync, name)
            assert back.diff is not None
            assert back.diff.returned == 4
            assert stock(fresh_database) == before

    with_sync(fresh_database, outside, work)


def test_absurd_prices_are_set_aside(fresh_database: FreshDatabase, outside: Running) -> None:
    """A price of ten times the last one, or a tenth of it, stays outside with its reason, and so do negative
    ones, NaN and second offers of one id; their products stay as they are."""

    async def work(sync: SupplierSync) -> None:
        for each in goods(outside, "dummyjson"):
            each["price"] = 40.0
        await done(sync, "external")
        before = stock(fresh_database)
        changed = goods(outside, "dummyjson")
        changed[0]["price"] = 400.0
        changed[1]["price"] = 4.0
        changed[2]["price"] = -40.0
        changed[3]["price"] = 44.0
        changed[4]["price"] = "NaN"
        changed.append({**changed[5], "price": 41.0})
        job = await done(sync, "external")
        assert job.diff is not None
        assert (job.diff.held, job.diff.changed, job.diff.vanished) == (2, 1, 0)
        assert job.quarantine.count == 5
        told = {refusal.code: refusal.reason for refusal in job.quarantine.rows}
        assert "10.0 times" in told["price_jump"]
        assert "40.00" in told["price_jump"]
        assert "occurs twice" in told["duplicate_key"]
        after = stock(fresh_database)
        assert {key for key in before if before[key] != after[key]} == {"external:4"}
        assert after["external:4"][0] == 4400

    with_sync(fresh_database, outside, work)


def test_too_much_waits_for_a_person(fresh_database: FreshDatabase, outside: Running) -> None:
    """A run that would take a third out of stock, or all, waits and has written nothing; approved it is done.
    A newer run takes its place."""

    async def work(sync: SupplierSync) -> None:
        await done(sync, "external")
        before = catalogue(fresh_database)
        offered = list(goods(outside, "dummyjson"))
        goods(outside, "dummyjson").clear()
        empty = await synced(sync, "external")
        assert (empty.state, empty.reason) == (State.WAITING, "all 40 products would go out of stock")
        goods(outside, "dummyjson").extend(offered[:26])
        third = await synced(sync, "external")
        assert third.state == State.WAITING
        assert third.reason == "14 of 40 products would go out of stock, more than 30%"
        assert catalogue(fresh_database) == before
        assert (await sync.job(empty.id)).state == State.SUPERSEDED
        with pytest.raises(Conflict):
            await sync.approve(empty.id)
        approved = await sync.run(await sync.approve(third.id))
        assert approved.state is State.DONE
        assert sum(left == 0 for _, left in stock(fresh_database).values()) >= 14
        with pytest.raises(Conflict):
            await sync.approve(third.id)

    with_sync(fresh_database, outside, work)


def test_many_changes_wait_for_a_person(fresh_database: FreshDatabase, outside: Running) -> None:
    """Prices that all change, or a tenth that moves by half, are looked at before they are written."""

    async def work(sync: SupplierSync) -> None:
        for each in goods(outside, "dummyjson"):
            each["price"] = 40.0
        await done(sync, "external")
        for each in goods(outside, "dummyjson")[:5]:
            each["price"] = 60.0
        few = await synced(sync, "external", dry_run=True)
        assert few.reason == "5 of 40 prices would move by 1.5 times or more, more than 10%"
        for each in goods(outside, "dummyjson"):
            each["price"] = 44.0
        many = await synced(sync, "external")
        assert (many.state, many.reason) == (State.WAITING, "40 of 40 products would change, more than 75%")

    with_sync(fresh_database, outside, work)


@pytest.mark.parametrize("fault", ["reset", "html", "deep-json", "gzip-bomb", "too-short", "redirect"])
def test_a_bad_day_changes_nothing(fresh_database: FreshDatabase, outside: Running, fault: str) -> None:
    """A supplier that fails on any page has failed: the job says so, and the catalogue is as it was."""

    async def work(sync: SupplierSync) -> None:
        await done(sync, "shop")
        before = catalogue(fresh_database)
        outside.play(Behaviour(), Behaviour(fault=fault), at="shopify")
        job = await synced(sync, "shop")
        assert job.state == State.FAILED
        assert job.reason.startswith("The supplier did not give a page (")
        assert catalogue(fresh_database) == before
        outside.play(at="shopify")

    with_sync(fresh_database, outside, work)


def test_part_of_a_supplier_is_not_all_of_it(fresh_database: FreshDatabase, outside: Running) -> None:
    """Where fewer items come than the supplier says there are, what is missing has not vanished."""

    async def work(sync: SupplierSync) -> None:
        await done(sync, "external")
        before = catalogue(fresh_database)
        part = {"products": goods(outside, "dummyjson")[:30], "total": 40}
        rest: dict[str, Any] = {"products": [], "total": 40}
        bodies = [Behaviour(body=msgspec.json.encode(page).decode()) for page in (part, rest)]
        outside.play(*bodies, at="dummyjson")
        job = await done(sync, "external")
        assert job.reason == "only 30 of 40 items came, so nothing is taken as vanished"
        assert job.diff is not None
        assert (job.diff.vanished, job.diff.complete) == (0, False)
        assert catalogue(fresh_database) == before

    with_sync(fresh_database, outside, work)


def test_a_dry_run_tells_what_the_run_will_do(fresh_database: FreshDatabase, outside: Running) -> None:
    """A dry run writes nothing, and its diff is that of the run that follows."""

    async def work(sync: SupplierSync) -> None:
        await done(sync, "external")
        goods(outside, "dummyjson")[3]["price"] = 39.5
        goods(outside, "dummyjson")[4]["title"] = "Something else"
        del goods(outside, "dummyjson")[7]
        before = catalogue(fresh_database)
        dry = await synced(sync, "external", dry_run=True)
        assert (dry.state, dry.dry_run) == (State.DONE, True)
        assert catalogue(fresh_database) == before
        wet = await done(sync, "external")
        assert wet.diff == dry.diff
        assert wet.diff is not None
        assert (wet.diff.changed, wet.diff.vanished) == (2, 1)
        assert catalogue(fresh_database) != before

    with_sync(fresh_database, outside, work)


def test_a_run_that_was_cut_off_goes_on(fresh_database: FreshDatabase, outside: Running) -> None:
    """A run that is cut off between pages, or between batches, is gone on with where it stopped by whoever
    looks next, and no page is fetched twice."""
    items = goods(outside, "shopify")
    many = [
        {
            **items[number % 40],
            "id": number,
            "variants": [{**items[number % 40]["variants"][0], "id": number}],
        }
        for number in range(1, BATCH + 201)
    ]
    outside.simulator.supplier.goods["shopify"] = many

    async def work(sync: SupplierSync) -> None:
        outside.play(Behaviour(), Behaviour(fault="hang"), at="shopify")
        turn = await sync.begin("shop", dry_run=False)
        running = asyncio.create_task(sync.run(turn))
        async with asyncio.timeout(LIMIT_S):
            while (await sync.job(turn[0].id)).pages < 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert rows(fresh_database, "SELECT COUNT(*) FROM products") == [(0,)]
        outside.play(at="shopify")
        calls = outside.ask(lambda: len(outside.simulator.supplier.calls))
        again = await sync.begin_due("shop")
        assert again is not None
        assert (again[0].id, again[0].pages) == (turn[0].id, 1)
        job = await sync.run(again)
        assert (job.state, job.lines) == (State.DONE, len(many))
        assert outside.ask(lambda: len(outside.simulator.supplier.calls)) == calls + 3
        assert rows(fresh_database, "SELECT COUNT(*) FROM products") == [(len(many),)]

    with_sync(fresh_database, outside, work)


def test_what_was_cut_off_is_gone_on_with_by_itself(fresh_database: FreshDatabase, outside: Running) -> None:
    """A process that ends gives its turn back, and whichever looks next finishes the run."""

    async def work(sync: SupplierSync) -> None:
        outside.play(Behaviour(fault="hang"), at="shopify")
        ending = Schedule(sync, Random(1))
        turn = await sync.begin("shop", dry_run=False)
        ending.run(turn)
        async with asyncio.timeout(LIMIT_S):
            while not outside.ask(lambda: outside.simulator.supplier.in_flight):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await ending.close()
        assert (await sync.job(turn[0].id)).state == State.FETCHING
        outside.play(at="shopify")
        looking = Schedule(sync, Random(2), (0.01, 0.02))
        await looking.open()
        async with asyncio.timeout(LIMIT_S):
            while (await sync.job(turn[0].id)).state != State.DONE:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await looking.close()
        assert rows(fresh_database, "SELECT COUNT(*) FROM products") == [(40,)]

    with_sync(fresh_database, outside, work)


def test_there_is_one_runner(fresh_database: FreshDatabase, outside: Running) -> None:
    """While one process syncs, another is refused; when it is silent for a minute, another goes on with its
    run, and what the first one then wants to write is rolled back."""
    clock = ManualClock()

    async def work(first: SupplierSync) -> None:
        async with syncing(fresh_database.url, outside, clock) as second:
            turn = await first.begin("shop", dry_run=False)
            with pytest.raises(Conflict):
                await second.begin("shop", dry_run=False)
            assert await second.begin_due("shop") is None
            clock.advance(61)
            over = await second.begin_due("shop")
            assert over is not None
            assert over[0].id == turn[0].id
            with pytest.raises(Conflict):
                await first.run(turn)
            assert rows(fresh_database, "SELECT COUNT(*) FROM products") == [(0,)]
            job: Progress = await second.run(over)
            assert job.state is State.DONE

    with_sync(fresh_database, outside, work, clock)


def test_the_next_sync_is_due_by_itself(fresh_database: FreshDatabase, outside: Running) -> None:
    """A sync is due some six hours after the last one, give or take a tenth, and not before."""
    clock = ManualClock()

    async def work(sync: SupplierSync) -> None:
        assert await sync.begin_due("shop") is None
        clock.advance(5.3 * 3600)
        assert await sync.begin_due("shop") is None
        clock.advance(1.4 * 3600)
        turn = await sync.begin_due("shop")
        assert turn is not None
        await sync.run(turn)
        assert await sync.begin_due("shop") is None

    with_sync(fresh_database, outside, work, clock)


def test_syncs_over_http(fresh_database: FreshDatabase, outside: Running) -> None:
    """A sync is started, watched and approved over HTTP by whom its scope allows, and suppliers are listed
    for operators; nobody else, and no unknown name."""

    async def go() -> None:
        settings = settings_of(fresh_database.url, outside)
        known = await register(fresh_database.url, ["suppliers:sync", "ops:read", "orders:read"])
        async with calling(application(fresh_database.url, settings)) as caller:
            right = bearer(await token_of(caller, known, scope="suppliers:sync ops:read"))
            wrong = bearer(await token_of(caller, known, scope="orders:read"))
            for method, path in (
                ("GET", "/api/suppliers"),
                ("POST", "/api/suppliers/shop/sync"),
                ("GET", "/api/jobs/1"),
                ("POST", "/api/jobs/1/approve"),
            ):
                assert (await caller.request(method, path)).status_code == 401
                assert (await caller.request(method, path, headers=wrong)).status_code == 403
            assert (await caller.post("/api/suppliers/nobody/sync", headers=right)).status_code == 404
            assert (await caller.get("/api/jobs/77", headers=right)).status_code == 404
            assert (await caller.post("/api/suppliers/shop/sync?x=1", headers=right)).status_code == 400

            async def ended(path: str) -> dict[str, Any]:
                async with asyncio.timeout(LIMIT_S):
                    while True:
                        told: dict[str, Any] = (await caller.get(path, headers=right)).json()
                        if told["state"] not in ("fetching", "applying"):
                            return told
                        await asyncio.sleep(0.02)

            started = await caller.post("/api/suppliers/shop/sync", headers=right)
            assert started.status_code == 202
            assert started.json()["state"] == "fetching"
            job = await ended(started.headers["location"])
            assert (job["state"], job["diff"]["created"]) == ("done", 40)
            goods(outside, "shopify").clear()
            started = await caller.post("/api/suppliers/shop/sync?dryRun=false", headers=right)
            assert (await ended(started.headers["location"]))["state"] == "waiting"
            approved = await caller.post(f"{started.headers['location']}/approve", headers=right)
            assert approved.status_code == 202
            assert (await ended(approved.headers["location"]))["diff"]["vanished"] == 40
            listed = (await caller.get("/api/suppliers", headers=right)).json()["data"]
            assert [each["name"] for each in listed] == ["external", "mandi", "shop"]
            shop = listed[2]
            assert (shop["format"], shop["lastSync"]["state"], shop["syncing"]) == ("shopify", "done", False)
            assert shop["calls"]["breaker"]["state"] == "closed"

    run(go(), LIMIT_S)
