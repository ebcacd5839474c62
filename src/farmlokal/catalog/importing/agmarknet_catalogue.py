"""The clean catalogue made from Agmarknet's prices: one listing a row with its latest price.

Quirks: `product_key` labels a row in this file and in its price history, and is no identity (a listing's
identity is its names, as in the daily files); prices are whole paise per kg already; a market that could
not be located has no coordinates. Name and category are the file's own; the names in Hindi and Malayalam,
which it lacks, are looked up.
"""

from collections.abc import Callable
from datetime import date
from functools import lru_cache
from operator import itemgetter

from farmlokal.catalog.importing.mandi import (
    PACK_MILLI,
    PACK_UNIT,
    SOURCE,
    Market,
    believe,
    goods_of,
    listing_key,
    market_of,
)
from farmlokal.catalog.importing.rows import Format, TableFormat
from farmlokal.catalog.importing.values import (
    KEY_BYTES,
    RowError,
    day,
    label,
    optional_whole,
    place_e6,
    shown,
    text,
    whole,
)
from farmlokal.catalog.models import NAME_BYTES, ProductDraft

_COLUMNS = (
    "product_key",
    "name",
    "category",
    "commodity",
    "variety",
    "grade",
    "market",
    "district",
    "state",
    "lat",
    "lon",
    "unit",
    "min_paise_per_kg",
    "max_paise_per_kg",
    "price_paise_per_kg",
    "currency",
    "observed_on",
)


def _bind(columns: dict[str, int], latest: date | None) -> Callable[[list[str]], ProductDraft]:
    pick = itemgetter(*(columns[name] for name in _COLUMNS))

    def parse(fields: list[str]) -> ProductDraft:
        return _draft(pick(fields), latest)

    return parse


def _draft(row: tuple[str, ...], latest: date | None) -> ProductDraft:
    key, name, category, commodity, variety, grade, place, district, state = row[:9]
    lat, lon, unit, lowest, highest, price, currency, observed_on = row[9:]
    if unit != PACK_UNIT:
        raise RowError("unit", f"unit is {shown(unit)}; accepted: {PACK_UNIT}")
    if currency != "INR":
        raise RowError("currency", f"currency is {shown(currency)}; accepted: INR")
    low = optional_whole("min_paise_per_kg", lowest)
    high = optional_whole("max_paise_per_kg", highest)
    modal = whole("price_paise_per_kg", price)
    believe(low, modal, high)
    market = _market(state, district, place, lat, lon)
    goods = goods_of(commodity, variety, grade)
    return ProductDraft(
        external_key=listing_key(market, goods),
        seller=market.seller,
        name=text("name", name, NAME_BYTES),
        category=_category(category),
        price_minor=modal,
        source=SOURCE,
        alias_key=text("product_key", key, KEY_BYTES),
        name_hi=goods.name_hi,
        name_ml=goods.name_ml,
        commodity=goods.commodity,
        variety=goods.variety,
        grade=goods.grade,
        pack_milli=PACK_MILLI,
        pack_unit=PACK_UNIT,
        price_low_minor=low,
        price_high_minor=high,
        price_on=day("observed_on", observed_on, latest),
    )


@lru_cache(maxsize=8192)
def _market(state: str, district: str, name: str, lat: str, lon: str) -> Market:
    return market_of(state, district, name, *place_e6(lat, lon, ("lat", "lon")))


@lru_cache(maxsize=256)
def _category(name: str) -> str:
    return label("category", name)


TABLE = TableFormat(Format.AGMARKNET_CATALOGUE, _COLUMNS, (), extra_ignored=True, bind=_bind)
