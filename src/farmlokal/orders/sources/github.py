"""GitHub's scheme, which many systems sign by.
https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries

Signature: `sha256=` and the HMAC-SHA256 of the body, hexadecimal, in `X-Hub-Signature-256`. Published
vector: secret `It's a Secret to Everybody`, body `Hello, World!`, signature `sha256=757107ea…8b043e17`.
The older `X-Hub-Signature` (SHA-1) is not looked at.

Id: `X-GitHub-Delivery`, which is the same when a delivery is sent again.

GitHub knows no orders: whoever signs like it sends events in our own form. What GitHub itself sends, its
`ping` for one, is recorded and changes nothing.
"""

from collections.abc import Sequence

from farmlokal.orders.signature import BodyHmac
from farmlokal.orders.translation import Members

ID_HEADERS = (b"x-github-delivery",)


def scheme(secrets: Sequence[bytes]) -> BodyHmac:
    """Each of the secrets vouches."""
    return BodyHmac(secrets, b"x-hub-signature-256", prefix=b"sha256=")


def translate(_members: Members) -> Members:
    """A notice: nothing in it is about an order."""
    return {}
