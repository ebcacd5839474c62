"""Shopify: orders of a shop. https://shopify.dev/docs/apps/build/webhooks/verify-deliveries

Signature: HMAC-SHA256 of the body with the app's client secret, base64, in `X-Shopify-Hmac-SHA256`.
Neither the documentation nor an SDK of the vendor's publishes a vector of a body; the tests have one that
OpenSSL made.

Id: `X-Shopify-Webhook-Id`, one a delivery and the same when it is sent again: the one that the
documentation says to look for duplicates by. `X-Shopify-Event-Id` names what the merchant did, and is
shared by the deliveries of several topics with different bodies, which would be refused as other content;
it counts only where the first is missing.

An order is Shopify's, by its number. Its lines name products of the shop and not ours, so they are left
out and these orders hold no stock. Deliveries of other topics are recorded and change nothing.
"""

from collections.abc import Sequence

from farmlokal.orders.models import Status
from farmlokal.orders.signature import BodyHmac
from farmlokal.orders.translation import Members

ID_HEADERS = (b"x-shopify-webhook-id", b"x-shopify-event-id")

_PAID = ("authorized", "paid", "partially_paid", "partially_refunded", "refunded")


def scheme(secrets: Sequence[bytes]) -> BodyHmac:
    """Each of the secrets vouches."""
    return BodyHmac(secrets, b"x-shopify-hmac-sha256", hexadecimal=False)


def translate(members: Members) -> Members:
    """An order as the Admin API shows it, as ours; of anything else which order it is about."""
    if "financial_status" not in members:
        return {"orderId": _number(members.get("order_id"))}
    return {
        "orderId": _number(members.get("id")),
        "status": _status(members),
        "occurredAt": members.get("updated_at"),
    }


def _status(order: Members) -> Status:
    """Shopify says that goods were sent, and seldom that they arrived: so `fulfilled` is on its way."""
    if order.get("cancelled_at"):
        return Status.CANCELLED
    if order.get("fulfillment_status") == "fulfilled":
        return Status.OUT_FOR_DELIVERY
    return Status.ACCEPTED if order.get("financial_status") in _PAID else Status.CREATED


def _number(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
