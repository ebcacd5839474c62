"""What the templates are given: the representation that the API shows, in a reader's words and with links."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from msgspec import UNSET

from farmlokal.catalog import representation as shown
from farmlokal.catalog.listing import ListingQuery
from farmlokal.catalog.text import fold
from farmlokal.errors import DomainError, Invalid, NotFound
from farmlokal.shop.address import SORTS, Address
from farmlokal.shop.drawing import MAP_REACH, MAP_SIZE, chart, dots
from farmlokal.shop.messages import LANGUAGES, Words, grouped, rupees

View = dict[str, Any]
"""Values of a template by name."""

Named = Mapping[str, shown.Names]
"""Names of categories by the English one."""

RADII_KM = ("10", "25", "50", "100", "250")
RADIUS_KM = "50"
"""Offered to whoever has not chosen one: an hour's drive."""

MAP_RADIUS_M = 100_000
"""How far the map reaches where no radius was given."""

NEAREST = 8
"""Sellers that are named beside the map."""

_LABELS = {
    "q": "search",
    "category": "category",
    "state": "state",
    "district": "district",
    "seller": "seller",
    "organic": "organic_only",
    "inStock": "in_stock",
    "minPrice": "min_price",
    "maxPrice": "max_price",
    "near": "place",
    "pincode": "postcode",
    "radiusKm": "radius",
    "sort": "sort",
}
"""Messages that name the parameters which a person sets."""


class Choice(NamedTuple):
    """One option of a filter; `counted` is empty where it was not."""

    value: str
    label: str
    counted: str = ""
    chosen: bool = False
    possible: bool = True


def frame(words: Words, address: Address, path: str, asset: Callable[[str], str], title: str) -> View:
    """What every page has around it. `path` is the page's own, for the links to its other languages."""
    cursor = address.get("cursor")
    return {
        "t": words,
        "title": title,
        "asset": asset,
        "home": address.of_language().link(),
        "languages": [
            (code, name, address.link(path, lang=code, cursor=cursor), code == words.lang)
            for code, name in LANGUAGES.items()
        ],
    }


def cards(words: Words, address: Address, page: shown.ProductPage) -> View:
    """Products and the ways on from them, as pages and as their `cards` alone."""
    return {
        "t": words,
        "rupees": rupees,
        "products": page.data,
        "product_link": lambda product: address.of_language().link(f"/products/{product.id}"),
        "here": address.link(cursor=address.get("cursor")),
        "next": page.next_cursor and address.link(cursor=page.next_cursor),
        "prev": page.prev_cursor and address.link(cursor=page.prev_cursor),
        "one_decimal": _one_decimal,
    }


def filters(
    words: Words, address: Address, query: ListingQuery | None, page: shown.ProductPage | None, named: Named
) -> View:
    """The form. Without a query, which was refused, what the caller had filled in stays in it."""
    facets = page.facets if page and page.facets is not UNSET else {}
    states, districts = facets.get("state"), facets.get("district")
    organic = [each.count for each in facets.get("organic") or () if each.value is True]
    return {
        "address": address,
        "categories": _categories(words, address, facets.get("category"), named),
        "states": _places(states, address.get("state"), query.state if query else None),
        "districts": _places(districts, address.get("district"), query.district if query else None)
        if address.get("state") or address.get("district")
        else [],
        "organic_count": grouped(str(organic[0])) if organic else "",
        "sorts": [
            Choice(sort, words("sort_" + sort), "", sort == address.get("sort"), _possible(sort, address))
            for sort in SORTS
        ],
        "radii": _radii(words, address),
        "seller_name": page.data[0].seller.name if page and page.data else "",
        "without_seller": address.link(seller=""),
    }


def total(words: Words, page: shown.ProductPage) -> str:
    """How many products there are, in words."""
    if page.total is UNSET or page.total is None:
        return words("count_many")
    return words("count_one") if page.total == 1 else words("count_other", number=grouped(str(page.total)))


def around(words: Words, address: Address, query: ListingQuery, found: shown.Around | None) -> View | None:
    """The sellers near the place of a query, on a map of its radius; None where there is no place."""
    if found is None:
        return None
    radius_m = query.radius_m or MAP_RADIUS_M
    radius_km = f"{radius_m / 1000:g}"
    return {
        "size": MAP_SIZE,
        "reach": MAP_REACH,
        "dots": dots(found, radius_m) if radius_m else [],
        "title": words("map", place=query.pincode or words("your_place")),
        "says": words("map_says", number=len(found.sellers), radius=radius_km),
        "nearest": [
            (each.seller.name, _one_decimal(each.distance_km), address.link(seller=str(each.seller.id)))
            for each in found.sellers[:NEAREST]
        ],
    }


def product(words: Words, found: shown.ProductDetail, prices: Sequence[shown.Price]) -> View:
    """One product, and what it has cost."""
    history = chart(prices)
    return {
        "rupees": rupees,
        "product": found,
        "facts": list(_facts(words, found)),
        "prices": prices,
        "chart": history,
        "history_says": history
        and words(
            "history_says",
            first=words.day(prices[-1].observed_on),
            last=words.day(prices[0].observed_on),
            low=rupees(min((each.price for each in prices), key=Decimal)),
            high=rupees(max((each.price for each in prices), key=Decimal)),
        ),
        "mandi_says": _mandi(words, found.price, prices),
    }


def refusal(words: Words, error: DomainError, address: Address) -> str:
    """Why there is no page, to somebody who wanted to buy vegetables."""
    if isinstance(error, NotFound):
        return words("not_found")
    if not isinstance(error, Invalid):
        return words("unavailable")
    if any(fault.parameter == "pincode" and fault.code == "unknown" for fault in error.faults):
        return words("unknown_postcode", postcode=address.get("pincode"))
    names = dict.fromkeys(words(_LABELS.get(fault.parameter, "address")) for fault in error.faults)
    return words("fault", names=", ".join(names))


def _categories(
    words: Words, address: Address, counted: Iterable[shown.FacetValue] | None, named: Named
) -> list[Choice]:
    chosen = {fold(name): name for name in address.all("category")}
    counts = {str(each.value): grouped(str(each.count)) for each in counted or ()}
    names = list(counts) if counted is not None else list(named)
    there = {fold(name) for name in names}
    names += [name for folded, name in chosen.items() if folded not in there]
    return [
        Choice(
            name,
            getattr(named.get(name), words.lang, None) or name,
            counts.get(name, ""),
            fold(name) in chosen,
        )
        for name in names
    ]


def _places(counted: Iterable[shown.FacetValue] | None, given: str, folded: str | None) -> list[Choice]:
    """States or districts by name."""
    counts = {str(each.value): grouped(str(each.count)) for each in counted or ()}
    chosen = next((name for name in counts if fold(name) == (folded or fold(given))), given)
    names = sorted({*counts, *([chosen] if chosen else [])})
    return [Choice(name, name, counts.get(name, ""), name == chosen) for name in names]


def _possible(sort: str, address: Address) -> bool:
    return {"distance": address.has_place, "relevance": bool(address.get("q"))}.get(sort, True)


def _radii(words: Words, address: Address) -> list[Choice]:
    chosen = address.get("radiusKm") if address.has_place else RADIUS_KM
    offered = [*RADII_KM, *([chosen] if chosen and chosen not in RADII_KM else [])]
    known = [Choice(each, words("km", number=each), "", each == chosen) for each in offered]
    return [*known, Choice("", words("anywhere"), "", not chosen)]


def _facts(words: Words, found: shown.ProductDetail) -> Iterable[tuple[str, str]]:
    if found.pack:
        yield words("pack"), words.quantity(found.pack.value, found.pack.unit)
    if found.unit_price:
        yield (
            words("unit_price"),
            f"{rupees(found.unit_price.amount)} / {words('unit_' + found.unit_price.per)}",
        )
    if found.stock:
        gone = Decimal(found.stock.available) == 0
        yield (
            words("stock"),
            words("sold_out") if gone else words.quantity(found.stock.available, found.stock.unit),
        )
    yield words("seller"), f"{found.seller.name}, {found.seller.district}, {found.seller.state}"
    for label, day in (("harvest", found.harvested_on), ("best_before", found.best_before)):
        if day:
            yield words(label), words.day(day)
    for label in ("commodity", "variety", "grade", "certification"):
        if value := getattr(found, label):
            yield words(label), value
    others = [
        name for name in (found.names.en, found.names.hi, found.names.ml) if name and name != found.name
    ]
    if others:
        yield words("other_names"), ", ".join(others)


def _mandi(words: Words, price: str, prices: Sequence[shown.Price]) -> str:
    """How a price stands beside the newest range that a market reported; empty where none did."""
    for each in prices:
        if each.low is not None and each.high is not None:
            where = (
                "below"
                if Decimal(price) < Decimal(each.low)
                else "above"
                if Decimal(price) > Decimal(each.high)
                else "within"
            )
            low, high = rupees(each.low), rupees(each.high)
            return words(f"mandi_{where}", day=words.day(each.observed_on), low=low, high=high)
    return ""


def _one_decimal(number: str) -> str:
    return f"{Decimal(number):.1f}"
