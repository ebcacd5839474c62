"""The history of an order, read: each event in its place, and the steps that cannot have been.

A step is told when the history is shown and stored nowhere (docs/decisions/0018): it depends on which
events there are and on their places, so it is the same on every instance and for any order of arrival, and
an event that comes late mends or makes one.
"""

from collections.abc import Iterable, Iterator

from farmlokal.orders.models import Status, is_possible


def steps(statuses: Iterable[Status | None]) -> Iterator[Status | None]:
    """For each event, in the order of events: the status from which its own cannot follow; None for a step
    that is possible, or none. What was said last counts, possible or not: so it does for the order."""
    before: Status | None = None
    for status in statuses:
        if status is None:
            yield None
            continue
        yield before if before is not None and not is_possible(before, status) else None
        before = status
