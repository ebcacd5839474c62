"""What this process has counted, as families of numbers. Names end in their unit (Prometheus' rules)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import time

from farmlokal.oauth.upstream import TokenSource
from farmlokal.platform.cache import CacheCounts
from farmlokal.platform.event_loop import LoopDelay
from farmlokal.platform.exposition import Family, Kind, Labels, Sample, labelled
from farmlokal.platform.metrics import (
    BOUNDS_S,
    OUTCOMES,
    LimitCounts,
    RequestCounts,
    Timings,
    WebhookCounts,
    memory,
)
from farmlokal.platform.redis import RedisConnections
from farmlokal.platform.resilience.circuit_breaker import State
from farmlokal.suppliers.counts import SupplierState

_CIRCUIT = {State.CLOSED: 0.0, State.HALF_OPEN: 0.5, State.OPEN: 1.0}


@dataclass(frozen=True)
class Sources:
    """Whoever counts in this process."""

    version: str
    requests: RequestCounts
    limits: LimitCounts
    cache: CacheCounts
    events: WebhookCounts
    database: Timings
    loop: LoopDelay
    redis: RedisConnections | None
    upstream: TokenSource | None
    suppliers: Callable[[], Mapping[str, SupplierState]]


def families(of: Sources) -> list[Family]:
    """All of them, as of now."""
    here = [*_process(of), *_requests(of.requests), *_limits(of.limits), *_stores(of)]
    return [*here, *_outside(of), *_suppliers(of.suppliers())]


def _process(of: Sources) -> Iterator[Family]:
    used = memory()
    yield Family(
        "farmlokal_build_info", Kind.WORST, "The version that runs.", [Sample(1, (("version", of.version),))]
    )
    yield Family("farmlokal_workers", Kind.GAUGE, "Worker processes of this server.", [Sample(1)])
    yield _gauge("farmlokal_resident_memory_bytes", "Memory of all workers.", used.rss)
    yield Family(
        "farmlokal_scraped_seconds",
        Kind.WORST,
        "When this was counted, since 1970.",
        [Sample(round(time(), 3))],
    )
    yield Family(
        "farmlokal_event_loop_delay_seconds",
        Kind.HISTOGRAM,
        "How late the event loop is: what runs too long in it makes everybody wait.",
        of.loop.histogram.samples(BOUNDS_S),
    )


def _requests(counts: RequestCounts) -> Iterator[Family]:
    yield Family(
        "farmlokal_http_requests_total",
        Kind.COUNTER,
        "Answers by route, method and status.",
        [
            Sample(number, (("route", route), ("method", method), ("status", str(status))))
            for (route, method, status), number in sorted(counts.by_route.items())
        ],
    )
    yield Family(
        "farmlokal_http_request_duration_seconds",
        Kind.HISTOGRAM,
        "Time to an answer by route and method.",
        [
            sample
            for (route, method), times in sorted(counts.times.items())
            for sample in times.samples(BOUNDS_S, (("route", route), ("method", method)))
        ],
    )
    yield _gauge("farmlokal_http_requests_in_flight", "Requests being worked on.", counts.in_flight)


def _limits(counts: LimitCounts) -> Iterator[Family]:
    decided = {"admitted": counts.admitted, "refused": counts.refused}
    yield _counter(
        "farmlokal_rate_limit_decisions_total", "Requests by decision.", labelled("decision", decided)
    )
    yield _counter(
        "farmlokal_rate_limit_alone_total",
        "Decisions of one instance alone, while Redis did not answer.",
        [Sample(counts.by_fallback)],
    )


def _stores(of: Sources) -> Iterator[Family]:
    yield _counter(
        "farmlokal_cache_lookups_total",
        "Lookups by outcome; errors are those of Redis that were gone around.",
        labelled("outcome", of.cache.by_name),
    )
    yield Family(
        "farmlokal_database_duration_seconds",
        Kind.HISTOGRAM,
        "Time of reads and transactions by outcome; refused: by the work itself, the database is well.",
        [
            sample
            for (what, outcome), times in sorted(of.database.by_name.items())
            for sample in times.samples(BOUNDS_S, (("kind", what), ("outcome", outcome)))
        ],
    )
    yield _gauge(
        "farmlokal_database_in_flight",
        "Reads and transactions under way, those that wait for a connection included.",
        of.database.in_flight,
    )
    if of.redis is not None:
        state = of.redis.state()
        yield Family("farmlokal_redis_up", Kind.LEAST, "Whether Redis is used.", [Sample(int(state.up))])
        calls = {"failed": state.failed, "spared": state.spared}
        yield _counter(
            "farmlokal_redis_missed_calls_total", "Calls to Redis without an answer.", labelled("why", calls)
        )


def _outside(of: Sources) -> Iterator[Family]:
    # From zero on: in a series that begins at 1 Prometheus sees no increase.
    yield _counter(
        "farmlokal_webhook_deliveries_total",
        "Deliveries of order events by what came of them.",
        labelled("outcome", dict.fromkeys(OUTCOMES, 0) | of.events.by_outcome),
    )
    if of.upstream is not None:
        state = of.upstream.state()
        yield Family(
            "farmlokal_upstream_token_life_seconds",
            Kind.LEAST,
            "Life that the token for the supplier has left; 0 without one.",
            [Sample(round(state.left_s or 0.0, 3))],
        )
        refreshes = {
            "fetched": state.fetched,
            "failed": state.failed,
            "adopted": state.adopted,
            "rejected": state.rejected,
            "held": state.held,
            "alone": state.alone,
        }
        yield _counter(
            "farmlokal_upstream_token_events_total", "What became of it.", labelled("event", refreshes)
        )


def _suppliers(states: Mapping[str, SupplierState]) -> Iterator[Family]:
    """Each circuit as the worker sees it that sees it worst."""
    named = [((("supplier", name),), state) for name, state in sorted(states.items())]
    yield Family(
        "farmlokal_supplier_circuit_open",
        Kind.WORST,
        "Whether the circuit to a supplier is open (1), half open (0.5) or closed (0).",
        [Sample(_CIRCUIT[state.breaker.state], label) for label, state in named],
    )
    yield _counter(
        "farmlokal_supplier_circuit_opened_total",
        "How often a circuit opened.",
        [Sample(state.breaker.opened, label) for label, state in named],
    )
    yield _counter(
        "farmlokal_supplier_attempts_total",
        "Attempts at calls.",
        [Sample(state.attempts, label) for label, state in named],
    )
    yield _counter(
        "farmlokal_supplier_answers_total",
        "Answers to callers by what they were: fresh, coalesced, stale, refused, unavailable.",
        [
            Sample(number, (*label, ("outcome", outcome)))
            for label, state in named
            for outcome, number in state.answers.items()
        ],
    )
    yield _counter(
        "farmlokal_supplier_dropped_items_total",
        "Items of answers that were invalid.",
        [Sample(state.dropped, label) for label, state in named],
    )


def _gauge(name: str, text: str, value: float, labels: Labels = ()) -> Family:
    return Family(name, Kind.GAUGE, text, [Sample(value, labels)])


def _counter(name: str, text: str, samples: list[Sample]) -> Family:
    return Family(name, Kind.COUNTER, text, samples)
