"""An event as it is sent: the document becomes one frozen `OrderEvent`, or is refused naming every fault.

Members that are not ours are part of the content and otherwise ignored: senders add to their events, and a
refusal would be sent again for days. A member that is null is not there.
"""

import re
from decimal import Decimal
from typing import Any

from farmlokal.catalog.models import QUANTITY_CEILING_MILLI, UNITS
from farmlokal.errors import Fault, Invalid
from farmlokal.orders.models import ITEMS, KEY_BYTES, SEQUENCE_CEILING, STATUS_LETTERS, Item, OrderEvent
from farmlokal.orders.strict_json import Document, NotJson
from farmlokal.orders.translation import Translate
from farmlokal.platform.web.parameters import ID_CEILING, INSTANT, NotAccepted

STANDARD = "standard"
"""The source of events that come in our own form, signed as Standard Webhooks has it."""

_QUANTITY = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,3})?")


class Reader:
    """Takes members out of an object and keeps the faults."""

    def __init__(self, members: dict[str, Any], where: str = "") -> None:
        self._members = members
        self._where = where
        self.faults: list[Fault] = []

    def refuse(self, name: str, code: str, accepted: str) -> None:
        """Note a fault of a member."""
        self.faults.append(Fault(self._where + name, code, accepted))

    def key(self, name: str) -> bytes | None:
        """An id of somebody else's, as its bytes."""
        value = self._members.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not 1 <= len(value.encode()) <= KEY_BYTES:
            code = "out of range" if isinstance(value, str) else "not text"
            self.refuse(name, code, f"text of 1 to {KEY_BYTES} bytes in UTF-8")
            return None
        return value.encode()

    def text(self, name: str, most: int) -> str | None:
        """Text of a bounded length."""
        value = self._members.get(name)
        if value is None or (isinstance(value, str) and 1 <= len(value) <= most):
            return value
        self.refuse(name, "malformed", f"text of 1 to {most} characters")
        return None

    def integer(self, name: str, least: int, most: int) -> int | None:
        """A whole number."""
        value = self._members.get(name)
        if value is None:
            return None
        whole = value if _is_number(value) and value == int(value) else None
        if whole is None or not least <= whole <= most:
            code = "not an integer" if whole is None else "out of range"
            self.refuse(name, code, f"an integer from {least} to {most}")
            return None
        return int(whole)

    def instant_us(self, name: str) -> int | None:
        """An instant of RFC 3339."""
        value = self._members.get(name)
        if value is None:
            return None
        try:
            us: int = INSTANT.parse(value if isinstance(value, str) else "")
        except NotAccepted as refusal:
            self.refuse(name, str(refusal), INSTANT.accepted)
            return None
        return us

    def items(self, name: str) -> tuple[Item, ...] | None:
        """What an order is of."""
        value = self._members.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) > ITEMS:
            self.refuse(name, "malformed", f"a list of at most {ITEMS} items")
            return None
        found = [self._item(f"{name}[{at}]", each) for at, each in enumerate(value)]
        return tuple(item for item in found if item is not None)

    def _item(self, where: str, value: object) -> Item | None:
        if not isinstance(value, dict):
            self.refuse(where, "malformed", "an object with productId, quantity and unit")
            return None
        reader = Reader(value, f"{self._where}{where}.")
        product = reader.integer("productId", 1, ID_CEILING)
        quantity = reader._quantity(value.get("quantity"))
        unit = reader.text("unit", 20)
        if value.get("productId") is None:
            reader.refuse("productId", "missing", "the id of a product")
        if unit is not None and unit not in UNITS:
            reader.refuse("unit", "unknown", "one of " + ", ".join(UNITS))
        elif unit is not None and quantity is not None and quantity[1] * UNITS[unit].base_milli % 1000:
            reader.refuse("quantity", "too fine", f"whole thousandths of a {UNITS[unit].base}")
        self.faults += reader.faults
        if reader.faults:
            return None
        assert product is not None
        assert quantity is not None
        return Item(product, *quantity, unit)

    def _quantity(self, value: object) -> tuple[str, int] | None:
        """A quantity as it is written, and in thousandths."""
        text = format(Decimal(value), "f") if _is_number(value) else value  # type: ignore[arg-type]
        if isinstance(text, str) and _QUANTITY.fullmatch(text):
            milli = int(Decimal(text).scaleb(3))
            if milli <= QUANTITY_CEILING_MILLI:
                return text, milli
        self.refuse("quantity", "not a decimal", "a decimal of 0 or more with at most 3 places")
        return None


def read_document(body: bytes) -> tuple[dict[str, Any], bytes]:
    """A body as an object, and the digest of its content. Raises `Invalid`."""
    try:
        document = Document(body)
    except NotJson as refusal:
        raise Invalid("The body cannot be read.", Fault("body", "malformed", f"JSON; {refusal}")) from None
    if not isinstance(document.value, dict):
        raise Invalid("The body is no event.", Fault("body", "malformed", "a JSON object"))
    return document.value, document.digest


def read_event(
    source: str, body: bytes, event_id: bytes | None = None, translate: Translate | None = None
) -> OrderEvent:
    """An event in our own form, or in one that `translate` makes ours of. Raises `Invalid`.

    `event_id` stands in for one that the body does not have.
    """
    members, digest = read_document(body)
    if translate is not None and members.get("eventId") is None and members.get("orderId") is None:
        members = translate(members)
    reader = Reader(members)
    own = event_id if members.get("eventId") in (None, "") else reader.key("eventId")
    event = OrderEvent(
        source=source,
        event_id=own or b"",
        digest=digest,
        body=body,
        order_key=_order_key(reader, b"" if source == STANDARD else f"{source}:".encode()),
        status=reader.text("status", STATUS_LETTERS),
        sequence=reader.integer("sequence", 0, SEQUENCE_CEILING),
        occurred_at_us=reader.instant_us("occurredAt"),
        items=reader.items("items"),
    )
    if reader.faults:
        raise Invalid.because(reader.faults)
    if not own:
        raise Invalid("Missing eventId", Fault("eventId", "missing", "the id of the event, as text"))
    return event


def _order_key(reader: Reader, prefix: bytes) -> bytes | None:
    """Orders of other sources have their source before their id, so that no two are one by accident."""
    key = reader.key("orderId")
    if key is None:
        return None
    if not prefix and key.partition(b":")[0] in PREFIXED and b":" in key:
        reader.refuse("orderId", "reserved", "an id that does not begin with the name of another source")
    if len(prefix + key) > KEY_BYTES:
        reader.refuse("orderId", "out of range", f"at most {KEY_BYTES - len(prefix)} bytes")
    return prefix + key


PREFIXED = frozenset({b"razorpay", b"shopify", b"github"})


def _is_number(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)
