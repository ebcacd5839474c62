"""The words of orders, without I/O: what an event says, and what an order becomes by it.

An order is a register and not a journey: each of its parts is what the greatest event that speaks of it says,
so that any order of arrival gives one state. What is impossible on the way is told when the way is shown; it
decides nothing.
"""

import struct
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

KEY_BYTES = 255
"""Longest id of an event or an order, in bytes of UTF-8: what the schema holds."""

STATUS_LETTERS = 40
"""Longest status that is kept; the longest known one has 16."""

ITEMS = 500
"""Most items of one event: far above a basket, and a batch of such events still fits a transaction."""

SEQUENCE_CEILING = 2**63 - 1


class Status(StrEnum):
    """Where an order stands, in the order of its way."""

    CREATED = "created"
    ACCEPTED = "accepted"
    PACKED = "packed"
    PICKED_UP = "picked_up"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"
    COMPLETED = "completed"
    CANCELLED = "cancelled"  # before delivery
    RETURNED = "returned"  # after it


RELEASED = frozenset({Status.CANCELLED, Status.RETURNED})
"""An order of this status holds nothing of the stock."""

_WAY = list(Status)[: list(Status).index(Status.CANCELLED)]
_AFTER: Mapping[Status, frozenset[Status]] = {
    **{status: frozenset(_WAY[at:]) for at, status in enumerate(_WAY)},
    Status.CANCELLED: frozenset({Status.CANCELLED}),
    Status.RETURNED: frozenset({Status.RETURNED}),
}
_DELIVERED = _WAY.index(Status.DELIVERED)


def is_possible(before: Status, after: Status) -> bool:
    """Whether an order may come from one status to another. Steps may be left out: a sender need not tell
    each; nothing follows `cancelled` and `returned`."""
    if after is Status.CANCELLED and before in _WAY:
        return _WAY.index(before) < _DELIVERED
    if after is Status.RETURNED and before in _WAY:
        return _WAY.index(before) >= _DELIVERED
    return after in _AFTER[before]


class Place(NamedTuple):
    """Where an event stands among those of its order: the greatest decides. What is missing sorts first."""

    sequence: int | None
    occurred_at_us: int | None
    event_id: bytes

    def key(self) -> bytes:
        """Bytes that compare as places do."""
        sequence = 0 if self.sequence is None else self.sequence + 1
        occurred = 0 if self.occurred_at_us is None else self.occurred_at_us + 2**63
        return struct.pack(">QQ", sequence, occurred) + self.event_id

    @classmethod
    def of(cls, key: bytes) -> "Place":
        """The place that has this key."""
        sequence, occurred = struct.unpack(">QQ", key[:16])
        return cls(sequence - 1 if sequence else None, occurred - 2**63 if occurred else None, key[16:])


class Item(Struct, frozen=True, array_like=True):
    """Some of a product. `quantity` is as it was written; `unit` None is the product's own base unit."""

    product_id: int
    quantity: str
    quantity_milli: int
    unit: str | None


class OrderEvent(Struct, frozen=True, kw_only=True):
    """What a sender tells. `digest` stands for its content, `body` is how it came.

    An event without `order_key` is a mere notice: it is recorded and changes nothing.
    """

    source: str
    event_id: bytes
    digest: bytes
    body: bytes
    order_key: bytes | None = None
    status: str | None = None
    sequence: int | None = None
    occurred_at_us: int | None = None
    items: tuple[Item, ...] | None = None

    @property
    def key(self) -> tuple[str, bytes]:
        """Its identity: each has one effect."""
        return self.source, self.event_id

    @property
    def place(self) -> bytes:
        """The key of its `Place`."""
        return Place(self.sequence, self.occurred_at_us, self.event_id).key()

    @property
    def known_status(self) -> Status | None:
        """The status where it is one of ours. Senders invent more: those are recorded, and change nothing."""
        return Status(self.status) if self.status in list(Status) else None


class Holding(Struct, frozen=True, array_like=True):
    """What an order wants of a product and what it holds of its stock, in thousandths of the base unit.

    `held_milli` None: nobody counts that stock, so nothing was taken and nothing will be given back.
    """

    wanted_milli: int
    held_milli: int | None

    @property
    def shortfall_milli(self) -> int:
        """What it wants and the stock did not have."""
        return 0 if self.held_milli is None else self.wanted_milli - self.held_milli


class Order(Struct, frozen=True, kw_only=True):
    """An order as its events so far have made it. Each `…place` is that of the event which said so."""

    order_key: bytes
    place: bytes = b""
    status: Status | None = None
    status_place: bytes = b""
    items: tuple[Item, ...] = ()
    items_place: bytes = b""
    holdings: Mapping[int, Holding] = {}

    @property
    def asks_for(self) -> tuple[Item, ...]:
        """The items that it is to hold."""
        return () if self.status in RELEASED else self.items
