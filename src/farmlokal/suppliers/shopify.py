"""Shopify's products.json, as a shop shows it to anyone and as its Admin API gives it.

Quirks: what is sold is a variant, and a product with one variant calls it ``Default Title``. Prices are
text in the shop's currency, which is not named: taken as rupees. `grams` is the shipping weight and not the
content, so everything is sold by the piece. A shop shows `available` and no quantity; the Admin API shows
`inventory_quantity`, which is below zero for what was oversold, means nothing unless `inventory_management`
is set, and is no limit where `inventory_policy` is ``continue``. A product without `published_at` is a
draft and offers nothing. `body_html` is HTML. Pages have numbers and no total; only an empty one is surely
the last.
"""

from collections.abc import Iterator, Mapping
from datetime import date

from farmlokal.catalog.importing.values import Number, RowError, optional_text, quantity, shown, text
from farmlokal.catalog.models import NAME_BYTES
from farmlokal.suppliers.document import Members, read_items, read_offers
from farmlokal.suppliers.goods import external_key, item_id, piece_offer
from farmlokal.suppliers.models import Supplier, SupplierOffer, SupplierPage
from farmlokal.suppliers.paging import by_number

FIRST = {"limit": "250", "page": "1"}
_ONLY_VARIANT = "Default Title"


def read_page(
    body: bytes, asked: Mapping[str, str], supplier: Supplier, _latest: date | None
) -> SupplierPage:
    """The page that answers the query `asked`; raises `UnreadablePage`."""
    items, _ = read_items(body, "products")
    offers, refused = read_offers(
        items, lambda item: _offers(item, supplier), lambda item: _keys(item, supplier)
    )
    return SupplierPage(offers, refused, by_number(asked, "page", len(items)), None)


def _offers(product: Members, supplier: Supplier) -> Iterator[SupplierOffer | RowError]:
    """An offer or a refusal for each variant."""
    if "published_at" in product and product["published_at"] is None:
        return
    title = text("title", product.get("title"), NAME_BYTES)
    variants = product.get("variants")
    if not isinstance(variants, list) or not variants:
        raise RowError("missing", "variants is missing; accepted: a list of at least one")
    for variant in variants:
        try:
            yield _offer(product, title, variant, supplier)
        except RowError as error:
            yield error


def _offer(product: Members, title: str, variant: object, supplier: Supplier) -> SupplierOffer:
    if not isinstance(variant, dict):
        raise RowError("not_object", f"a variant is {shown(variant)}; accepted: a JSON object")
    kind = optional_text("variant title", variant.get("title"), NAME_BYTES)
    images = product.get("images")
    image = images[0] if isinstance(images, list) and images else None
    return piece_offer(
        supplier,
        key=item_id("variant id", variant.get("id")),
        title=title,
        name=title if kind in (None, _ONLY_VARIANT, title) else f"{title} – {kind}",
        price=variant.get("price"),
        stock_milli=_stock_milli(variant),
        category=product.get("product_type"),
        description=product.get("body_html"),
        image=image.get("src") if isinstance(image, dict) else None,
    )


def _stock_milli(variant: Members) -> int | None:
    left = variant.get("inventory_quantity")
    if variant.get("available") is False:
        return 0
    if left is None or ("inventory_management" in variant and variant["inventory_management"] is None):
        return None
    oversold = isinstance(left, Number) and left.startswith("-")
    stock_milli = quantity("inventory_quantity", left[1:] if isinstance(left, Number) and oversold else left)
    if (oversold or not stock_milli) and variant.get("inventory_policy") == "continue":
        return None
    return 0 if oversold else stock_milli


def _keys(product: Members, supplier: Supplier) -> Iterator[str]:
    variants = product.get("variants")
    for variant in variants if isinstance(variants, list) else []:
        if isinstance(variant, dict):
            yield external_key(supplier, item_id("variant id", variant.get("id")))
