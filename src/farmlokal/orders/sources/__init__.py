"""Senders that have a scheme and a form of their own: one file each, by the name that the settings use.

All of them sign the body and nothing else. So what an event says is read from its body alone; of the
headers only the id of the delivery counts, and only where the body has none: whoever could change it could
as well send the signed body again, and an order is what its greatest event says, by the time in the body.

A body with `eventId` or `orderId` is in our own form, whoever signs it.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from farmlokal.orders.signature import Scheme
from farmlokal.orders.sources import github, razorpay, shopify
from farmlokal.orders.translation import Translate


class Sender(NamedTuple):
    """How a sender signs, which headers may name the delivery (the first that is there does), and what its
    own form means in ours."""

    scheme: Callable[[Sequence[bytes]], Scheme]
    id_headers: tuple[bytes, ...]
    translate: Translate


SENDERS: Mapping[str, Sender] = MappingProxyType(
    {
        "razorpay": Sender(razorpay.scheme, razorpay.ID_HEADERS, razorpay.translate),
        "shopify": Sender(shopify.scheme, shopify.ID_HEADERS, shopify.translate),
        "github": Sender(github.scheme, github.ID_HEADERS, github.translate),
    }
)
