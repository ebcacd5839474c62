"""Steps that cannot have been, told from the events alone."""

from itertools import permutations

from farmlokal.orders.history import steps
from farmlokal.orders.models import Place, Status
from tests.support.orders import event

CREATED, PACKED, DELIVERED = Status.CREATED, Status.PACKED, Status.DELIVERED
CANCELLED, RETURNED, COMPLETED = Status.CANCELLED, Status.RETURNED, Status.COMPLETED


def test_what_cannot_follow_is_told_with_what_it_followed() -> None:
    """Each step is compared with the one before it that has a status of ours, and what was said last counts,
    possible or not."""
    journey = [CREATED, None, PACKED, CANCELLED, DELIVERED, COMPLETED, CANCELLED, CREATED, RETURNED]
    none = None
    told = [none, none, none, none, CANCELLED, none, COMPLETED, CANCELLED, CREATED]
    assert list(steps(journey)) == told
    assert list(steps([])) == []
    assert list(steps([PACKED, PACKED, DELIVERED, RETURNED])) == [none] * 4


def test_the_order_of_arrival_makes_no_step_impossible() -> None:
    """All 120 orders of arrival of five events have the same impossible steps: those of the order of
    events."""
    events = [
        event("c", "o", sequence=1, status="created"),
        event("a", "o", sequence=2, status="cancelled"),
        event("e", "o", sequence=3, status="invented"),
        event("b", "o", sequence=3, occurredAt="2026-07-24T00:00:00Z", status="delivered"),
        event("d", "o", sequence=4, status="completed"),
    ]
    for arrival in permutations(events):
        ordered = sorted(arrival, key=lambda each: each.place)
        names = [Place.of(each.place).event_id for each in ordered]
        found = dict(zip(names, steps(each.known_status for each in ordered), strict=True))
        assert found == {b"a": None, b"b": CANCELLED, b"c": None, b"d": None, b"e": None}
