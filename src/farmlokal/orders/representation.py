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


class Quantity(Struct, frozen=True, rename="camel"):
    """Some of a product, as the event has it; `unit` null is the product's base unit."""

    product_id: int
    quantity: str
    unit: str | None


class Held(Struct, frozen=True, rename="camel"):
    """What an order wants of a product, what it holds of the stock and what the stock did not have, as
    decimals of the base unit; `held` and `shortfall` are null for a product whose stock nobody counts."""

    product_id: int
    wanted: str
    held: str | None
    shortfall: str | None


class OrderSummary(Struct, frozen=True, rename="camel"):
    """An order as its greatest events have it; `sequence` and `occurredAt` are those of the greatest of
    all."""

    id: str
    status: str | None
    sequence: int | None
    occurred_at: str | None
    created_at: str
    updated_at: str
    version: int


class OrderPage(Struct, frozen=True, rename="camel"):
    """A page of orders."""

    data: list[OrderSummary]
    next_cursor: str | None
    prev_cursor: str | None
    has_more: bool


class Shortfall(Struct, frozen=True, rename="camel"):
    """What the stock of a product did not have, as a decimal of its base unit."""

    product_id: int
    quantity: str


class HistoryEvent(Struct, frozen=True, rename="camel"):
    """An event of an order. `outcome` is `processed` or `stale`; `impossibleAfter` is the status before it
    from which its own cannot follow, null for any other step."""

    event_id: str
    source: str
    status: str | None
    sequence: int | None
    occurred_at: str | None
    items: list[Quantity] | None
    outcome: str
    shortfall: list[Shortfall]
    impossible_after: str | None
    received_at: str


class OrderDetail(OrderSummary, frozen=True, rename="camel", kw_only=True):
    """An order with what it holds and its history, in the order of events; of a long history the end."""

    items: list[Quantity]
    holdings: list[Held]
    history: list[HistoryEvent]
    history_complete: bool


class DeadLetter(Struct, frozen=True, rename="camel"):
    """A delivery that could not be applied. `kind`: `dead` after five attempts, `failing` before,
    `mismatched` when its id has other content, `malformed` when it cannot be read. `settled`: its event is
    recorded after all. `body` is its beginning, of `bodyBytes`."""

    id: int
    kind: str
    source: str
    event_id: str | None
    reason: str
    attempts: int
    settled: bool
    first_at: str
    last_at: str
    replayed_at: str | None
    body_bytes: int
    body: str


class DeadLetterPage(Struct, frozen=True, rename="camel"):
    """A page of dead letters."""

    data: list[DeadLetter]
    next_cursor: str | None
    prev_cursor: str | None
    has_more: bool


class Recorded(Struct, frozen=True):
    """What came of the event: `processed`, `duplicate ignored` or `stale ignored`."""

    status: str
