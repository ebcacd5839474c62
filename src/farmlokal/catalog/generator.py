"""A market of any size that never was: products for trying things out, the same ones every time.

Repeatable to the byte on every Python from 3.11 on, so only `Random.random` is asked (the one method whose
sequence the library promises to keep) and weights are integers (`sum` of floats changed in 3.12). What costs
time is worked out once per run, as names, price ladders and dates; a draft is then a few table look-ups.

Shares and chances below without a source are chosen by us to look like a market, and measured nowhere.
"""

from bisect import bisect
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from itertools import accumulate
from random import Random
from typing import Generic, NamedTuple, TypeVar

from farmlokal.catalog.models import ProductDraft, SellerDraft, SellerKind
from farmlokal.catalog.reference import Commodity, District, Pack, categories, commodities, districts

SOURCE = "generated"
"""The source by which generated products are told from real ones."""

PRODUCTS_PER_SELLER = 12
"""The mean of the real listings: 35,051 in 2,755 markets (Agmarknet, July 2026)."""

SELLERS_MIN, SELLERS_MAX = 5, 20_000
"""Never so few that one seller is the market. The ceiling is ours: what the load runs of a million use."""

DAYS_BACK = 400
"""How far back products were created: a year, and a month to compare it with."""

Item = TypeVar("Item")
Draw = Callable[[], float]
"""A number of [0, 1)."""

# What a basket is made of, in percent, in the order of categories.csv: near the shares of Agmarknet's
# listings, with less grain, and milk and honey added.
_SHARES = (34, 18, 9, 10, 7, 3, 7, 4, 3, 2, 2, 1)
# A marketplace that began in Kerala sells most there, and then next door.
_STATE_WEIGHTS = {"Kerala": 6, "Tamil Nadu": 2, "Karnataka": 2}
_KINDS = (SellerKind.MARKET, *2 * (SellerKind.COLLECTIVE,), *17 * (SellerKind.FARM,))
_KIND_WEIGHTS = {SellerKind.FARM: 1, SellerKind.COLLECTIVE: 2, SellerKind.MARKET: 4}
_MARKET_NAMES = {"Tamil Nadu": "Uzhavar Sandhai", "Karnataka": "Raitha Santhe", "Punjab": "Apni Mandi"}
_MARKET_NAMES |= dict.fromkeys(("Andhra Pradesh", "Telangana"), "Rythu Bazar")
_COLLECTIVE_NAMES = (
    "Farmer Producer Company",
    "Growers Collective",
    "Women Farmers Group",
    "Organic Society",
)
_FARM_NAMES = ("Farm", "Family Farm", "Natural Farm", "Gardens", "Fields")
_PEOPLE = (  # noqa: SIM905 - as a list they would fill a page
    "Achari Ali Amma Anand Bai Banerjee Barua Begum Bhat Biswas Chacko Das Deshmukh Devi Fernandes Gill "
    "Gowda Hegde Iyer Jadhav Jose Joshi Kaur Khan Kumari Kurian Lakshmi Mahato Mathew Meena Menon Mohanty "
    "Murugan Nair Naik Patel Patil Pillai Poojary Rajan Ramesh Rao Reddy Sahu Salim Selvi Sharma Shetty "
    "Singh Thakur Thomas Varghese Verma Yadav"
).split()
_PROPER = ("Bengal ", "Chinese ", "French ", "Malabar ")
_SENTENCES = (
    "Sorted by hand and packed at the farm.",
    "From a small holding, sold by the people who work it.",
    "Packed to order; collect it or have it brought.",
    "Weighed on the morning of sale.",
)
_GRADES = (None, None, None, None, None, "A", "A", "B", "FAQ", "Local")
# Participatory guarantee and third-party certification are the two systems Indian law knows (FSSAI, 2017).
_CERTIFICATIONS = ("PGS-India",) * 6 + ("NPOP",) * 3 + (None,)

_NO_COORDINATES, _NO_POSTCODE = 0.08, 0.05
_NO_PACK = 0.02
_NO_STOCK_COUNT, _SOLD_OUT = 0.15, 0.20
_NO_HARVEST_DATE = 0.25
_NIGHTLY = 0.125
_PRICE_AGE_DAYS = 7
_JITTER_E6 = 120_000  # 0.12 degrees, 13 km: within an evening's delivery round of the district town
_DAY_US = 86_400_000_000
_NIGHTLY_US = 9_000_000_000  # 02:30, when an import runs
_STEPS_MINOR = (10_000, 5_000, 1_000, 500, 100, 50)
_PRICES_PER_LADDER = 8  # so that a shop-full of one thing holds many ties and still some spread


class _Wheel(Generic[Item]):
    """Items drawn by integer weight."""

    def __init__(self, weighted: Iterable[tuple[Item, int]]) -> None:
        pairs = list(weighted)
        self._items = [item for item, _ in pairs]
        self._edges = list(accumulate(weight for _, weight in pairs))
        self._last = len(pairs) - 1

    def at(self, point: float) -> Item:
        """The item at a point of [0, 1)."""
        # Bounded by the last item: a product of floats may round up to the edge.
        return self._items[bisect(self._edges, point * self._edges[-1], 0, self._last)]


class _Offer(NamedTuple):
    """A pack and the prices it may carry, ascending. A price without a pack is for one base unit."""

    pack_milli: int | None
    pack_unit: str | None
    ladder: tuple[int, ...]


class _Good(NamedTuple):
    """One commodity under one name: all that its products share."""

    commodity: Commodity
    name: str
    name_hi: str | None
    name_ml: str | None
    variety: str | None
    organic: bool
    offers: tuple[_Offer, ...]
    unpacked: _Offer
    descriptions: tuple[str | None, ...]


def generate(products: int, *, random_seed: int = 0, today: date) -> Iterator[ProductDraft]:
    """Drafts of this many products, as they stand on `today`; equal arguments give equal drafts.

    Sellers are shared between drafts and come to one per `PRODUCTS_PER_SELLER` products. The names of all
    products are a few thousand, however many are asked for, as in a real catalogue.
    """
    if products < 1:
        return
    draw = Random(random_seed).random  # noqa: S311 - made-up vegetables are no secret
    sellers = _Wheel(_sellers(products, random_seed, draw))
    goods = _Wheel(_goods(today.month))
    longest_life = max(commodity.shelf_life_days for commodity in commodities())
    days = [(today + timedelta(days=ahead)).isoformat() for ahead in range(-DAYS_BACK, longest_life + 1)]
    midnight_us = (today - date(1970, 1, 1)).days * _DAY_US
    for number in range(products):
        seller = sellers.at(draw())
        good = goods.at(draw())
        offer = good.unpacked if draw() < _NO_PACK else good.offers[int(draw() * len(good.offers))]
        ladder = offer.ladder
        # The mean of two draws: most prices lie in the middle of the band, few at its ends.
        rung = int((draw() + draw()) / 2 * len(ladder))
        is_market = seller.kind is SellerKind.MARKET
        harvested_on, best_before = _dates(draw, days, good.commodity.shelf_life_days)
        yield ProductDraft(
            external_key=f"{SOURCE}:{random_seed}:{number:08}",
            seller=seller,
            source=SOURCE,
            name=good.name,
            name_hi=good.name_hi,
            name_ml=good.name_ml,
            description=good.descriptions[int(draw() * len(good.descriptions))],
            category=good.commodity.category,
            commodity=good.commodity.name_en,
            variety=good.variety,
            grade=_GRADES[int(draw() * len(_GRADES))],
            pack_milli=offer.pack_milli,
            pack_unit=offer.pack_unit,
            price_minor=ladder[rung],
            # Only a market sees a spread: what its stalls asked for the same pack that day.
            price_low_minor=ladder[max(rung - 2, 0)] if is_market else None,
            price_high_minor=ladder[min(rung + 2, len(ladder) - 1)] if is_market else None,
            price_on=days[DAYS_BACK - int(draw() * _PRICE_AGE_DAYS)],
            stock_milli=_stock_milli(draw()),
            organic=good.organic,
            certification=_CERTIFICATIONS[int(draw() * len(_CERTIFICATIONS))] if good.organic else None,
            harvested_on=harvested_on,
            best_before=best_before,
            created_at_us=_created_at_us(midnight_us, draw(), draw()),
        )


def _sellers(products: int, random_seed: int, draw: Draw) -> Iterator[tuple[SellerDraft, int]]:
    count = max(min(products, SELLERS_MIN), min(products // PRODUCTS_PER_SELLER, SELLERS_MAX))
    places = _Wheel((place, _STATE_WEIGHTS.get(place.state, 1)) for place in districts())
    for number in range(count):
        place = places.at(draw())
        kind = _KINDS[int(draw() * len(_KINDS))]
        located = draw() >= _NO_COORDINATES
        seller = SellerDraft(
            external_key=f"{SOURCE}:{random_seed}:seller:{number}",
            kind=kind,
            name=_seller_name(kind, place, draw(), draw()),
            district=place.district,
            state=place.state,
            postcode=place.postcode if draw() >= _NO_POSTCODE else None,
            latitude_e6=place.latitude_e6 + int((2 * draw() - 1) * _JITTER_E6) if located else None,
            longitude_e6=place.longitude_e6 + int((2 * draw() - 1) * _JITTER_E6) if located else None,
        )
        # Zipf's law, blunted at the head: the largest of 20,000 holds 0.3 % of the listings, not 10 %.
        yield seller, _KIND_WEIGHTS[kind] * 1_000_000 // (number + 200)


def _seller_name(kind: SellerKind, place: District, first: float, second: float) -> str:
    if kind is SellerKind.MARKET:
        return f"{place.district} {_MARKET_NAMES.get(place.state, 'Farmers Market')}"
    if kind is SellerKind.COLLECTIVE:
        return f"{place.district} {_COLLECTIVE_NAMES[int(first * len(_COLLECTIVE_NAMES))]}"
    return f"{_PEOPLE[int(first * len(_PEOPLE))]} {_FARM_NAMES[int(second * len(_FARM_NAMES))]}"


def _goods(month: int) -> Iterator[tuple[_Good, int]]:
    """Every name under which something is sold, weighted by share, rank, season, variety and modifier."""
    for category, share in zip(categories(), _SHARES, strict=True):
        # A commodity without packs is not sold to households.
        shelf = [item for item in commodities() if item.category == category.name_en and item.packs]
        ranks = [1_000_000 // (rank + 2) for rank in range(len(shelf))]
        for commodity, rank in zip(shelf, ranks, strict=True):
            weight = share * 1_000_000 * rank // sum(ranks)
            # Loosely seasonal: cold stores and other climates sell a quarter as much out of season.
            weight *= 4 if commodity.in_season(month) else 1
            for good, part in _goods_of(commodity):
                yield good, weight * part


def _goods_of(commodity: Commodity) -> Iterator[tuple[_Good, int]]:
    """The names of one commodity; their weights add up to about 10,000."""
    offers = tuple(_offer(commodity, pack) for pack in commodity.packs)
    unpacked = _offer(commodity, None)
    for variety, plain_name, inner_name, part in _varieties(commodity):
        for modifier, hi, ml, organic, percent in _modifiers(commodity, variety):
            name = f"{modifier} {inner_name}" if modifier else plain_name
            stories = [f"Generated data, not an offer: {name}. {sentence}" for sentence in _SENTENCES]
            good = _Good(
                commodity=commodity,
                name=name,
                name_hi=commodity.name_hi and f"{hi} {commodity.name_hi}".strip(),
                name_ml=commodity.name_ml and f"{ml} {commodity.name_ml}".strip(),
                variety=variety,
                organic=organic,
                offers=offers,
                unpacked=unpacked,
                descriptions=(None, None, *stories),
            )
            yield good, part * percent


def _varieties(commodity: Commodity) -> Iterator[tuple[str | None, str, str, int]]:
    """Each variety with its name alone, its name after another word, and its weight of about 100 in all."""
    name, varieties = commodity.name_en, commodity.varieties
    within = name if name.startswith(_PROPER) else name[0].lower() + name[1:]
    yield None, name, within, 40 if varieties else 100
    ranks = [1_000 // (rank + 1) for rank in range(len(varieties))]
    for number, (variety, rank) in enumerate(zip(varieties, ranks, strict=True)):
        before, after = f"{variety} {within}", f" – {variety}"
        styled = (name + after, within + after) if number % 2 else (before, before)
        yield variety, *styled, 60 * rank // sum(ranks)


def _modifiers(commodity: Commodity, variety: str | None) -> Iterator[tuple[str, str, str, bool, int]]:
    """What a seller puts before a name, in English, Hindi and Malayalam; whether organic; percent of sales.

    Only words that do not inflect are translated: जैविक and देसी fit any noun, ताज़ा does not.
    """
    fresh = 6 if variety is None and commodity.shelf_life_days <= 15 else 0
    country = 5 if variety is None and commodity.category in ("Vegetables", "Leafy greens") else 0
    yield "", "", "", False, 88 - fresh - country
    yield "Organic", "जैविक", "ജൈവ", True, 7
    yield "", "", "", True, 5
    if fresh:
        yield "Fresh", "", "", False, fresh
    if country:
        yield "Country", "देसी", "നാടൻ", False, country


def _offer(commodity: Commodity, pack: Pack | None) -> _Offer:
    """The pack and its prices, by the coarsest step that leaves several inside the band."""
    base_micro = pack.base_micro if pack else 1_000_000
    lowest = -(-commodity.price_low_minor * base_micro // 1_000_000)
    highest = commodity.price_high_minor * base_micro // 1_000_000
    prices: set[int] = set()
    for step in _STEPS_MINOR:
        prices = set(range(-(-lowest // step) * step, highest + 1, step))
        if len(prices) >= _PRICES_PER_LADDER:
            break
    # 49, 99, 199: from 40 rupees on, sellers like to stay a rupee below a multiple of ten.
    prices |= {price - 100 for price in prices if price % 1_000 == 0 and price >= max(lowest + 100, 4_000)}
    return _Offer(pack.milli if pack else None, pack.unit if pack else None, tuple(sorted(prices)))


def _dates(draw: Draw, days: list[str], shelf_life_days: int) -> tuple[str | None, str | None]:
    """Harvested within the shelf life, so that nothing on offer is past its best; for a quarter unknown."""
    if draw() < _NO_HARVEST_DATE:
        return None, None
    harvested = DAYS_BACK - int(draw() * min(shelf_life_days, DAYS_BACK))
    return days[harvested], days[harvested + shelf_life_days]


def _stock_milli(point: float) -> int | None:
    """Unknown, sold out, or whole units: mostly a few dozen, seldom near 200."""
    if point < _NO_STOCK_COUNT:
        return None
    if point < _NO_STOCK_COUNT + _SOLD_OUT:
        return 0
    return (int(point * point * 200) + 1) * 1_000


def _created_at_us(midnight_us: int, which: float, point: float) -> int:
    """An instant of the last `DAYS_BACK` days: to the minute, or in a nightly import; so, many ties."""
    if which < _NIGHTLY:
        return midnight_us - (int(point * DAYS_BACK) + 1) * _DAY_US + _NIGHTLY_US
    return midnight_us - (int(point * DAYS_BACK * 1_440) + 1) * 60_000_000
