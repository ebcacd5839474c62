"""What senders and callers see, as structs: the description of events, the JSON of orders."""

from msgspec import UNSET, Struct, UnsetType


class EventItem(Struct, frozen=True, rename="camel"):
    """Some of a product: `quantity` is a decimal with at most 3 places, `unit` by default the product's
    base unit."""

    product_id: int
    quantity: str
    unit: str | UnsetType = UNSET


class EventBody(Struct, frozen=True, rename="camel"):
    """An event of an order. It is read by `event.py`; this describes it."""

    event_id: str
    order_id: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    sequence: int | UnsetType = UNSET
    occurred_at: str | UnsetType = UNSET
    items: list[EventItem] | UnsetType = UNSET
