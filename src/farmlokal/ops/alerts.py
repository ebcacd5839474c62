"""What is wrong, told from two looks at the numbers: a pure function.

An alert names a cause. What follows from one is not told again: a database that is slow makes slow
listings, and whoever reads both looks in two places. The names and meanings are those of
`deploy/prometheus/alerts.yml`, but for the window: here some seconds, for somebody who watches.
"""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from farmlokal.ops.change import Change

WINDOW_S: Final = 15.0
"""How far the two looks are apart: longer than the pauses between calls that fail (12 s), so that an alert
stays while its cause does."""

SLOW_S = 0.25
"""A read or a listing that takes longer is slow; a bound of the histograms (`metrics.BOUNDS_S`)."""

SLOW_SHARE, LEAST_SLOW = 0.01, 3
"""One in a hundred, as in the rules of Prometheus; and more than two, since a window of seconds is short."""

ERROR_SHARE = 0.01
REFUSED_SHARE, LEAST_REFUSED = 0.1, 3
LATE_SHARE, LEAST_S = 0.1, 5.0
"""Share of its time by which the event loop of a worker is late; at rest it is below 0.005. A shorter time,
as after the page was opened, counts as so many seconds: one pause of a tenth is no blocked loop."""

TOKEN_LEFT_S = 30.0
"""Life of the upstream token with which it is of no use to callers (docs/api.md)."""

LETTERS = frozenset(("dead", "mismatched", "malformed"))
"""Outcomes of deliveries that wait for a person."""

TEXTS: Final = {
    "FarmLokalAway": "No word from the server: what is shown here is old.",
    "FarmLokalErrors": "Over one answer in a hundred is a 5xx.",
    "FarmLokalDatabaseFails": "The database fails: reads or transactions end in errors.",
    "FarmLokalDatabaseSlow": "The database is slow: reads take over a quarter of a second.",
    "FarmLokalListingSlow": "Listings take over a quarter of a second.",
    "FarmLokalRedisAway": "Redis is away: answers are right, caches and limits each worker's own.",
    "FarmLokalLimitHit": "The rate limit is hit: over a tenth of all requests is refused.",
    "FarmLokalUpstreamTokenEnds": "The provider gives no token for the supplier, and the last one ends.",
    "FarmLokalSupplierDown": "A supplier is down: callers get old answers or none.",
    "FarmLokalDeadLetters": "An order event could not be applied, and waits for a person.",
    "FarmLokalLoopBlocked": "Something holds the event loop: everybody waits for it.",
}
"""By the names that the rules of Prometheus have. The first is for the page to tell, which alone can."""

_REQUESTS = "farmlokal_http_requests_total"
_DATABASE = "farmlokal_database_duration_seconds"
_WEBHOOKS = "farmlokal_webhook_deliveries_total"
_CIRCUIT = "farmlokal_supplier_circuit_open"
_ANSWERS = "farmlokal_supplier_answers_total"


class Alert(Struct, frozen=True):
    """What is wrong: its name, its text, and whom it concerns where there are several."""

    name: str
    text: str
    subject: str = ""


def alerts(of: Change) -> list[Alert]:
    """All that is wrong, each by its cause."""
    found = [*_of_stores(of), *_of_the_outside(of), *_of_callers(of)]
    known = {alert.name for alert in found}
    if "FarmLokalDatabaseFails" not in known and _errors(of):
        found.append(_alert("FarmLokalErrors"))
    late_s = of.grown("farmlokal_event_loop_delay_seconds", suffix="_sum")
    if late_s > LATE_SHARE * max(of.seconds, LEAST_S) * (of.now("farmlokal_workers") or 1):
        found.append(_alert("FarmLokalLoopBlocked"))
    elif known.isdisjoint(("FarmLokalDatabaseFails", "FarmLokalDatabaseSlow")) and _slow(
        of, "farmlokal_http_request_duration_seconds", "route", "/api/products"
    ):
        found.append(_alert("FarmLokalListingSlow"))
    return found


def _of_stores(of: Change) -> Iterator[Alert]:
    failed = of.grown(_DATABASE, lambda labels: labels["outcome"] == "failed", "_count")
    if failed > 0.1 * of.seconds:
        yield _alert("FarmLokalDatabaseFails")
    elif _slow(of, _DATABASE, "kind", "read"):
        yield _alert("FarmLokalDatabaseSlow")
    if of.now("farmlokal_redis_up") == 0:
        yield _alert("FarmLokalRedisAway")


def _of_the_outside(of: Change) -> Iterator[Alert]:
    events = of.grown_by("farmlokal_upstream_token_events_total", "event")
    left_s = of.now("farmlokal_upstream_token_life_seconds")
    ends = left_s is not None and left_s < TOKEN_LEFT_S and events.keys() & {"failed", "held"}
    if ends:
        yield _alert("FarmLokalUpstreamTokenEnds")
    unheard = _unheard(of)
    for sample in of.samples(_CIRCUIT):
        name = dict(sample.labels)["supplier"]
        if sample.value > 0 or (name in unheard and not ends):
            yield _alert("FarmLokalSupplierDown", name)


def _of_callers(of: Change) -> Iterator[Alert]:
    decided = of.grown_by("farmlokal_rate_limit_decisions_total", "decision")
    refused = decided.get("refused", 0)
    if refused >= LEAST_REFUSED and refused > REFUSED_SHARE * sum(decided.values()):
        yield _alert("FarmLokalLimitHit")
    if of.grown(_WEBHOOKS, lambda labels: labels["outcome"] in LETTERS):
        yield _alert("FarmLokalDeadLetters")


def _errors(of: Change) -> bool:
    """Whether too many answers are errors that nothing else explains: those of an event that fails are its
    own, until it is a dead letter, and those of a supplier's products the supplier's."""

    def wrong(labels: dict[str, str]) -> bool:
        return labels["status"].startswith("5")

    def elsewhere(labels: dict[str, str]) -> bool:
        explained = labels["route"].startswith("/webhook/") or labels["route"] == "/external/products"
        return wrong(labels) and not explained

    events = of.grown(_REQUESTS, lambda labels: wrong(labels) and labels["route"].startswith("/webhook/"))
    failed = of.grown(_WEBHOOKS, lambda labels: labels["outcome"] in ("failed", "dead"))
    external = of.grown(_REQUESTS, lambda labels: wrong(labels) and labels["route"] == "/external/products")
    refused = of.grown(_ANSWERS, lambda labels: labels["outcome"] in ("unavailable", "refused"))
    unexplained = of.grown(_REQUESTS, elsewhere) + max(0, events - failed) + max(0, external - refused)
    return unexplained > ERROR_SHARE * of.grown(_REQUESTS)


def _unheard(of: Change) -> set[str]:
    """The suppliers whose callers got something old, or nothing."""
    return {
        name
        for name in {dict(sample.labels)["supplier"] for sample in of.samples(_ANSWERS)}
        if of.grown(
            _ANSWERS,
            lambda labels, name=name: (  # type: ignore[misc]
                labels["supplier"] == name and labels["outcome"] in ("stale", "unavailable")
            ),
        )
    }


def _slow(of: Change, family: str, label: str, value: str) -> bool:
    slow, counted = of.beyond(family, SLOW_S, lambda labels: labels[label] == value)
    return slow >= LEAST_SLOW and slow > SLOW_SHARE * counted


def _alert(name: str, subject: str = "") -> Alert:
    return Alert(name, TEXTS[name], subject)
