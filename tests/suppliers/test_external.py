"""`GET /external/products` over real sockets: the application, and a supplier that does wrong on command."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp

from farmlokal.app import create_app
from farmlokal.platform.metrics import memory
from farmlokal.settings import Settings
from farmlokal.suppliers.simulator import FAULTS, Behaviour
from farmlokal.suppliers.simulator.faults import BOMB_BYTES
from tests.faults.processes import OwnedProcess, wait_until
from tests.support.asgi import alive, application, ask, calling
from tests.support.catalogue import run
from tests.support.clock import ManualClock
from tests.support.provider import Running, simulated
from tests.support.server import serving

TOTAL_S = 4.0
BUSY_S = 20.0
"""How much longer things may take on a machine that is busy with other tests."""

RATE, OUTAGE_S, PROBES = 50, 60, 3
"""Calls a second, seconds of failure, and calls that an open period may cost the supplier (requirement)."""

GOOD = "?limit=2"
ENDLESS = ("hang", "drip", "drip-head")
"""Faults that only time ends: each costs a test the deadline."""


@pytest.fixture
def outside() -> Iterator[Running]:
    """A supplier of the test's own."""
    with simulated() as running:
        yield running


@pytest.fixture
def app(outside: Running, database_path: Path) -> ASGIApp:
    """The application with that supplier."""
    return application(database_path, outside.settings)


def answers(app: ASGIApp, *queries: str) -> list[httpx2.Response]:
    """The answers to these queries, one after another."""

    async def go() -> list[httpx2.Response]:
        async with calling(app) as caller:
            return [await caller.get(f"/external/products{query}") for query in queries]

    return run(go(), 120)


def is_refusal(answer: httpx2.Response) -> bool:
    """Whether it is the refusal that callers of the first system know."""
    told = answer.json()
    assert answer.status_code == 503, answer.text
    assert (told["error"], told["detail"]) == ("External API unavailable",) * 2
    assert 1 <= int(answer.headers["retry-after"]) <= 75
    return answer.headers["content-type"] == "application/problem+json"


def supplier_calls(outside: Running) -> int:
    """How often the supplier was asked."""
    return outside.ask(lambda: len(outside.simulator.supplier.calls))


def test_a_page_passes_through(outside: Running, app: ASGIApp) -> None:
    """The supplier's products come as it has them, `limit` and `skip` as it takes them, and `meta` says where
    they are from; the supplier was shown our token."""
    [answer, all_of_it] = answers(app, "?limit=3&skip=10", "")
    goods = outside.simulator.supplier.goods["dummyjson"]
    told = answer.json()
    assert told["products"] == goods[10:13]
    assert (told["total"], told["skip"], told["limit"]) == (len(goods), 10, 3)
    meta = told["meta"]
    assert meta.pop("fetchedAt").endswith("Z")
    assert meta == {
        "source": "127.0.0.1",
        "stale": False,
        "ageSeconds": 0,
        "breaker": "closed",
        "attempts": 1,
        "dropped": 0,
    }
    assert "age" not in answer.headers
    assert len(all_of_it.json()["products"]) == 30
    assert outside.simulator.supplier.refused == 0


@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=101", "?limit=１０", "?skip=-1", "?limit=1&limit=2", "?q=1"]
)
def test_a_query_is_read_strictly(outside: Running, app: ASGIApp, query: str) -> None:
    """What is not a page's `limit` or `skip` is refused by name, and the supplier is not asked."""
    [answer] = answers(app, query)
    assert answer.status_code == 400
    assert answer.json()["errors"]
    assert supplier_calls(outside) == 0


def test_no_supplier_is_no_answer(database_path: Path) -> None:
    """A server without a supplier says so as it says everything that goes wrong there."""
    [answer] = answers(application(database_path), GOOD)
    assert is_refusal(answer)


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in (*ENDLESS, "nan")])
def test_every_fault_is_one_refusal(outside: Running, app: ASGIApp, fault: str) -> None:
    """Whatever the supplier does, callers get one refusal or its last good answer with its age, in time; they
    cost it at most three attempts, and where it would send them nobody goes."""
    outside.play(Behaviour(), Behaviour(fault=fault), at="dummyjson")
    started = time.monotonic()
    good, stale, refused = answers(app, GOOD, GOOD, "?limit=5")
    assert good.status_code == 200
    assert stale.status_code == 200
    assert stale.json()["products"] == good.json()["products"]
    assert stale.json()["meta"]["stale"] is True
    assert int(stale.headers["age"]) == stale.json()["meta"]["ageSeconds"] >= 1
    assert 1 <= stale.json()["meta"]["attempts"] <= 3
    assert is_refusal(refused)
    assert time.monotonic() - started < BUSY_S
    assert supplier_calls(outside) <= 1 + 2 * 3
    assert outside.simulator.canaries == 0


async def until(true: Callable[[], bool]) -> None:
    """Return when something that happens elsewhere has happened."""
    async with asyncio.timeout(BUSY_S):
        while not true():  # noqa: ASYNC110  what is waited for has no event
            await asyncio.sleep(0.01)


def test_a_drip_ends_at_the_deadline(outside: Running, app: ASGIApp) -> None:
    """R1: a supplier that says nothing, or drips for ever in its body or in its head, is left after 4 s, and
    nothing stays open."""

    async def go() -> list[tuple[float, httpx2.Response]]:
        async with calling(app) as caller:

            async def timed(skip: int) -> tuple[float, httpx2.Response]:
                begun = time.monotonic()
                answer = await caller.get(f"/external/products?limit=1&skip={skip}")
                return time.monotonic() - begun, answer

            outside.play(*(Behaviour(fault=fault) for fault in ENDLESS), at="dummyjson")
            return list(await asyncio.gather(*map(timed, range(len(ENDLESS)))))

    for took_s, answer in run(go(), 120):
        assert is_refusal(answer)
        assert TOTAL_S - 0.5 < took_s < TOTAL_S + BUSY_S / 4
    wait_until(lambda: outside.ask(lambda: outside.simulator.supplier.in_flight) == 0, "nothing is open")


def test_statuses(outside: Running, database_path: Path) -> None:
    """R3, R6, R9: after 502, 503, 504, 408 and 429 a question is asked again, three times in all; after 500
    and any other refusal it is not. A 404 and a 403 are never papered over with an old answer, a 5xx is."""
    asked = {}
    for status in (500, 502, 503, 504, 408, 429, 400, 403, 404, 401):
        outside.play(Behaviour(), Behaviour(status=status), at="dummyjson")
        calls = supplier_calls(outside)
        _, answer = answers(application(database_path, outside.settings), GOOD, GOOD)
        asked[status] = supplier_calls(outside) - calls - 1
        if status >= 500 or status in (408, 429):
            assert answer.status_code == 200
            assert answer.json()["meta"]["stale"] is True
        else:
            assert is_refusal(answer)
    again = dict.fromkeys((502, 503, 504, 408, 429), 3)
    assert asked == {500: 1, 400: 1, 403: 1, 404: 1, 401: 2} | again


def test_silence_that_is_asked_for_is_kept(outside: Running, database_path: Path) -> None:
    """R4: within the time of a `Retry-After`, in seconds or as a date, the supplier is not called, whoever
    asks for what; callers are told when to come back. What is absurd is capped, and garbage is none."""
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    for wanted, told_s in {"7": 7, in_an_hour: 60, "999999": 60, "-1": 5, "soon": 5, "": 5}.items():
        outside.play(Behaviour(status=503, retry_after=wanted), at="dummyjson")
        calls = supplier_calls(outside)
        first, second = answers(application(database_path, outside.settings), GOOD, "?limit=3")
        kept = told_s > 5
        assert is_refusal(first)
        assert is_refusal(second)
        assert told_s - 1 <= int(first.headers["retry-after"]) <= told_s
        made = supplier_calls(outside) - calls
        assert made == (1 if kept else 3 + 1), wanted  # after three failures in a row nothing is retried


def test_a_refused_token_is_replaced_once(outside: Running, app: ASGIApp) -> None:
    """A token that the supplier refuses is replaced by one refresh, however many notice, and the question is
    asked once more; a supplier that refuses the new one, too, is left alone."""

    async def go() -> None:
        async with calling(app) as caller:
            assert (await caller.get("/external/products")).status_code == 200
            tokens = outside.calls
            outside.ask(outside.simulator.provider.revoke)
            asked = [caller.get(f"/external/products?skip={skip}") for skip in range(15)]
            for answer in await asyncio.gather(*asked):
                assert answer.status_code == 200
                assert answer.json()["meta"]["attempts"] == 2
            assert outside.calls == tokens + 1
            outside.play(Behaviour(status=401), at="dummyjson")
            calls = supplier_calls(outside)
            assert is_refusal(await caller.get("/external/products"))
            assert supplier_calls(outside) - calls <= 2
            assert outside.calls <= tokens + 2

    run(go(), 120)


def test_no_token_is_no_call(outside: Running, app: ASGIApp) -> None:
    """Without a token the supplier is not asked, and it is not blamed for that: the circuit stays closed."""
    outside.play(Behaviour(status=500))
    [answer] = answers(app, GOOD)
    assert is_refusal(answer)
    assert supplier_calls(outside) == 0


def test_bad_items_are_dropped(outside: Running, app: ASGIApp) -> None:
    """R14: items that are no objects, with NaN, an absurd number, half a character, a member twice, no id, or
    a price that is none, are left out and counted; what is left is valid JSON, digit by digit."""
    good = '{"id":1,"title":"Okra","price":10.10,"deep":[{"a":[1,2.50,"x",null,true]}]}'
    bad = [
        *("7", '"x"', "null", "[]", "{}"),
        *(
            '{"id":2,"price":NaN}',
            '{"id":2,"price":Infinity}',
            '{"id":2,"price":1e999}',
            '{"id":2,"price":-1}',
        ),
        *('{"id":2,"price":"3"}', '{"id":2,"id":3}', '{"title":"no id"}', '{"id":2,"title":"\\ud800"}'),
        *('{"id":2,"x":-Infinity}', '{"id":2,"x":[{"y":NaN}]}', '{"id":2,"\\udfff":1}', '{"id":2,"title":5}'),
        '{"id":2,"x":' + "[" * 40 + "]" * 40 + "}",
    ]
    body = f'{{"products":[{",".join([*bad, good])}],"total":"99","skip":0,"limit":1e3}}'
    outside.play(Behaviour(body=body), at="dummyjson")
    [answer] = answers(app, "")
    told = json.loads(answer.text, parse_constant=lambda written: pytest.fail(written))
    assert json.dumps(told["products"]) == json.dumps([json.loads(good)])
    assert '"price":10.10' in answer.text
    assert (told["total"], told["meta"]["dropped"]) == (99, len(bad))


def test_too_many_items_are_no_page(outside: Running, app: ASGIApp) -> None:
    """R14: a page of a hundred thousand items is not read; items beyond those asked for are left out."""
    item = '{"id":1}'
    outside.play(
        Behaviour(body=f'{{"products":[{",".join([item] * 100_000)}]}}'),
        Behaviour(body=f'{{"products":[{",".join([item] * 50)}]}}'),
        at="dummyjson",
    )
    many, more = answers(app, "?skip=1", GOOD)
    assert is_refusal(many)
    assert (len(more.json()["products"]), more.json()["meta"]["dropped"]) == (2, 48)


def test_nan_is_dropped(outside: Running, app: ASGIApp) -> None:
    """R14: of a real page with NaN, -Infinity and 1e999 for prices, the other items come through."""
    outside.play(Behaviour(fault="nan"), at="dummyjson")
    [answer] = answers(app, "?limit=10")
    assert (len(answer.json()["products"]), answer.json()["meta"]["dropped"]) == (7, 3)


def test_memory_is_bounded(outside: Running, app: ASGIApp) -> None:
    """R10: a gzip bomb, a body of a gigabyte and a tree of small values take no more than 50 MB, and nothing
    of them is kept."""
    tree = '{"products":[' + ",".join(["[[],[],[]]"] * 12_000) + "]}"
    for behaviour in (Behaviour(fault="gzip-bomb"), Behaviour(fault="huge-body"), Behaviour(body=tree)):
        outside.play(behaviour, at="dummyjson")
        assert is_refusal(answers(app, GOOD)[0])  # the bomb is made by now, in this very process
        before = memory().rss
        for answer in answers(app, *[f"?skip={skip}" for skip in range(3)]):
            assert is_refusal(answer)
        assert memory().rss - before < min(50_000_000, BOMB_BYTES // 2)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel tells of no peak")
@pytest.mark.parametrize("fault", ["gzip-bomb", "huge-body"])
def test_memory_is_bounded_for_many_at_once(
    outside: Running, database_path: Path, tmp_path: Path, fault: str
) -> None:
    """R10: a bomb or a gigabyte for each of twenty callers at once takes no more than 50 MB in all."""

    def peak(process: OwnedProcess) -> int:
        """The most memory that any of its processes ever had, in bytes."""
        written = [Path(f"/proc/{each}/status").read_text(encoding="utf-8") for each in process.members()]
        return max(int(text.partition("VmHWM:")[2].split()[0]) * 1024 for text in written)

    async def storm(port: int) -> set[int]:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=BUSY_S) as caller:
            asked = [caller.get(f"/external/products?skip={number}") for number in range(100, 120)]
            return {answer.status_code for answer in await asyncio.gather(*asked)}

    with serving(database_path, tmp_path / "log", outside.settings) as server:
        with server.caller() as caller:
            assert caller.ask("/external/products").status == 200
        before = peak(server.process)
        outside.play(Behaviour(fault=fault, latency_s=0.3), at="dummyjson")
        assert run(storm(server.port), 120) == {503}
        assert outside.ask(lambda: outside.simulator.supplier.most_in_flight) >= 15
        assert peak(server.process) - before < 50_000_000


def on_clock(outside: Running, database: Path, clock: ManualClock) -> ASGIApp:
    """The application on a clock of the test's own."""
    given = {"FARMLOKAL_DATABASE_URL": f"sqlite:///{database}", "FARMLOKAL_RATE_LIMIT": "off"}
    return create_app(Settings.load(given | outside.settings), clock)


@asynccontextmanager
async def with_clock(
    outside: Running, database: Path, clock: ManualClock
) -> AsyncIterator[httpx2.AsyncClient]:
    """A caller of that application."""
    async with calling(on_clock(outside, database, clock)) as caller:
        yield caller


async def breaker_of(app: ASGIApp) -> dict[str, Any]:
    """The circuit, as operators see it."""
    _, body = await ask(app, "/metrics")
    state: dict[str, Any] = json.loads(body)["suppliers"]["external"]["breaker"]
    return state


def test_an_old_answer_has_an_age_and_an_end(outside: Running, database_path: Path) -> None:
    """R9: the last good answer is served for a day with its age, and then no more."""
    clock = ManualClock()

    async def go() -> None:
        async with with_clock(outside, database_path, clock) as caller:
            assert (await caller.get("/external/products")).status_code == 200
            outside.play(Behaviour(status=500), at="dummyjson")
            clock.advance(23 * 3600)
            answer = await caller.get("/external/products")
            assert answer.headers["age"] == str(23 * 3600)
            assert answer.json()["meta"]["ageSeconds"] == 23 * 3600
            clock.advance(3601)
            assert is_refusal(await caller.get("/external/products"))

    run(go(), 120)


def test_an_outage_over_real_sockets(outside: Running, database_path: Path) -> None:
    """R2, R7: of a minute's calls at 50 a second while everything fails, the supplier gets at most 1.2 times
    as many until the circuit opens, then three an open period; 200 callers at once while it is half open make
    three calls; 5 s and an open time after it is well, 99 % are answered. Seconds are the test's, sockets
    real."""
    clock = ManualClock()
    numbers = count()

    async def go() -> None:
        async with alive(app := on_clock(outside, database_path, clock)):

            async def status_of(number: int) -> int:
                return (await ask(app, "/external/products", f"skip={number}"))[0]

            async def offer(seconds: float) -> list[int]:
                """50 calls a second, in fives, which are answered before the next ones come."""
                got = []
                for _ in range(round(seconds * 10)):
                    got += await asyncio.gather(*(status_of(next(numbers)) for _ in range(5)))
                    clock.advance(0.1)
                return got

            outside.play(Behaviour(status=503), at="dummyjson")
            asked, calls = 0, supplier_calls(outside)
            periods = [calls]
            while asked < OUTAGE_S * RATE:
                assert set(await offer(0.1)) == {503}
                asked += 5
                opened = (await breaker_of(app))["opened"]
                if opened == len(periods):
                    periods.append(supplier_calls(outside))
                    assert opened > 1 or 20 <= periods[1] - calls <= 1.2 * asked
            assert len(periods) >= 3
            made = [after - before for before, after in pairwise([*periods[1:], supplier_calls(outside)])]
            assert max(made) <= PROBES
            clock.advance((await breaker_of(app))["retryAfterS"] + 0.01)
            calls = supplier_calls(outside)
            outside.play(Behaviour(status=500, latency_s=0.2), at="dummyjson")
            crowd = await asyncio.gather(*(status_of(next(numbers)) for _ in range(200)))
            assert (set(crowd), supplier_calls(outside) - calls) == ({503}, PROBES)
            outside.play(at="dummyjson")
            clock.advance((await breaker_of(app))["retryAfterS"] + 0.01)
            await offer(5)
            well = await offer(4)
            assert well.count(200) >= 0.99 * len(well)

    run(go(), 240)


def test_callers_who_leave_a_half_open_circuit_take_no_permit_with_them(
    outside: Running, database_path: Path
) -> None:
    """R7, R12: 20 callers who are cancelled while the circuit is half open leave it able to close."""
    clock = ManualClock()

    async def go() -> None:
        async with with_clock(outside, database_path, clock) as caller:
            outside.play(Behaviour(status=500), at="dummyjson")
            for number in range(20):
                await caller.get(f"/external/products?skip={number}")
            state = (await caller.get("/metrics")).json()["suppliers"]["external"]["breaker"]
            assert state["state"] == "open"
            clock.advance(state["retryAfterS"] + 0.01)
            outside.play(Behaviour(fault="hang"), at="dummyjson")
            calls = supplier_calls(outside)
            leaving = [
                asyncio.create_task(caller.get(f"/external/products?skip={number}"))
                for number in range(100, 120)
            ]
            await until(lambda: supplier_calls(outside) == calls + 3)
            for each in leaving:
                each.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)
            outside.play(at="dummyjson")
            clock.advance(60)
            await until(lambda: outside.ask(lambda: outside.simulator.supplier.in_flight) == 0)
            clock.advance(60)
            for number in range(200, 206):
                answer = await caller.get(f"/external/products?skip={number}")
                assert answer.status_code == 200
            metrics = (await caller.get("/metrics")).json()["suppliers"]["external"]
            assert (metrics["breaker"]["state"], metrics["breaker"]["probing"]) == ("closed", 0)
            assert sum(metrics["attemptSeconds"].values()) == metrics["attempts"]

    run(go(), 240)


def test_slow_successes_open_the_circuit(outside: Running, database_path: Path) -> None:
    """R8: a supplier that answers after 3 s is left alone like one that fails, and callers of the catalogue
    wait for nothing of it."""
    clock = ManualClock()

    async def go() -> None:
        async with with_clock(outside, database_path, clock) as caller:
            calls = supplier_calls(outside)
            outside.play(Behaviour(latency_s=0.2), at="dummyjson")
            slow = [
                asyncio.create_task(caller.get(f"/external/products?skip={number}")) for number in range(20)
            ]
            await until(lambda: supplier_calls(outside) == calls + 20)
            begun = time.monotonic()
            assert (await caller.get("/api/products")).status_code == 200
            assert time.monotonic() - begun < BUSY_S / 4
            clock.advance(3)
            assert {answer.status_code for answer in await asyncio.gather(*slow)} == {200}
            assert is_refusal(await caller.get("/external/products?skip=99"))

    run(go(), 240)


def test_too_much_is_refused_at_once(outside: Running, app: ASGIApp) -> None:
    """R16: with all places taken, callers are refused before any of those who have one is answered, and told
    when to come; a moment later there is room again."""

    async def go() -> None:
        async with calling(app) as caller:
            outside.play(Behaviour(latency_s=1), at="dummyjson")
            ended: list[httpx2.Response] = []

            async def one(number: int) -> None:
                ended.append(await caller.get(f"/external/products?skip={number}"))

            await asyncio.gather(*(one(number) for number in range(60)))
            assert [answer.status_code for answer in ended] == [503] * 40 + [200] * 20
            assert all(is_refusal(answer) for answer in ended[:40])
            assert outside.ask(lambda: outside.simulator.supplier.most_in_flight) == 20
            outside.play(at="dummyjson")
            assert (await caller.get("/external/products?skip=99")).status_code == 200

    run(go(), 240)


def test_many_who_ask_the_same_are_one_call(outside: Running, app: ASGIApp) -> None:
    """A hundred callers of one page cost the supplier one call."""

    async def go() -> None:
        async with calling(app) as caller:
            outside.play(Behaviour(latency_s=0.3), at="dummyjson")
            got = await asyncio.gather(*(caller.get("/external/products") for _ in range(100)))
            assert {answer.status_code for answer in got} == {200}
            metrics = (await caller.get("/metrics")).json()["suppliers"]["external"]
            assert (metrics["answers"]["fresh"], metrics["answers"]["coalesced"]) == (1, 99)

    run(go(), 240)
    assert supplier_calls(outside) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::1]", "0x7f.1"])
def test_nobody_is_led_inside(outside: Running, database_path: Path, host: str) -> None:
    """R11: where only public addresses are allowed, the inside is not connected to, however it is spelt."""
    inside = {
        "FARMLOKAL_SUPPLIER_URL": f"http://{host}:{outside.port}/products.json",
        "FARMLOKAL_SUPPLIER_ALLOWED_NETWORKS": "198.51.100.0/24",
    }
    [answer] = answers(application(database_path, inside), GOOD)
    assert is_refusal(answer)
    assert supplier_calls(outside) == 0


def test_nobody_is_called_for_nobody(outside: Running, database_path: Path, tmp_path: Path) -> None:
    """R12: when the only caller of a page has left, the attempt under way is the last one."""
    outside.play(Behaviour(status=503, latency_s=0.3), Behaviour(latency_s=0.3), at="dummyjson")
    with serving(database_path, tmp_path / "log", outside.settings) as server:
        leaving = socket.create_connection(("127.0.0.1", server.port), BUSY_S)
        leaving.sendall(b"GET /external/products?skip=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: supplier_calls(outside) == 1, "the supplier is asked")
        leaving.close()

        def failed() -> bool:
            with server.caller() as caller:
                breaker = caller.ask("/metrics").json()["suppliers"]["external"]["breaker"]
            return bool(breaker["failed"] == 1)

        wait_until(failed, "the attempt has ended")
        with server.caller() as caller:  # takes longer than the wait before another attempt would
            assert caller.ask("/external/products?skip=2").status == 200
        assert supplier_calls(outside) == 2


def test_no_secret_of_the_supplier_is_told(outside: Running, database_path: Path) -> None:
    """A key in the supplier's URL is sent to the supplier, and is in no answer and no metric."""
    url = f"{outside.url}/products?api-key=very-secret"
    app = application(database_path, outside.settings | {"FARMLOKAL_SUPPLIER_URL": url})

    async def go() -> str:
        async with calling(app) as caller:
            good = await caller.get(f"/external/products{GOOD}")
            assert len(good.json()["products"]) == 2
            outside.play(Behaviour(status=500), at="dummyjson")
            bad = await caller.get("/external/products?limit=9")
            return good.text + bad.text + (await caller.get("/metrics")).text

    assert "very-secret" not in run(go(), 120)
