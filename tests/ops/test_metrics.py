"""What a scraper reads: the numbers of all workers, in bounded series, in the format of Prometheus."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import msgspec
import pytest

from farmlokal.ops.workers import Workers
from farmlokal.platform.exposition import Family, Histogram, Kind, Sample, merged, text
from tests.faults.processes import wait_until
from tests.support.asgi import application, ask, calling, furnish
from tests.support.catalogue import Shelf, run
from tests.support.server import Caller, serving

SCRAPER = {
    "accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
}
_LABEL = r'[a-z_]+="(?:[^"\\\n]|\\[\\n"])*"'
LINE = re.compile(
    r"# HELP [a-z_]+ [^\n]+"
    r"|# TYPE [a-z_]+ (counter|gauge|histogram)"
    rf"|[a-z_]+(\{{{_LABEL}(,{_LABEL})*\}})? (\+Inf|-?[0-9.e+-]+)"
)


def values(exposition: str) -> dict[str, float]:
    """Every series with its value."""
    lines = exposition.splitlines()
    assert not [line for line in lines if not LINE.fullmatch(line)]
    samples = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    found = {series: float(value) for series, _, value in samples}
    assert len(found) == len(samples), "no series is there twice"
    return found


async def scraped(caller: httpx2.AsyncClient) -> dict[str, float]:
    """What a scraper reads."""
    answer = await caller.get("/metrics", headers=SCRAPER)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return values(answer.text)


def test_routes_are_counted_by_their_template(shelf: Shelf, database_path: Path) -> None:
    """Each answer is counted under the template of its route, its method and status, with its time; the times
    of a route are as many as its answers, those that were answered again included."""
    furnish(shelf)

    async def go() -> dict[str, float]:
        async with calling(application(database_path)) as caller:
            for path in ["/api/products"] * 3 + ["/api/products/1", "/api/products/2", "/api/products/0"]:
                await caller.get(path)
            await caller.post("/api/categories")
            return await scraped(caller)

    found = run(go())
    requests = "farmlokal_http_requests_total"
    assert found[f'{requests}{{route="/api/products",method="GET",status="200"}}'] == 3
    assert found[f'{requests}{{route="/api/products/{{id}}",method="GET",status="200"}}'] == 2
    assert found[f'{requests}{{route="/api/products/{{id}}",method="GET",status="400"}}'] == 1
    assert found[f'{requests}{{route="/api/categories",method="POST",status="405"}}'] == 1
    times = "farmlokal_http_request_duration_seconds"
    assert found[f'{times}_count{{route="/api/products",method="GET"}}'] == 3
    assert found[f'{times}_bucket{{route="/api/products",method="GET",le="+Inf"}}'] == 3
    assert found['farmlokal_cache_lookups_total{outcome="hit"}'] == 2
    assert found['farmlokal_database_duration_seconds_count{kind="read",outcome="done"}'] >= 3


def test_what_is_to_alarm_is_there_before_it_happens(database_path: Path) -> None:
    """Counters whose first step is an alarm stand at zero from the start: in a series that begins at one a
    scraper sees no step."""

    async def go() -> dict[str, float]:
        async with calling(application(database_path)) as caller:
            return await scraped(caller)

    found = run(go())
    for outcome in ("dead", "mismatched", "malformed"):
        assert found[f'farmlokal_webhook_deliveries_total{{outcome="{outcome}"}}'] == 0


def test_callers_choose_no_series(database_path: Path) -> None:
    """Twenty thousand paths that are not there, under methods of anybody's making, add ten series at most."""

    async def go() -> int:
        async with calling(app := application(database_path)) as caller:
            before = await scraped(caller)
            for number in range(20_000):
                method = "GET" if number % 2 else f"AAAA{number}"
                status, _ = await ask(app, f"/{number}/api", method=method)
                assert status in (404, 405)
            after = await scraped(caller)
            series = {name.partition("_bucket")[0] for name in after.keys() - before.keys()}
            return len(series)

    assert run(go()) <= 10


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/html,*/*;q=0.8", "application/json"),
        ("text/plain", "text/plain"),
        (SCRAPER["accept"], "text/plain"),
    ],
)
def test_who_gets_what(database_path: Path, accept: str, kind: str) -> None:
    """Scrapers get text, everybody else JSON."""

    async def go() -> str:
        async with calling(application(database_path)) as caller:
            return str((await caller.get("/metrics", headers={"accept": accept})).headers["content-type"])

    assert run(go()).partition(";")[0] == kind


def test_workers_add_up(database_path: Path, tmp_path: Path) -> None:
    """Whichever worker a scraper reaches, it reads the numbers of both: all that was asked is counted."""
    asked = 40
    with serving(database_path, tmp_path / "log", workers=2) as server:
        for _ in range(asked):
            with Caller(server.port) as caller:  # a connection each, so that both workers get some
                assert caller.ask("/api/categories").status == 200
        series = 'farmlokal_http_requests_total{route="/api/categories",method="GET",status="200"}'

        def counted() -> bool:
            with Caller(server.port) as caller:
                found = values(caller.ask("/metrics", headers=SCRAPER).body.decode())
            return found.get("farmlokal_workers") == 2 and found.get(series) == asked

        wait_until(counted, "both workers have told what they counted")


def test_a_worker_that_ended_has_still_counted(tmp_path: Path) -> None:
    """The counts of a worker that was replaced stay in the sums, its gauges do not."""
    families = [
        Family("requests_total", Kind.COUNTER, "Requests.", [Sample(5)]),
        Family("in_flight", Kind.GAUGE, "In flight.", [Sample(3)]),
    ]
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for process in (ended.pid, os.getppid()):
        (tmp_path / f"{process}.numbers").write_bytes(msgspec.msgpack.encode(families))
    found = Workers(tmp_path, lambda: families).families()
    assert [family.samples[0].value for family in found] == [15, 6]


def test_each_kind_is_joined_as_it_should() -> None:
    """Counters, gauges and histograms add up by their labels; of some gauges the worst worker counts."""
    one, other = Histogram([1.0]), Histogram([1.0])
    one.counts, other.counts = [1, 2], [10, 20]

    def process(times: Histogram, up: float) -> list[Family]:
        return [
            Family("times", Kind.HISTOGRAM, "Times.", times.samples([1.0], (("a", 'b"\n'),))),
            Family("up", Kind.LEAST, "Up.", [Sample(up)]),
            Family("age", Kind.WORST, "Age.", [Sample(up)]),
        ]

    found = values(text(merged([process(one, 1), process(other, 0)])).decode())
    assert found == {
        r'times_bucket{a="b\"\n",le="1"}': 11,
        r'times_bucket{a="b\"\n",le="+Inf"}': 33,
        r'times_sum{a="b\"\n"}': 0,
        r'times_count{a="b\"\n"}': 33,
        "up": 0,
        "age": 1,
    }
