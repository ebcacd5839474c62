"""Pages as suppliers send them, made up here: a shop that sells what grows, in each format."""

import json
from typing import Any

from farmlokal.catalog.models import SellerDraft, SellerKind
from farmlokal.suppliers.formats import FORMATS
from farmlokal.suppliers.models import Supplier, SupplierOffer, SupplierPage

HOUSE = SellerDraft(
    external_key="supplier:acme",
    kind=SellerKind.COLLECTIVE,
    name="Acme Growers",
    district="Thrissur",
    state="Kerala",
)
ACME = Supplier("acme", HOUSE)

DUMMY: dict[str, Any] = {
    "id": 16,
    "title": "Pineapple",
    "description": "Fresh and sweet.",
    "category": "groceries",
    "price": 41.5,
    "discountPercentage": 12.62,
    "rating": 4.19,
    "stock": 8,
    "tags": ["fruits"],
    "sku": "GRO-PIN-016",
    "weight": 9,
    "dimensions": {"width": 13.66, "height": 11.01, "depth": 9.73},
    "availabilityStatus": "In Stock",
    "reviews": [
        {"rating": 5, "comment": "Very good!", "reviewerName": "A. B.", "reviewerEmail": "a@b.example"}
    ],
    "minimumOrderQuantity": 7,
    "images": ["https://cdn.example/pineapple/1.webp"],
    "thumbnail": "https://cdn.example/pineapple/thumbnail.webp",
}

RECORD: dict[str, Any] = {
    "state": "Keralam",
    "district": "Kozhikode(Calicut)",
    "market": "Mukkom Market",
    "commodity": "Tomato",
    "variety": "Tomato",
    "grade": "FAQ",
    "arrival_date": "24/07/2026",
    "min_price": "1800",
    "max_price": "2200",
    "modal_price": "2000",
}

SHOP: dict[str, Any] = {
    "id": 632910392,
    "title": "Banana",
    "handle": "banana",
    "body_html": "<p>Ripened <b>on&nbsp;the tree</b> &amp; hand-picked.</p>\n<ul><li>no wax</li></ul>",
    "vendor": "Acme",
    "product_type": "Fruit",
    "published_at": "2026-07-01T00:00:00+05:30",
    "tags": "fresh, local",
    "variants": [
        {"id": 808950810, "title": "Default Title", "price": "199.00", "available": True, "grams": 200},
    ],
    "images": [{"id": 850703190, "position": 1, "src": "https://cdn.example/banana.png?v=1"}],
}

SAMPLES = {"dummyjson": DUMMY, "datagovin": RECORD, "shopify": SHOP}
MEMBER = {"dummyjson": "products", "datagovin": "records", "shopify": "products"}


def page(name: str, *items: Any, **around: Any) -> bytes:
    """A page in that format with these items."""
    return json.dumps({MEMBER[name]: list(items), **around}).encode()


def read(name: str, body: bytes, asked: dict[str, str] | None = None) -> SupplierPage:
    """A page as that format reads it; by default it answers the first query."""
    return FORMATS[name].read(body, asked or FORMATS[name].first, ACME, None)


def one(name: str, **changes: Any) -> SupplierOffer:
    """The one offer in the sample of that format with some members changed."""
    found = read(name, page(name, SAMPLES[name] | changes))
    assert not found.refused, found.refused
    (offer,) = found.offers
    return offer


def refusal(name: str, **changes: Any) -> str:
    """The code with which the sample of that format is refused, with some members changed."""
    found = read(name, page(name, SAMPLES[name] | changes))
    assert not found.offers
    (refused,) = found.refused
    return refused.code


def variant(**changes: Any) -> dict[str, Any]:
    """The members of a Shopify product whose one variant is changed."""
    return {"variants": [SHOP["variants"][0] | changes]}
