"""What the formats of web shops have in common: goods by the piece, described for shoppers.

The catalogue knows a crop in three languages; a shop's own words are used for everything else.
"""

import re
from html import unescape

from farmlokal.catalog import reference
from farmlokal.catalog.importing.product_members import DESCRIPTION_CHARS, image_url
from farmlokal.catalog.importing.values import KEY_BYTES, LABEL_CHARS, RowError, label, rupees, text
from farmlokal.catalog.models import NAME_BYTES, ProductDraft
from farmlokal.suppliers.models import Supplier, SupplierOffer

SOURCE = "supplier"

_PIECE_MILLI, _PIECE = 1000, "piece"
_PROSE_CHARS = 10 * DESCRIPTION_CHARS
"""How much of a description is looked at, markup included."""

_TAG = re.compile(r"<[^<>]*>")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def piece_offer(
    supplier: Supplier,
    *,
    key: str,
    title: str,
    name: str,
    price: object,
    stock_milli: int | None,
    category: object = None,
    description: object = None,
    image: object = None,
) -> SupplierOffer:
    """Goods sold by the piece. `title` is what they are, `name` what they are called in full; raises
    `RowError`."""
    known = reference.find_commodity(title)
    return SupplierOffer(
        key=key,
        product=ProductDraft(
            external_key=external_key(supplier, key),
            seller=supplier.seller,
            name=text("name", name, NAME_BYTES),
            name_hi=known.name_hi if known else None,
            name_ml=known.name_ml if known else None,
            commodity=known.name_en if known else None,
            category=known.category if known else _shelf(category),
            price_minor=rupees("price", price),
            source=SOURCE,
            description=prose(description),
            pack_milli=_PIECE_MILLI,
            pack_unit=_PIECE,
            stock_milli=stock_milli,
            image_url=_image(image),
        ),
    )


def external_key(supplier: Supplier, key: str) -> str:
    """What the catalogue knows an offer by; raises `RowError`."""
    return text("key", f"{supplier.name}:{key}", KEY_BYTES)


def item_id(field: str, value: object) -> str:
    """The id of an item, which shops give as a number or as text."""
    return text(field, str(value) if isinstance(value, str) else value, KEY_BYTES)


def prose(value: object) -> str | None:
    """A description without markup, cut to what the catalogue holds; None where there is none.

    Never refused: nobody's goods are withheld because they are praised at length.
    """
    if not isinstance(value, str):
        return None
    plain = _CONTROL.sub(" ", unescape(_TAG.sub(" ", value[:_PROSE_CHARS])))
    plain = " ".join(plain.split())
    if len(plain) > DESCRIPTION_CHARS:
        plain = plain[: DESCRIPTION_CHARS - 1].rstrip() + "…"
    return plain or None


def _shelf(category: object) -> str:
    """A shop's own category, as ``Kitchen accessories``; the fallback where it has none that is fit to
    show."""
    try:
        shelf = label("category", category).replace("-", " ")
    except RowError:
        return reference.FALLBACK_CATEGORY
    return shelf[:1].upper() + shelf[1:LABEL_CHARS]


def _image(address: object) -> str | None:
    """The address of a picture, or None: goods without a good picture are still goods."""
    try:
        return image_url(address)
    except RowError:
        return None
