"""The words of the catalogue, without I/O: what a seller, a product and a price are.

Amounts are integers in the smallest unit (paise, thousandths, millionths of a degree), so that no engine
and no float ever rounds them. A date is its ISO text, an instant is microseconds since 1970 in UTC: both
sort, compare and print alike everywhere.
"""

from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

NAME_BYTES = 300
"""Longest name in UTF-8 bytes (contract: a cursor that carries a name stays under 1 kB)."""

PRICE_CEILING_MINOR = 100_000_000_00
"""Ten crore rupees a pack, in paise: a sanity bound of ours, far inside a signed 64-bit integer."""

QUANTITY_CEILING_MILLI = 1_000_000_000_000
"""A billion units in thousandths: a sanity bound of ours."""


class SellerKind(StrEnum):
    """Who sells: one farm, farmers together, or a market where they meet."""

    FARM = "farm"
    COLLECTIVE = "collective"
    MARKET = "market"


class Unit(NamedTuple):
    """A unit of sale: `base` is what unit prices are quoted per, `base_milli` how many thousandths of it."""

    base: str
    base_milli: int


UNITS = {
    "kg": Unit("kg", 1000),
    "g": Unit("kg", 1),
    "litre": Unit("litre", 1000),
    "ml": Unit("litre", 1),
    "piece": Unit("piece", 1000),
    "dozen": Unit("piece", 12_000),
    "bunch": Unit("piece", 1000),
}
"""Units of a pack. A unit price is per kg, litre or piece; a bunch counts as one piece."""


def unit_price_minor(price_minor: int, pack_milli: int | None, pack_unit: str | None) -> int | None:
    """Price ÷ pack in paise per kg, litre or piece, half-even to the paisa; None when the pack is unknown."""
    if not pack_milli or pack_unit is None:
        return None
    # price / (pack_milli/1000 * base_milli/1000), in integers to the last step.
    divisor = pack_milli * UNITS[pack_unit].base_milli
    quotient, remainder = divmod(price_minor * 1_000_000, divisor)
    twice = 2 * remainder
    if twice > divisor or (twice == divisor and quotient % 2):
        quotient += 1
    return quotient


class SellerDraft(Struct, frozen=True, kw_only=True, gc=False):
    """A seller as a source describes it. `external_key` is the source's own name for it, ≤ 200 bytes."""

    external_key: str
    kind: SellerKind
    name: str
    district: str
    state: str
    postcode: str | None = None
    latitude_e6: int | None = None
    longitude_e6: int | None = None


class ProductDraft(Struct, frozen=True, kw_only=True, gc=False):
    """A product as a source describes it, before it has an id.

    `external_key` is the natural key (≤ 200 bytes, compared by byte). `alias_key` is a second label by which
    a price file of the same source refers to the product. `price_only` marks a source that reports prices
    about listings: it may create a product, and changes nothing but the price of one that exists.
    """

    external_key: str
    seller: SellerDraft
    name: str
    category: str
    price_minor: int
    source: str
    alias_key: str | None = None
    name_hi: str | None = None
    name_ml: str | None = None
    description: str | None = None
    commodity: str | None = None
    variety: str | None = None
    grade: str | None = None
    pack_milli: int | None = None
    pack_unit: str | None = None
    price_low_minor: int | None = None
    price_high_minor: int | None = None
    price_on: str | None = None
    stock_milli: int | None = None
    organic: bool = False
    certification: str | None = None
    harvested_on: str | None = None
    best_before: str | None = None
    image_url: str | None = None
    price_only: bool = False
    created_at_us: int | None = None


class PriceObservation(Struct, frozen=True, kw_only=True, gc=False):
    """The price of a product on one day, by its external or alias key."""

    product_key: str
    observed_on: str
    price_minor: int
    low_minor: int | None = None
    high_minor: int | None = None


class PostcodePlace(Struct, frozen=True, kw_only=True, gc=False):
    """Where a postcode is. One postcode may reach into several districts; `offices` says how much of it."""

    postcode: str
    district: str
    state: str
    latitude_e6: int
    longitude_e6: int
    offices: int


PRODUCT_COLUMNS = (
    *("external_key", "alias_key", "seller_id", "category_id", "search_id", "name", "name_hi", "name_ml"),
    *("name_key", "description", "commodity", "variety", "grade", "pack_milli", "pack_unit", "price_minor"),
    *("price_on", "unit_price_minor", "stock_milli", "organic", "certification", "harvested_on"),
    *("best_before", "image_url", "source"),
)
"""A product as a row: what a source says of it, in the order in which rows are compared and written."""


def quantity(milli: int) -> str:
    """Thousandths as a decimal without trailing zeros: ``48500`` is ``"48.5"``."""
    whole, rest = divmod(milli, 1000)
    return f"{whole}.{rest:03d}".rstrip("0") if rest else str(whole)
