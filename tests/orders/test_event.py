"""Events as they are sent: what is read of them, and what is refused and how."""

from typing import Any

import msgspec
import pytest

from farmlokal.errors import Invalid
from farmlokal.orders.event import STANDARD, read_event
from farmlokal.orders.models import ITEMS, Item, OrderEvent, Place, Status


def read(**members: Any) -> OrderEvent:
    """The event with these members, and an id where none is given."""
    return read_event(STANDARD, msgspec.json.encode({"eventId": "e", **members}))


def refused(**members: Any) -> set[str]:
    """The members that are named as faulty."""
    with pytest.raises(Invalid) as caught:
        read(**members)
    return {fault.parameter for fault in caught.value.faults}


def test_a_whole_event() -> None:
    """Every member of an event is read as what it means."""
    event = read(
        eventId="evt-1",
        orderId="ord-1",
        status="packed",
        sequence=3,
        occurredAt="2026-11-20T09:40:00.000001+05:30",
        items=[
            {"productId": 412, "quantity": "2.5", "unit": "kg"},
            {"productId": 7, "quantity": 3, "unit": "dozen"},
            {"productId": 8, "quantity": 0.25},
        ],
    )
    assert (event.key, event.order_key) == ((STANDARD, b"evt-1"), b"ord-1")
    assert event.known_status is Status.PACKED
    assert Place.of(event.place) == (3, 1_795_147_800_000_001, b"evt-1")
    assert event.items == (
        Item(412, "2.5", 2500, "kg"),
        Item(7, "3", 3000, "dozen"),
        Item(8, "0.25", 250, None),
    )


def test_only_the_id_is_required() -> None:
    """A bare event is one; members that are null are not there; members that are not ours are ignored."""
    for event in (
        read(),
        read(orderId=None, status=None, sequence=None, occurredAt=None, items=None),
        read(type="order.update", data={"deep": [1]}),
    ):
        assert (event.order_key, event.status, event.sequence, event.items) == (None, None, None, None)
    assert read(type="a").digest != read(type="b").digest


@pytest.mark.parametrize("body", [b"{}", b'{"eventId":null}', b'{"eventId":""}'])
def test_an_event_without_an_id(body: bytes) -> None:
    """Without an id an event is refused with the sentence of the first system."""
    with pytest.raises(Invalid, match=r"^Missing eventId$"):
        read_event(STANDARD, body)


@pytest.mark.parametrize("body", [b"[]", b'"e"', b"1", b"null", b"[{}]"])
def test_a_body_that_is_no_object(body: bytes) -> None:
    """Other JSON than an object is no event."""
    with pytest.raises(Invalid, match="no event"):
        read_event(STANDARD, body)


def test_ids_are_bytes() -> None:
    """An id is its bytes in UTF-8, whatever it is made of; from byte 256 on it is refused, never cut."""
    for identity in ("a", "A", "á", "a\u0301", "a ", "a\0", "é" * 127, "x" * 255, "\u202e", "🍅"):
        assert read(eventId=identity, orderId=identity).event_id == identity.encode()
    none: Any
    for none in ("x" * 256, "é" * 128, 5, True, ["e"], {}):
        assert refused(eventId=none, orderId=none) == {"eventId", "orderId"}
    assert refused(orderId="") == {"orderId"}


def test_orders_of_other_sources_have_their_name_before_their_id() -> None:
    """An order of another source cannot be taken for one of ours, nor one of ours for its."""
    event = read_event("shopify", b'{"eventId":"e","orderId":"17"}')
    assert event.order_key == b"shopify:17"
    assert refused(orderId="shopify:17") == {"orderId"}
    assert read(orderId="shop:17").order_key == b"shop:17"
    with pytest.raises(Invalid):
        read_event("shopify", msgspec.json.encode({"eventId": "e", "orderId": "x" * 255}))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sequence", [-1, 2**63, 1.5, "1", True, [], 1e300]),
        ("occurredAt", ["yesterday", "2026-11-20", "2026-13-20T00:00:00Z", 1_790_000_000, ""]),
        ("status", ["", "x" * 41, 5, {}]),
        ("items", ["none", {}, [{"productId": 1, "quantity": "1"}] * (ITEMS + 1)]),
    ],
)
def test_members_that_are_refused(name: str, values: list[Any]) -> None:
    """A member of the wrong type or out of range is named."""
    for value in values:
        assert refused(**{name: value}) == {name}, value


def test_the_largest_values_are_accepted() -> None:
    """The bounds themselves are inside, however a number is spelled."""
    assert read(sequence=2**63 - 1).sequence == 2**63 - 1
    assert read_event(STANDARD, b'{"eventId":"e","sequence":1e1}').sequence == 10
    assert read(status="x" * 40).known_status is None
    assert len(read(items=[{"productId": 1, "quantity": "1"}] * ITEMS).items or ()) == ITEMS


@pytest.mark.parametrize(
    ("item", "faulty"),
    [
        ({"quantity": "1"}, "productId"),
        ({"productId": 0, "quantity": "1"}, "productId"),
        ({"productId": "1", "quantity": "1"}, "productId"),
        ({"productId": 1}, "quantity"),
        ({"productId": 1, "quantity": "-1"}, "quantity"),
        ({"productId": 1, "quantity": -1}, "quantity"),
        ({"productId": 1, "quantity": "1.0005"}, "quantity"),
        ({"productId": 1, "quantity": "1e3"}, "quantity"),
        ({"productId": 1, "quantity": "１"}, "quantity"),
        ({"productId": 1, "quantity": True}, "quantity"),
        ({"productId": 1, "quantity": "9" * 13}, "quantity"),
        ({"productId": 1, "quantity": "0.5", "unit": "g"}, "quantity"),
        ({"productId": 1, "quantity": "1", "unit": "stone"}, "unit"),
        ({"productId": 1, "quantity": "1", "unit": ""}, "unit"),
        ({"productId": 1, "quantity": "1", "unit": 5}, "unit"),
    ],
)
def test_items_that_are_refused(item: dict[str, Any], faulty: str) -> None:
    """A fault of an item is named with its place; what is finer than stock is counted is one."""
    good = {"productId": 1, "quantity": "1", "unit": "kg"}
    assert refused(items=[good, item]) == {f"items[1].{faulty}"}
    assert refused(items=[item, "x"]) == {f"items[0].{faulty}", "items[1]"}


def test_every_fault_is_named_at_once() -> None:
    """Who mends an event mends it once."""
    found = refused(eventId=1, sequence=-1, occurredAt="x", items=[{}])
    assert found == {"eventId", "sequence", "occurredAt", "items[0].productId", "items[0].quantity"}
