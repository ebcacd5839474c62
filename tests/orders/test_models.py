"""The order of events, and the way of an order."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.orders.models import Place, Status, is_possible

_PLACES = st.builds(
    Place,
    st.none() | st.integers(0, 2**63 - 1) | st.integers(0, 2),
    st.none() | st.integers(-(10**17), 10**18) | st.integers(-1, 1),
    st.binary(min_size=1, max_size=4),
)


@given(_PLACES, _PLACES)
def test_the_key_of_a_place_sorts_as_events_do(one: Place, other: Place) -> None:
    """Events are ordered by sequence, then time, then the bytes of their id; what is missing sorts first."""

    def compared(place: Place) -> tuple[tuple[bool, int], tuple[bool, int], bytes]:
        sequence, occurred, identity = place
        return (sequence is not None, sequence or 0), (occurred is not None, occurred or 0), identity

    assert (one.key() < other.key()) == (compared(one) < compared(other))
    assert Place.of(one.key()) == one


WAY = [
    Status.CREATED,
    Status.ACCEPTED,
    Status.PACKED,
    Status.PICKED_UP,
    Status.OUT_FOR_DELIVERY,
    Status.DELIVERED,
    Status.COMPLETED,
]


def test_steps_that_are_possible() -> None:
    """An order goes forward, may leave steps out and stay where it is; it is cancelled before delivery and
    returned after it, and nothing follows either."""
    possible = {(before, after) for before, after in product(Status, Status) if is_possible(before, after)}
    expected = {(before, after) for at, before in enumerate(WAY) for after in WAY[at:]}
    expected |= {(before, Status.CANCELLED) for before in WAY[:5]}
    expected |= {(before, Status.RETURNED) for before in WAY[5:]}
    expected |= {(Status.CANCELLED, Status.CANCELLED), (Status.RETURNED, Status.RETURNED)}
    assert possible == expected


@pytest.mark.parametrize("before", [Status.CANCELLED, Status.RETURNED])
def test_nothing_is_delivered_after_the_end(before: Status) -> None:
    """What is delivered after it was cancelled or returned is impossible."""
    assert not is_possible(before, Status.DELIVERED)
