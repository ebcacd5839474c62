"""dummyjson.com/products, the format that the original system was built against.

Quirks: a page is asked for with `limit` and `skip`, and `limit=0` means all. No currency is named and
prices look like dollars: they are taken as rupees, since the catalogue knows nothing else.
`discountPercentage` is not applied: the documentation does not say whether `price` has it in already.
`weight` has no unit and is not used; everything is sold by the piece. `availabilityStatus` contradicts
`stock` at times, and ``Out of Stock`` wins. `thumbnail` may be missing where `images` has something.
Reviews carry names and mail addresses of people, and are not looked at.
"""

from collections.abc import Iterator, Mapping
from datetime import date

from farmlokal.catalog.importing.values import quantity, text
from farmlokal.catalog.models import NAME_BYTES
from farmlokal.suppliers.document import Members, read_items, read_offers, whole_number
from farmlokal.suppliers.goods import external_key, item_id, piece_offer
from farmlokal.suppliers.models import Supplier, SupplierOffer, SupplierPage
from farmlokal.suppliers.paging import by_offset

FIRST = {"limit": "100", "skip": "0"}
_SOLD_OUT = "Out of Stock"


def read_page(
    body: bytes, asked: Mapping[str, str], supplier: Supplier, _latest: date | None
) -> SupplierPage:
    """The page that answers the query `asked`; raises `UnreadablePage`."""
    items, around = read_items(body, "products")
    offers, refused = read_offers(
        items, lambda item: _offer(item, supplier), lambda item: _keys(item, supplier)
    )
    total = whole_number(around.get("total"))
    return SupplierPage(offers, refused, by_offset(asked, "skip", len(items), total), total)


def _offer(item: Members, supplier: Supplier) -> Iterator[SupplierOffer]:
    title = text("title", item.get("title"), NAME_BYTES)
    stock_milli = quantity("stock", item.get("stock"))
    images = item.get("images")
    yield piece_offer(
        supplier,
        key=item_id("id", item.get("id")),
        title=title,
        name=title,
        price=item.get("price"),
        stock_milli=0 if item.get("availabilityStatus") == _SOLD_OUT else stock_milli,
        category=item.get("category"),
        description=item.get("description"),
        image=item.get("thumbnail") or (images[0] if isinstance(images, list) and images else None),
    )


def _keys(item: Members, supplier: Supplier) -> Iterator[str]:
    yield external_key(supplier, item_id("id", item.get("id")))
