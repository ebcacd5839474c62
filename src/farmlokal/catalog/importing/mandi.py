"""Who and what a price from a mandi (a wholesale market of India) is about, and whether to believe it.

The sources have no ids. A listing is its (state, district, market, commodity, variety, grade), each folded
and the state under its present name, so that ``NCT of Delhi`` and ``Delhi`` are one; the key is a hash of
these because they can be longer than a key. Prices are per quintal in rupees, which is numerically per
kilogram in paise: 100 kg and 100 paise cancel.

Markets report some goods per head or per piece under the same column. Nothing in a row says so, hence the
bounds on belief: they are the ones with which the clean archive of the same prices was made.
"""

import re
from datetime import date
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from farmlokal.catalog import reference
from farmlokal.catalog.importing.values import (
    SELLER_CHARS,
    RowError,
    day,
    label,
    missing,
    nearest_whole,
    optional_label,
    text,
)
from farmlokal.catalog.models import NAME_BYTES, ProductDraft, SellerDraft, SellerKind
from farmlokal.catalog.text import fold, words

SOURCE = "agmarknet"
PACK_MILLI = 1000
PACK_UNIT = "kg"

LEAST_PAISE_PER_KG = 100
MOST_PAISE_PER_KG = 300_000

_BRACKETED = re.compile(r"\([^()]*\)")
_NO_VARIETY = frozenset(["", "other", "local"])
_NOT_AVAILABLE = "NA"


class Market(NamedTuple):
    """A market as a seller, and the folded parts of its name that begin the key of its listings."""

    seller: SellerDraft
    identity: str


class Goods(NamedTuple):
    """What is sold, and the folded parts of its name that end the key of its listings."""

    name: str
    category: str
    name_hi: str | None
    name_ml: str | None
    commodity: str
    variety: str | None
    grade: str | None
    identity: str


class Quote(NamedTuple):
    """One published price as text, dates and numbers still unread."""

    on: str
    state: str
    district: str
    market: str
    commodity: str
    variety: str
    grade: str
    low: str
    high: str
    modal: str


def listing_key(market: Market, goods: Goods) -> str:
    """The external key of a listing: ``mandi:`` and 32 hex digits."""
    identity = f"{market.identity}\x1f{goods.identity}".encode()
    return "mandi:" + blake2b(identity, digest_size=16).hexdigest()


def market_of(
    state: str, district: str, name: str, latitude_e6: int | None = None, longitude_e6: int | None = None
) -> Market:
    """The market of that name, at that place."""
    state = reference.canonical_state(label("state", state))
    district = label("district", district)
    name = label("market", name, SELLER_CHARS)
    identity = f"{fold(state)}\x1f{fold(district)}\x1f{fold(name)}"
    seller = SellerDraft(
        external_key="mandi:" + blake2b(identity.encode(), digest_size=16).hexdigest(),
        kind=SellerKind.MARKET,
        name=name,
        district=district,
        state=state,
        latitude_e6=latitude_e6,
        longitude_e6=longitude_e6,
    )
    return Market(seller, identity)


@lru_cache(maxsize=8192)
def located_market(state: str, district: str, name: str) -> Market:
    """`market_of`, at the centre of its district: the sources of daily prices publish no place.

    The cache holds three times the markets there are.
    """
    found = reference.find_district(
        reference.canonical_state(label("state", state)), label("district", district)
    )
    if found is None:
        return market_of(state, district, name)
    return market_of(state, district, name, found.latitude_e6, found.longitude_e6)


@lru_cache(maxsize=16_384)
def goods_of(commodity: str, variety: str, grade: str) -> Goods:
    """The goods of that name. The cache holds some ten times the combinations there are."""
    commodity = label("commodity", commodity)
    kind = optional_label("variety", variety)
    quality = optional_label("grade", grade)
    known = reference.find_commodity(commodity)
    return Goods(
        name=text("name", daily_name(commodity, kind or ""), NAME_BYTES),
        category=known.category if known else reference.FALLBACK_CATEGORY,
        name_hi=known.name_hi if known else None,
        name_ml=known.name_ml if known else None,
        commodity=commodity,
        variety=kind,
        grade=quality,
        identity="\x1f".join(fold(part or "") for part in (commodity, kind, quality)),
    )


def daily_name(commodity: str, variety: str) -> str:
    """``Banana – Nendran``: the commodity without brackets, and the variety where it says something more."""
    base = " ".join(_BRACKETED.sub(" ", commodity).split()) or commodity
    told = {"".join(words(base)), "".join(words(commodity))}
    if fold(variety) in _NO_VARIETY or "".join(words(variety)) in told:
        return base
    return f"{base} – {variety}"


def price_draft(quote: Quote, latest: date | None) -> ProductDraft:
    """The listing a published price is about, with that price; raises `values.RowError`."""
    on = day("date", quote.on, latest, indian=True)
    market = located_market(quote.state, quote.district, quote.market)
    goods = goods_of(quote.commodity, quote.variety, quote.grade)
    low = _optional_price("min_price", quote.low)
    high = _optional_price("max_price", quote.high)
    modal = _optional_price("modal_price", quote.modal)
    if modal is None:
        raise missing("modal_price")
    believe(low, modal, high)
    return ProductDraft(
        external_key=listing_key(market, goods),
        seller=market.seller,
        name=goods.name,
        category=goods.category,
        price_minor=modal,
        source=SOURCE,
        name_hi=goods.name_hi,
        name_ml=goods.name_ml,
        commodity=goods.commodity,
        variety=goods.variety,
        grade=goods.grade,
        pack_milli=PACK_MILLI,
        pack_unit=PACK_UNIT,
        price_low_minor=low,
        price_high_minor=high,
        price_on=on,
        price_only=True,
    )


def _optional_price(field: str, written: str) -> int | None:
    if not written or written == _NOT_AVAILABLE or written.isspace():
        return None
    return nearest_whole(field, written)


def believe(low: int | None, modal: int, high: int | None) -> None:
    """Refuse prices whose unit or whose order is in doubt; all in paise per kg."""
    if modal < LEAST_PAISE_PER_KG:
        accepted = f"accepted: from {LEAST_PAISE_PER_KG}"
        raise RowError("unit_doubtful", f"modal below 1 rupee/kg (unit doubtful): {modal} paise; {accepted}")
    if modal > MOST_PAISE_PER_KG:
        accepted = f"accepted: up to {MOST_PAISE_PER_KG}"
        raise RowError(
            "unit_doubtful", f"modal above 3000 rupees/kg (unit doubtful): {modal} paise; {accepted}"
        )
    ordered(low, modal, high)


def ordered(low: int | None, modal: int, high: int | None) -> None:
    """Refuse a lowest price above the highest, and a modal price outside of both."""
    if low is not None and high is not None and low > high:
        raise RowError("min_above_max", f"min > max: {low} and {high} paise; accepted: min up to max")
    if (low is not None and modal < low) or (high is not None and modal > high):
        bounds = f"{'' if low is None else low}..{'' if high is None else high}"
        raise RowError("modal_outside", f"modal outside min..max: {modal} of {bounds}; accepted: one within")
