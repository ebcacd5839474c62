"""Razorpay: payments for orders. https://razorpay.com/docs/webhooks/validate-test/

Signature: HMAC-SHA256 of the body with the webhook's secret, hexadecimal, in `X-Razorpay-Signature`. The
documentation has no example; the vector of the tests is that of the vendor's own SDK (razorpay-node,
test/utils/razorpay-utils.spec.js): secret `123456`, body `{"a":1,"b":2,"c":{"d":3}}`, signature
`2fe04e22…2e3bbc`.

Id: `X-Razorpay-Event-Id`, which is the same when an event is sent again, and which the documentation says to
look for duplicates by; the body has none.

An order here is Razorpay's order. What is paid is accepted; every other event is recorded under its own
name, and changes nothing. Razorpay knows no products, so these orders hold no stock.
"""

from collections.abc import Sequence

from farmlokal.orders.models import STATUS_LETTERS, Status
from farmlokal.orders.signature import BodyHmac
from farmlokal.orders.translation import Members, at, instant

ID_HEADERS = (b"x-razorpay-event-id",)

_STATUS = {
    "payment.authorized": Status.CREATED,
    "payment.captured": Status.ACCEPTED,
    "order.paid": Status.ACCEPTED,
}


def scheme(secrets: Sequence[bytes]) -> BodyHmac:
    """Each of the secrets vouches."""
    return BodyHmac(secrets, b"x-razorpay-signature")


def translate(members: Members) -> Members:
    """`{"event": …, "created_at": …, "payload": {"order": {"entity": …}, "payment": {"entity": …}}}` as
    ours."""
    payload, event = members.get("payload"), members.get("event")
    order = at(payload, "order", "entity", "id") or at(payload, "payment", "entity", "order_id")
    status = _STATUS.get(event, event[:STATUS_LETTERS]) if isinstance(event, str) else event
    return {"orderId": order, "status": status or None, "occurredAt": instant(members.get("created_at"))}
