"""What callers see: the JSON of products, sellers, prices and pages, as structs that become bytes directly.

Money and quantities are decimal strings: a float would round them on the way. Members are in camelCase but
for `created_at`, which the first system named so and whose callers read it so.
"""

from functools import lru_cache
from typing import Any

from msgspec import UNSET, Struct, UnsetType, field, structs

from farmlokal.catalog.models import UNITS
from farmlokal.catalog.models import quantity as quantity
from farmlokal.platform.clock import instant


class UnitPrice(Struct, frozen=True):
    """Rupees per kg, litre or piece."""

    amount: str
    per: str


class Quantity(Struct, frozen=True):
    """A decimal of at most three places, and its unit."""

    value: str
    unit: str


class Stock(Struct, frozen=True):
    """What is left to sell, in kg, litres or pieces."""

    available: str
    unit: str


class SellerReference(Struct, frozen=True):
    """The seller of a product, as far as a shop page shows it."""

    id: int
    name: str
    district: str
    state: str


class Product(Struct, frozen=True, rename="camel", kw_only=True):
    """A product on a page. `distanceKm` is there when a place was given, `deletedAt` on tombstones."""

    id: int
    name: str
    category: str
    price: str
    created_at: str = field(name="created_at")
    currency: str = "INR"
    pack: Quantity | None
    unit_price: UnitPrice | None
    stock: Stock | None
    organic: bool
    harvested_on: str | None
    best_before: str | None
    image_url: str | None
    seller: SellerReference
    updated_at: str
    version: int
    distance_km: str | UnsetType | None = UNSET
    deleted_at: str | UnsetType = UNSET


class Names(Struct, frozen=True):
    """A product's name in English, Hindi and Malayalam."""

    en: str
    hi: str | None
    ml: str | None


class ProductDetail(Product, frozen=True, rename="camel", kw_only=True):
    """One product with all that is known of it."""

    names: Names
    description: str | None
    commodity: str | None
    variety: str | None
    grade: str | None
    certification: str | None
    price_observed_on: str | None
    source: str


class FacetValue(Struct, frozen=True):
    """How many products have this value."""

    value: str | bool
    count: int


class ProductPage(Struct, frozen=True, rename="camel", kw_only=True):
    """A page of products; `total` and `facets` are there when they were asked for, and null where they would
    take too long to count.

    Where `fields` chooses members, a product is a mapping of those alone: it becomes the same JSON, less
    the others, so the document names no member of a listed product as required (`PARTIAL`).
    """

    data: list[Product]
    next_cursor: str | None
    prev_cursor: str | None
    has_more: bool
    total: int | UnsetType | None = UNSET
    facets: dict[str, list[FacetValue] | None] | UnsetType = UNSET


class Facets(Struct, frozen=True):
    """Counts by facet, null where they would take too long."""

    facets: dict[str, list[FacetValue] | None]


class Price(Struct, frozen=True, rename="camel", kw_only=True):
    """The price of one pack on one day; `low` and `high` where the market reported a range."""

    observed_on: str
    price: str
    low: str | None
    high: str | None


class PricePage(Struct, frozen=True, rename="camel", kw_only=True):
    """A page of a product's price history, newest first."""

    data: list[Price]
    next_cursor: str | None
    prev_cursor: str | None
    has_more: bool


class Location(Struct, frozen=True):
    """Degrees north and east, as decimal strings."""

    latitude: str
    longitude: str


class Seller(Struct, frozen=True, rename="camel", kw_only=True):
    """A farm, a collective or a market."""

    id: int
    kind: str
    name: str
    district: str
    state: str
    postcode: str | None
    location: Location | None
    created_at: str
    updated_at: str
    version: int


class SellerPage(Struct, frozen=True, rename="camel", kw_only=True):
    """A page of sellers, by id."""

    data: list[Seller]
    next_cursor: str | None
    prev_cursor: str | None
    has_more: bool


class Distant(Struct, frozen=True, rename="camel"):
    """A seller and the way to it in kilometres."""

    distance_km: str
    seller: Seller


class Around(Struct, frozen=True):
    """A place and the sellers around it, nearest first."""

    place: Location
    sellers: list[Distant]


class Category(Struct, frozen=True, rename="camel", kw_only=True):
    """A category and how many products it holds now, null where they would take too long to count."""

    id: int
    name: str
    names: Names
    products: int | None


class Categories(Struct, frozen=True):
    """All categories, by name."""

    data: list[Category]


PARTIAL = (Product,)
"""What callers may ask a part of."""

PRODUCT_ATTRIBUTES = {member.encode_name: member.name for member in structs.fields(Product)}
"""The members of a product on a page, as callers name them, and the attribute behind each."""


_remembered = lru_cache(maxsize=4096)
"""For parts that many products have alike, and that are frozen: to find one takes a fifth of the time that it
takes to make it. At most 1 MB each."""


def rupees(minor: int) -> str:
    """Paise as rupees: ``3600`` is ``"36.00"``."""
    return f"{minor // 100}.{minor % 100:02d}"


def degrees(e6: int) -> str:
    """Millionths of a degree as a decimal string."""
    sign, size = ("-", -e6) if e6 < 0 else ("", e6)
    return f"{sign}{size // 1_000_000}.{size % 1_000_000:06d}"


@_remembered
def pack(pack_milli: int | None, pack_unit: str | None) -> Quantity | None:
    """What one price buys; None where the source does not say."""
    return None if pack_milli is None or pack_unit is None else Quantity(quantity(pack_milli), pack_unit)


@_remembered
def unit_price(minor: int | None, pack_unit: str | None) -> UnitPrice | None:
    """The stored unit price."""
    return None if minor is None or pack_unit is None else UnitPrice(rupees(minor), UNITS[pack_unit].base)


@_remembered
def stock(milli: int | None, pack_unit: str | None) -> Stock | None:
    """What is left, in the base unit of the pack; pieces where the pack is unknown."""
    return None if milli is None else Stock(quantity(milli), UNITS[pack_unit].base if pack_unit else "piece")


seller_reference = _remembered(SellerReference)


def seller(row: tuple[Any, ...]) -> Seller:
    """From (id, kind, name, district, state, postcode, latitude, longitude, created, updated, version)."""
    identity, kind, name, district, state, postcode, latitude, longitude, created, updated, version = row
    return Seller(
        id=identity,
        kind=kind,
        name=name,
        district=district,
        state=state,
        postcode=postcode,
        location=None if latitude is None else Location(degrees(latitude), degrees(longitude)),
        created_at=instant(created),
        updated_at=instant(updated),
        version=version,
    )
