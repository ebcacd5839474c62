"""Our own product format: the members that the CSV and the NDJSON form share, and what each may hold.

Quirks: a seller without a key is known by name, district and state, so that two rows of one farm meet; the
price is for a pack, and a product without a pack has no unit price; `stock` counts what unit prices are per
(kg, litre, piece), not packs. Prices are in rupees.
"""

import re
from collections.abc import Mapping
from hashlib import blake2b
from urllib.parse import urlsplit

from farmlokal.catalog import reference
from farmlokal.catalog.importing.values import (
    KEY_BYTES,
    SELLER_CHARS,
    RowError,
    day,
    label,
    optional_label,
    optional_text,
    place_e6,
    postcode,
    quantity,
    rupees,
    shown,
    text,
)
from farmlokal.catalog.models import NAME_BYTES, UNITS, ProductDraft, SellerDraft, SellerKind
from farmlokal.catalog.text import fold

SOURCE = "file"

REQUIRED = ("externalKey", "name", "category", "price", "sellerName", "district", "state")
OPTIONAL = (
    "nameHi",
    "nameMl",
    "description",
    "commodity",
    "variety",
    "grade",
    "packValue",
    "packUnit",
    "currency",
    "stock",
    "organic",
    "certification",
    "harvestedOn",
    "bestBefore",
    "imageUrl",
    "sellerKey",
    "sellerKind",
    "postcode",
    "latitude",
    "longitude",
)
MEMBERS = frozenset(REQUIRED + OPTIONAL)

DESCRIPTION_CHARS = 2000
"""Longest description, a printed page: a bound of ours."""

IMAGE_URL_CHARS = 1000
"""Longest image URL: a bound of ours; browsers and proxies take twice that."""

_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)  # RFC 3986: printable ASCII, no spaces

Members = Mapping[str, object]


def product_draft(members: Members) -> ProductDraft:
    """The product that the members describe; None and blank are absent. Raises `values.RowError`."""
    get = members.get
    currency = optional_text("currency", get("currency"), KEY_BYTES)
    if currency not in (None, "INR"):
        raise RowError("currency", f"currency is {shown(currency)}; accepted: INR")
    pack_milli, pack_unit = _pack(members)
    harvested_on, best_before = _dates(members)
    return ProductDraft(
        external_key=text("externalKey", get("externalKey"), KEY_BYTES),
        seller=_seller(members),
        name=text("name", get("name"), NAME_BYTES),
        category=label("category", get("category")),
        price_minor=rupees("price", get("price")),
        source=SOURCE,
        name_hi=optional_text("nameHi", get("nameHi"), NAME_BYTES),
        name_ml=optional_text("nameMl", get("nameMl"), NAME_BYTES),
        description=optional_text("description", get("description"), DESCRIPTION_CHARS, "characters"),
        commodity=optional_label("commodity", get("commodity")),
        variety=optional_label("variety", get("variety")),
        grade=optional_label("grade", get("grade")),
        pack_milli=pack_milli,
        pack_unit=pack_unit,
        stock_milli=None if _blank(get("stock")) else quantity("stock", get("stock")),
        organic=_organic(get("organic")),
        certification=optional_label("certification", get("certification")),
        harvested_on=harvested_on,
        best_before=best_before,
        image_url=image_url(get("imageUrl")),
    )


def seller_key(name: str, district: str, state: str) -> str:
    """The key of a seller that the file gives none: the same however the names are spaced or cased."""
    identity = "\x1f".join(fold(part) for part in (name, district, state))
    return "seller:" + blake2b(identity.encode(), digest_size=16).hexdigest()


def _seller(members: Members) -> SellerDraft:
    get = members.get
    name = label("sellerName", get("sellerName"), SELLER_CHARS)
    district = label("district", get("district"))
    state = reference.canonical_state(label("state", get("state")))
    latitude, longitude = get("latitude"), get("longitude")
    latitude_e6, longitude_e6 = place_e6(latitude, longitude, ("latitude", "longitude"))
    return SellerDraft(
        external_key=optional_text("sellerKey", get("sellerKey"), KEY_BYTES)
        or seller_key(name, district, state),
        kind=_seller_kind(get("sellerKind")),
        name=name,
        district=district,
        state=state,
        postcode=None if _blank(get("postcode")) else postcode("postcode", get("postcode")),
        latitude_e6=latitude_e6,
        longitude_e6=longitude_e6,
    )


def _seller_kind(value: object) -> SellerKind:
    kind = optional_text("sellerKind", value, KEY_BYTES)
    if kind is None:
        return SellerKind.FARM
    try:
        return SellerKind(kind)
    except ValueError:
        kinds = ", ".join(SellerKind)
        raise RowError("not_one_of", f"sellerKind is {shown(kind)}; accepted: {kinds}") from None


def _pack(members: Members) -> tuple[int | None, str | None]:
    value = members.get("packValue")
    unit = optional_text("packUnit", members.get("packUnit"), KEY_BYTES)
    if unit is None and _blank(value):
        return None, None
    if unit is None or _blank(value):
        lacking = "packUnit" if unit is None else "packValue"
        raise RowError("missing", f"{lacking} is missing; accepted: packValue and packUnit, both or neither")
    if unit not in UNITS:
        raise RowError("not_one_of", f"packUnit is {shown(unit)}; accepted: {', '.join(UNITS)}")
    return quantity("packValue", value, least=1), unit


def _dates(members: Members) -> tuple[str | None, str | None]:
    harvested, best = members.get("harvestedOn"), members.get("bestBefore")
    harvested_on = None if _blank(harvested) else day("harvestedOn", harvested)
    best_before = None if _blank(best) else day("bestBefore", best)
    if harvested_on and best_before and best_before < harvested_on:
        reason = f"bestBefore is {best_before}; accepted: a date from harvestedOn ({harvested_on}) on"
        raise RowError("out_of_range", reason)
    return harvested_on, best_before


def _organic(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if _blank(value):
        return False
    raise RowError("not_true_or_false", f"organic is {shown(value)}; accepted: true or false")


def image_url(value: object) -> str | None:
    """The address of a picture, or None for a blank one; raises `values.RowError`."""
    url = optional_text("imageUrl", value, IMAGE_URL_CHARS)
    if url is None:
        return None
    try:
        known = _URL.fullmatch(url) is not None and bool(urlsplit(url).hostname)
    except ValueError:  # an unclosed bracket of an IPv6 address
        known = False
    if not known:
        raise RowError("bad_url", f"imageUrl is {shown(url)}; accepted: an http or https URL in ASCII")
    return url


def _blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
