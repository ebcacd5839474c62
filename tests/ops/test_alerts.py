"""Alerts: what is told of two looks at the numbers, and that each cause is told by its own name only."""

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from farmlokal.app import create_app
from farmlokal.ops.alerts import TEXTS, WINDOW_S, alerts
from farmlokal.ops.change import Change
from farmlokal.platform.exposition import Family, Histogram, Kind, Labels, Sample
from farmlokal.platform.metrics import BOUNDS_S
from farmlokal.settings import Settings
from tests.faults.dashboard_faults import TOLD
from tests.house.files import ROOT
from tests.support.asgi import calling
from tests.support.catalogue import run

Counts = dict[str, float]


def labels(**given: str) -> Labels:
    """Labels in the order given."""
    return tuple(given.items())


def counter(name: str, *samples: tuple[float, Labels]) -> Family:
    """A family of counters."""
    return Family(f"farmlokal_{name}", Kind.COUNTER, "", [Sample(value, of) for value, of in samples])


def gauge(name: str, value: float, of: Labels = ()) -> Family:
    """A family of one gauge."""
    return Family(f"farmlokal_{name}", Kind.GAUGE, "", [Sample(value, of)])


def times(name: str, of: Labels, fast: int, slow: int = 0, total_s: float = 0.0) -> Family:
    """A histogram: so many values of a millisecond, so many of half a second."""
    histogram = Histogram(BOUNDS_S)
    histogram.counts[0], histogram.counts[BOUNDS_S.index(0.5)] = fast, slow
    histogram.total = total_s
    return Family(f"farmlokal_{name}", Kind.HISTOGRAM, "", histogram.samples(BOUNDS_S, of))


def requests(*rows: tuple[float, str, str]) -> Family:
    """Answers: how many, of which route, with which status."""
    return counter(
        "http_requests_total",
        *((count, labels(route=route, method="GET", status=status)) for count, route, status in rows),
    )


def told(*families: Family) -> list[tuple[str, str]]:
    """The alerts of a window in which this happened to a server that had done nothing before."""
    known = {family.name for family in families}
    usual = [
        gauge("scraped_seconds", WINDOW_S),
        gauge("workers", 1),
        requests((1000, "/api/products", "200")),
        gauge("redis_up", 1),
    ]
    after = [*families, *(family for family in usual if family.name not in known)]
    found = alerts(Change([gauge("scraped_seconds", 0)], after))
    assert all(alert.text == TEXTS[alert.name] for alert in found)
    return [(alert.name, alert.subject) for alert in found]


READ = "database_duration_seconds"
LISTING = "http_request_duration_seconds"
SUPPLIER = labels(supplier="external")


@pytest.mark.parametrize(
    ("happens", "name"),
    [
        pytest.param(lambda: [requests((89, "/a", "200"), (1, "/a", "500"))], "Errors", id="errors"),
        pytest.param(
            lambda: [times(READ, labels(kind="read", outcome="failed"), 2), requests((9, "/a", "503"))],
            "DatabaseFails",
            id="a database that fails, and so do answers",
        ),
        pytest.param(
            lambda: [
                times(READ, labels(kind="read", outcome="done"), 97, 3),
                times(LISTING, labels(route="/api/products", method="GET"), 1, 50),
            ],
            "DatabaseSlow",
            id="a slow database, and so are listings",
        ),
        pytest.param(
            lambda: [times(LISTING, labels(route="/api/products", method="GET"), 97, 3)],
            "ListingSlow",
            id="slow listings alone",
        ),
        pytest.param(lambda: [gauge("redis_up", 0)], "RedisAway", id="Redis"),
        pytest.param(
            lambda: [
                counter(
                    "rate_limit_decisions_total",
                    (80, labels(decision="admitted")),
                    (20, labels(decision="refused")),
                )
            ],
            "LimitHit",
            id="limiter",
        ),
        pytest.param(
            lambda: [
                gauge("upstream_token_life_seconds", 0),
                counter("upstream_token_events_total", (1, labels(event="failed"))),
                gauge("supplier_circuit_open", 0, SUPPLIER),
                counter("supplier_answers_total", (9, (*SUPPLIER, ("outcome", "unavailable")))),
                requests((9, "/external/products", "503")),
            ],
            "UpstreamTokenEnds",
            id="no token, and so no answers of the supplier",
        ),
        pytest.param(
            lambda: [
                gauge("supplier_circuit_open", 0.5, SUPPLIER),
                counter("supplier_answers_total", (9, (*SUPPLIER, ("outcome", "unavailable")))),
                requests((9, "/external/products", "503")),
            ],
            "SupplierDown external",
            id="supplier",
        ),
        pytest.param(
            lambda: [
                counter(
                    "webhook_deliveries_total", (4, labels(outcome="failed")), (1, labels(outcome="dead"))
                ),
                requests((4, "/webhook/order-update", "503"), (1, "/webhook/order-update", "422")),
            ],
            "DeadLetters",
            id="an event that fails until it is dead",
        ),
        pytest.param(
            lambda: [times("event_loop_delay_seconds", (), 40, 3, total_s=2.0)], "LoopBlocked", id="loop"
        ),
    ],
)
def test_each_cause_has_an_alert_of_its_own(happens: Callable[[], list[Family]], name: str) -> None:
    """What is wrong is told by one name, and what follows from it by none."""
    first, _, subject = name.partition(" ")
    assert told(*happens()) == [(f"FarmLokal{first}", subject)]


@pytest.mark.parametrize(
    "happens",
    [
        pytest.param(list, id="all is well"),
        pytest.param(lambda: [requests((1000, "/a", "200"), (9, "/a", "500"))], id="few errors"),
        pytest.param(lambda: [times(READ, labels(kind="read", outcome="done"), 10, 2)], id="two slow reads"),
        pytest.param(lambda: [times(READ, labels(kind="read", outcome="failed"), 1)], id="one failure"),
        pytest.param(lambda: [gauge("upstream_token_life_seconds", 0)], id="no token asked for yet"),
        pytest.param(
            lambda: [
                counter("webhook_deliveries_total", (2, labels(outcome="failed"))),
                requests((2, "/webhook/order-update", "503")),
            ],
            id="an event that may yet be applied",
        ),
    ],
)
def test_what_is_no_trouble_is_not_told(happens: Callable[[], list[Family]]) -> None:
    """A blip is no alert."""
    assert told(*happens()) == []


def test_only_what_is_new_counts() -> None:
    """What went wrong before the window is history, and a worker that begins anew takes nothing away."""

    def look(at_s: float, errors: float) -> list[Family]:
        return [gauge("scraped_seconds", at_s), requests((10, "/a", "200"), (errors, "/a", "500"))]

    assert [alerts(Change(look(0, before), look(15, after))) for before, after in ((9, 9), (9, 2))] == [
        [],
        [],
    ]
    assert alerts(Change(look(0, 9), look(15, 10)))


def test_a_pause_is_no_blocked_loop() -> None:
    """A loop that is late once, in the first second that somebody looks, is not told; one that is late for
    nearly all of it is."""

    def look(at_s: float, late_s: float) -> list[Family]:
        return [gauge("scraped_seconds", at_s), times("event_loop_delay_seconds", (), 4, 1, total_s=late_s)]

    assert alerts(Change(look(0, 0), look(1, 0.4))) == []
    assert [alert.name for alert in alerts(Change(look(0, 0), look(1, 0.9)))] == ["FarmLokalLoopBlocked"]


def test_every_alert_is_the_same_everywhere() -> None:
    """The rules of Prometheus, the page and docs/operations.md name the same alerts; the manual has the
    page's text and says what to do."""
    rules = (ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8")
    assert re.findall(r"- alert: (\w+)", rules) == list(dict.fromkeys(re.findall(r"- alert: (\w+)", rules)))
    manual = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(FarmLokal\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", manual, re.MULTILINE)
    assert sorted(TEXTS) == sorted(re.findall(r"- alert: (\w+)", rules)) == sorted(row[0] for row in rows)
    assert {name: text for name, text, *_ in rows} == TEXTS
    assert all(mend for *_, mend in rows)


def test_what_is_rehearsed_is_in_the_manual() -> None:
    """The faults that the tests do to real servers stand in docs/operations.md, each with its text."""
    manual = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    table = manual.partition("| fault | `/ops` says |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| (.+?): .+ \| (.+?) \|$", table, re.MULTILINE))
    assert rows == {fault: TEXTS[alert] for fault, alert in TOLD.items()}


def test_deployed_files_name_series_that_exist(database_path: Path) -> None:
    """Every series of the Grafana dashboard and of the rules for Prometheus is one that the program has."""

    settings = Settings.load(
        {
            "FARMLOKAL_DATABASE_URL": f"sqlite:///{database_path}",
            "FARMLOKAL_REDIS_URL": "redis://127.0.0.1:1",
            "FARMLOKAL_SUPPLIER_URL": "http://127.0.0.1:1/products",
            "FARMLOKAL_UPSTREAM_TOKEN_URL": "http://127.0.0.1:1/token",
            "FARMLOKAL_UPSTREAM_CLIENT_ID": "client",
            "FARMLOKAL_UPSTREAM_CLIENT_SECRET": "secret",
        }
    )

    async def go() -> str:
        async with calling(create_app(settings)) as caller:
            await caller.get("/api/categories")
            return (await caller.get("/metrics", headers={"accept": "text/plain"})).text

    there = set(re.findall(r"^# TYPE (\w+)", run(go()), re.MULTILINE))
    for file in ("deploy/grafana/farmlokal.json", "deploy/prometheus/alerts.yml"):
        named = set(re.findall(r"\bfarmlokal_\w+", (ROOT / file).read_text(encoding="utf-8")))
        assert named
        whole = {re.sub(r"_(bucket|count|sum)$", "", each) for each in named}
        assert not whole - there, file
    grafana = msgspec.json.decode((ROOT / "deploy/grafana/farmlokal.json").read_bytes())
    assert all(target["expr"] for panel in grafana["panels"] for target in panel["targets"])
