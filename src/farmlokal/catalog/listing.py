"""A listing request: the query string becomes one frozen `ListingQuery`, or a refusal that names every fault.

This file and `repository` are the two that know a filter or a sort by name. The table `PARAMETERS` reads
the request, describes it in the OpenAPI document and derives the identity under which pages are cached and
cursors are bound.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any

from farmlokal.catalog import kinds
from farmlokal.catalog.representation import PRODUCT_ATTRIBUTES
from farmlokal.errors import Fault
from farmlokal.platform.keyset.parameters import CURSOR, LIMIT, LIMIT_DEFAULT, sort
from farmlokal.platform.web.parameters import (
    BOOLEAN,
    DAY,
    INSTANT,
    Contradiction,
    Parameter,
    list_of,
    one_of,
    read,
)

CATEGORIES = 20
"""Most categories in one request: more than the catalogue has."""

IDS = 100
"""Most ids in one request: one page."""

SORTS = ("id", "price", "name", "createdAt", "unitPrice", "harvestedOn", "distance", "relevance")
FACETS = ("category", "state", "district", "organic")
LANGUAGES = ("en", "hi", "ml")
FIELDS = tuple(PRODUCT_ATTRIBUTES)


@dataclass(frozen=True, slots=True)
class ListingQuery:
    """One listing request in canonical form: two spellings of one request are equal.

    Text that is compared is folded and deduplicated; prices are paise; the place is millionths of a degree
    or a postcode, the radius metres; instants are microseconds.
    """

    sort: str = "id"
    descending: bool = False
    search: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    min_price: int | None = None
    max_price: int | None = None
    state: str | None = None
    district: str | None = None
    seller: int | None = None
    organic: bool | None = None
    in_stock: bool | None = None
    harvested_after: str | None = None
    near: tuple[int, int] | None = None
    pincode: str | None = None
    radius_m: int | None = None
    ids: tuple[int, ...] | None = None
    updated_since: int | None = None
    # What follows chooses how the rows are shown, not which they are.
    limit: int = LIMIT_DEFAULT
    cursor: str | None = None
    fields: tuple[str, ...] | None = None
    lang: str = "en"
    facets: tuple[str, ...] = ()
    count: bool = False

    @classmethod
    def parse(cls, query_string: bytes, accepted: Sequence[Parameter] = ()) -> "ListingQuery":
        """Read a query string of the `accepted` parameters (all by default). Raises `Invalid` naming all
        faults at once."""
        given = dict.fromkeys(parameter.name for parameter in PARAMETERS) | read(
            query_string, accepted or PARAMETERS, CONTRADICTIONS
        )
        sort, descending = given["sort"] or ("id", False)
        return cls(
            sort=sort,
            descending=descending or given["order"] == "desc",
            search=given["search"] or given["q"] or (),
            category=tuple(sorted(set(given["category"] or ()))),
            min_price=given["minPrice"],
            max_price=given["maxPrice"],
            state=given["state"],
            district=given["district"],
            seller=given["seller"],
            organic=given["organic"],
            in_stock=given["inStock"],
            harvested_after=given["harvestedAfter"],
            near=given["near"],
            pincode=given["pincode"],
            radius_m=given["radiusKm"],
            ids=None if given["ids"] is None else tuple(sorted(given["ids"])),
            updated_since=given["updatedSince"],
            limit=given["limit"] or LIMIT_DEFAULT,
            cursor=given["cursor"],
            fields=_in_order(given["fields"], FIELDS),
            lang=given["lang"] or "en",
            facets=_in_order(given["facets"], FACETS) or (),
            count=given["count"] == "exact",
        )

    def identity(self) -> list[object]:
        """What says which rows in which order: the values that a cursor is bound to."""
        return [*_identity(self)]

    def shown(self) -> list[object]:
        """What says how the rows are shown, but for the cursor, whose text is not yet its meaning."""
        return [*_shown(self)]

    def without(self, facet: str) -> "ListingQuery":
        """The same query with the filter of one facet lifted: what that facet's counts are counted under."""
        lifted: dict[str, Any] = {facet: () if facet == "category" else None}
        return replace(self, **lifted)

    def by_id(self) -> "ListingQuery":
        """The same query in the order of ids."""
        return replace(self, sort="id")

    @property
    def has_place(self) -> bool:
        """Whether distances can be measured."""
        return self.near is not None or self.pincode is not None


_NAMES = [field.name for field in fields(ListingQuery)]
_identity = attrgetter(*_NAMES[: _NAMES.index("limit")])
_shown = attrgetter(*(name for name in _NAMES[_NAMES.index("limit") :] if name != "cursor"))


def _in_order(chosen: Sequence[str] | None, order: Sequence[str]) -> tuple[str, ...] | None:
    """A choice of names in our order: members of an object have none, so that neither has their choice."""
    return None if chosen is None else tuple(sorted(chosen, key=order.index))


def _sorted_by(name: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda given: given["sort"] is not None and given["sort"][0] == name


def _differ(given: Mapping[str, Any]) -> bool:
    return bool(given["search"] and given["q"] and given["search"] != given["q"])


CONTRADICTIONS = (
    Contradiction(
        ("sort", "near", "pincode"),
        lambda given: _sorted_by("distance")(given) and given["near"] is None and given["pincode"] is None,
        Fault("sort", "no place", "sort=distance with near=lat,lng or pincode"),
    ),
    Contradiction(
        ("sort", "search", "q"),
        lambda given: _sorted_by("relevance")(given) and not (given["search"] or given["q"]),
        Fault("sort", "no search", "sort=relevance with search"),
    ),
    Contradiction(
        ("sort", "order"),
        lambda given: given["sort"] is not None and given["sort"][1] and given["order"] == "asc",
        Fault("order", "contradiction", "desc, or a sort without '-'"),
    ),
    Contradiction(
        ("search", "q"), _differ, Fault("q", "contradiction", "either search or q; they mean the same")
    ),
    Contradiction(
        ("near", "pincode"),
        lambda given: given["near"] is not None and given["pincode"] is not None,
        Fault("pincode", "contradiction", "either near or pincode"),
    ),
    Contradiction(
        ("radiusKm", "near", "pincode"),
        lambda given: given["radiusKm"] is not None and given["near"] is None and given["pincode"] is None,
        Fault("radiusKm", "no place", "a radius with near=lat,lng or pincode"),
    ),
    Contradiction(
        ("minPrice", "maxPrice"),
        lambda given: (
            None not in (given["minPrice"], given["maxPrice"]) and given["minPrice"] > given["maxPrice"]
        ),
        Fault("minPrice", "out of range", "at most maxPrice"),
    ),
    Contradiction(
        ("category",),
        lambda given: len(given["category"] or ()) > CATEGORIES,
        Fault("category", "too many", f"at most {CATEGORIES} categories"),
    ),
)
"""Parameters that are fine one by one and not together."""

PARAMETERS = (
    LIMIT,
    CURSOR,
    Parameter(
        "sort",
        sort(*SORTS),
        "Order of the rows; `-` turns it round. Ties are broken by id in the same direction, rows without the"
        " value come last in both. `relevance` and `distance` are best and nearest first.",
        "-price",
    ),
    Parameter(
        "order", one_of("asc", "desc"), "`desc` turns the order round, like `-` before the sort.", "desc"
    ),
    Parameter(
        "search",
        kinds.SEARCH,
        "Words that must all occur inside words of the product's names (English, Hindi, Malayalam), commodity"
        " or variety. Case and accents do not count.",
        "tomato",
        empty_is_absent=True,
    ),
    Parameter("q", kinds.SEARCH, "The same as `search`.", "टमाटर", empty_is_absent=True),
    Parameter(
        "category",
        kinds.NAME,
        f"Products of this category; repeated (at most {CATEGORIES} times): of any of them.",
        "Vegetables",
        repeatable=True,
        empty_is_absent=True,
    ),
    Parameter("minPrice", kinds.RUPEES, "Lowest price of a pack in rupees, inclusive.", "20"),
    Parameter("maxPrice", kinds.RUPEES, "Highest price of a pack in rupees, inclusive.", "99.50"),
    kinds.STATE,
    kinds.DISTRICT,
    Parameter("seller", kinds.ID, "Products of the seller with this id.", 1),
    Parameter("organic", BOOLEAN, "Only organic products, or only others.", "true"),
    Parameter(
        "inStock",
        BOOLEAN,
        "Only products with stock, or only sold-out ones; unknown stock is neither.",
        "true",
    ),
    Parameter("harvestedAfter", DAY, "Products harvested after this day.", "2026-01-31"),
    Parameter(
        "near",
        kinds.PLACE,
        "A place as latitude,longitude in degrees, to measure distances from.",
        "10.52,76.21",
    ),
    Parameter("pincode", kinds.POSTCODE, "An Indian postcode, to measure distances from.", "680001"),
    Parameter("radiusKm", kinds.RADIUS_KM, "With near or pincode: only sellers within this distance.", "25"),
    Parameter(
        "ids", list_of(kinds.ID, IDS, "[1-9][0-9]{0,17}"), "Only the products with these ids.", "1,2,3"
    ),
    Parameter(
        "updatedSince",
        INSTANT,
        "Products changed at or after this instant, deleted ones with them (they have `deletedAt`).",
        "2026-01-31T00:00:00Z",
    ),
    Parameter(
        "fields",
        list_of(one_of(*FIELDS), len(FIELDS), "|".join(FIELDS)),
        "Only these members of a product.",
        "id,name,price",
    ),
    Parameter(
        "lang",
        one_of(*LANGUAGES),
        "Language of `name`, English where a product has no other.",
        "hi",
        default="en",
    ),
    Parameter(
        "facets",
        list_of(one_of(*FACETS), len(FACETS), "|".join(FACETS)),
        "Count the rows by these, each under every filter but its own.",
        "category,state",
    ),
    Parameter("count", one_of("none", "exact"), "`exact` adds `total`, the number of rows.", "exact"),
)
"""Every parameter of a listing, in the order of the documentation."""

FACET_PARAMETERS = tuple(
    parameter
    for parameter in PARAMETERS
    if parameter.name not in ("limit", "cursor", "sort", "order", "fields", "lang", "count")
)
"""Those of `/api/facets`: the filters, and which facets."""
