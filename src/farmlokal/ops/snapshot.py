"""What the dashboard shows of one moment: a few numbers, small enough to send to everybody each second."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from farmlokal.ops.alerts import Alert
from farmlokal.ops.change import Change, Wanted, any_of

ROUTES = 30
"""Most routes that are shown, the busiest first."""

STREAM = "/ops/stream"
"""A route whose answers last for minutes: its times say nothing."""

_REQUESTS = "farmlokal_http_requests_total"
_TIMES = "farmlokal_http_request_duration_seconds"
_DATABASE = "farmlokal_database_duration_seconds"


class Times(Struct, frozen=True):
    """Quantiles in milliseconds; null where nothing was timed."""

    p50: float | None
    p95: float | None
    p99: float | None


class Route(Struct, frozen=True):
    """A route and method: answers and errors (5xx) a second, and its times."""

    route: str
    method: str
    rate: float
    errors: float
    times: Times


class SupplierNow(Struct, frozen=True):
    """A supplier: its circuit (0 closed, 0.5 half open, 1 open), how often that opened, attempts a second,
    answers so far by what they were."""

    name: str
    circuit: float
    opened: int
    attempts: float
    answers: Mapping[str, int]


class Process(Struct, frozen=True):
    """The workers of the server together: their memory in bytes, requests under way, and the share of its
    time by which an event loop is late."""

    version: str
    workers: int
    memory: int
    in_flight: int
    late: float


class DatabaseNow(Struct, frozen=True):
    """Reads and transactions a second, of both those that failed; those under way or waiting; times of
    reads."""

    reads: float
    writes: float
    failed: float
    busy: int
    times: Times


class Snapshot(Struct, frozen=True):
    """All of it. Rates are a second, over the last few; `at` is in seconds since 1970. `hit` is the share of
    lookups that the cache answered; `redis`, `token` and `hit` are null where there is none."""

    at: float
    process: Process
    rate: float
    errors: float
    refused: float
    times: Times
    routes: list[Route]
    cache: Mapping[str, float]
    hit: float | None
    database: DatabaseNow
    redis: bool | None
    limiter: Mapping[str, float]
    token: float | None
    webhooks: Mapping[str, int]
    suppliers: list[SupplierNow]
    alerts: Sequence[Alert]


def snapshot(of: Change, wrong: Sequence[Alert]) -> Snapshot:
    """The numbers of now, with the alerts."""
    cache = _rates(of, "farmlokal_cache_lookups_total", "outcome")
    lookups = sum(rate for outcome, rate in cache.items() if outcome != "errors")
    redis = of.now("farmlokal_redis_up")
    limiter = _rates(of, "farmlokal_rate_limit_decisions_total", "decision")
    return Snapshot(
        at=of.now("farmlokal_scraped_seconds") or 0.0,
        process=_process(of),
        rate=_a_second(of, of.grown(_REQUESTS)),
        errors=_a_second(of, of.grown(_REQUESTS, lambda labels: labels["status"].startswith("5"))),
        refused=_a_second(of, of.grown(_REQUESTS, lambda labels: labels["status"].startswith("4"))),
        times=_times(of, _TIMES, lambda labels: labels["route"] != STREAM),
        routes=_routes(of),
        cache=cache,
        hit=round((cache.get("hit", 0) + cache.get("coalesced", 0)) / lookups, 4) if lookups else None,
        database=_database(of),
        redis=None if redis is None else bool(redis),
        limiter={**limiter, "alone": _a_second(of, of.grown("farmlokal_rate_limit_alone_total"))},
        token=of.now("farmlokal_upstream_token_life_seconds"),
        webhooks={
            dict(each.labels)["outcome"]: int(each.value)
            for each in of.samples("farmlokal_webhook_deliveries_total")
            if each.value
        },
        suppliers=_suppliers(of),
        alerts=wrong,
    )


def _process(of: Change) -> Process:
    version = next((dict(each.labels)["version"] for each in of.samples("farmlokal_build_info")), "")
    workers = int(of.now("farmlokal_workers") or 1)
    late_s = of.grown("farmlokal_event_loop_delay_seconds", suffix="_sum")
    return Process(
        version,
        workers,
        int(of.now("farmlokal_resident_memory_bytes") or 0),
        int(of.now("farmlokal_http_requests_in_flight") or 0),
        round(late_s / of.seconds / workers, 4),
    )


def _routes(of: Change) -> list[Route]:
    asked = {
        (labels["route"], labels["method"])
        for labels in (dict(each.labels) for each in of.samples(_TIMES) if each.suffix == "_count")
        if labels["route"] != STREAM
    }
    rows = []
    for route, method in asked:

        def here(labels: dict[str, str], of_it: tuple[str, str] = (route, method)) -> bool:
            return (labels["route"], labels["method"]) == of_it

        def failed(labels: dict[str, str], here: Wanted = here) -> bool:
            return here(labels) and labels["status"].startswith("5")

        if count := of.grown(_REQUESTS, here):
            errors = _a_second(of, of.grown(_REQUESTS, failed))
            rows.append(Route(route, method, _a_second(of, count), errors, _times(of, _TIMES, here)))
    return sorted(rows, key=lambda row: (-row.rate, row.route, row.method))[:ROUTES]


def _database(of: Change) -> DatabaseNow:
    def count(label: str, value: str) -> float:
        return _a_second(of, of.grown(_DATABASE, lambda labels: labels[label] == value, "_count"))

    return DatabaseNow(
        reads=count("kind", "read"),
        writes=count("kind", "write"),
        failed=count("outcome", "failed"),
        busy=int(of.now("farmlokal_database_in_flight") or 0),
        times=_times(of, _DATABASE, lambda labels: labels["kind"] == "read"),
    )


def _suppliers(of: Change) -> list[SupplierNow]:
    found = []
    for sample in of.samples("farmlokal_supplier_circuit_open"):
        name = dict(sample.labels)["supplier"]

        def of_it(family: str, name: str = name) -> list[tuple[dict[str, str], float]]:
            known = [(dict(each.labels), each.value) for each in of.samples(family)]
            return [(labels, value) for labels, value in known if labels["supplier"] == name]

        attempts = of.grown_by("farmlokal_supplier_attempts_total", "supplier").get(name, 0)
        answers = of_it("farmlokal_supplier_answers_total")
        found.append(
            SupplierNow(
                name,
                sample.value,
                int(sum(value for _, value in of_it("farmlokal_supplier_circuit_opened_total"))),
                _a_second(of, attempts),
                {labels["outcome"]: int(value) for labels, value in answers},
            )
        )
    return found


def _times(of: Change, family: str, wanted: Wanted = any_of) -> Times:
    def ms(share: float) -> float | None:
        found = of.quantile_s(family, share, wanted)
        return None if found is None else round(found * 1000, 1)

    return Times(ms(0.5), ms(0.95), ms(0.99))


def _rates(of: Change, family: str, label: str) -> dict[str, float]:
    return {value: _a_second(of, grown) for value, grown in sorted(of.grown_by(family, label).items())}


def _a_second(of: Change, count: float) -> float:
    return round(count / of.seconds, 2)
