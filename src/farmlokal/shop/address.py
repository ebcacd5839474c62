"""The address of a browse page: it holds all of the page's state, so that a link shows what its sender saw.

A page is kinder than the API. A form without a script sends every field, empty ones too, and a link that was
passed on gets parameters of strangers' making: both are dropped here. What remains is read by `ListingQuery`,
which refuses what it does not understand.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from farmlokal.catalog.listing import ListingQuery
from farmlokal.platform.web.parameters import pairs

FIELDS = (
    *("q", "category", "state", "district", "seller", "organic", "inStock", "minPrice", "maxPrice"),
    *("near", "pincode", "radiusKm", "sort", "cursor", "lang"),
)
"""Parameters of a browse page, in the order in which its own links have them."""

SORTS = (
    *("", "-createdAt", "relevance", "distance", "price", "-price", "unitPrice", "name", "-harvestedOn"),
)
"""Orders that the page offers; the empty one is what suits the rest of the address."""

PAGE_ROWS = 24
"""Products on a page: whole rows of 2, 3 or 4."""


@dataclass(frozen=True, slots=True)
class Address:
    """Parameters of a browse page as (name, value), none of them empty, each but `category` once."""

    given: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, query_string: bytes) -> "Address":
        """Raises `Invalid` for what is no query string."""
        return cls(_tidy(pairs(query_string)))

    def get(self, name: str) -> str:
        """The value of a parameter, empty where there is none."""
        return next((value for each, value in self.given if each == name), "")

    def all(self, name: str) -> list[str]:
        """Every value of a parameter."""
        return [value for each, value in self.given if each == name]

    @property
    def has_place(self) -> bool:
        """Whether distances can be measured."""
        return bool(self.get("near") or self.get("pincode"))

    @property
    def sort(self) -> str:
        """The order: the one that was asked for, else what suits a search, a place, or neither."""
        return self.get("sort") or (
            "relevance" if self.get("q") else "distance" if self.has_place else "-createdAt"
        )

    def query(self, lang: str, *, whole: bool) -> ListingQuery:
        """What to ask the catalogue; a `whole` page has counts. Raises `Invalid` naming every fault."""
        asked = [(name, value) for name, value in self.given if name not in ("sort", "lang")]
        asked += [("sort", self.sort), ("lang", lang), ("limit", str(PAGE_ROWS))]
        if whole:
            facets = ["category", "state", "organic", *(["district"] if self.get("state") else [])]
            asked += [("facets", ",".join(facets)), ("count", "exact")]
        return ListingQuery.parse(urlencode(asked).encode())

    def link(self, path: str = "/", **changed: str) -> str:
        """An address with other values (empty: without them), from the beginning unless a cursor is given."""
        kept = [pair for pair in self.given if pair[0] != "cursor" and pair[0] not in changed]
        query = urlencode(_tidy([*kept, *changed.items()]))
        return f"{path}?{query}" if query else path

    def of_language(self) -> "Address":
        """Nothing but the language, where the address names one."""
        return Address(tuple(pair for pair in self.given if pair[0] == "lang"))


def _tidy(given: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    values: dict[str, list[str]] = {}
    for name, value in given:
        if name in FIELDS and (text := value.strip()):
            values.setdefault(name, []).append(text)
    if "pincode" in values:
        values["pincode"] = [values["pincode"][0].replace(" ", "")]
        values.pop("near", None)
    elif "near" not in values:
        values.pop("radiusKm", None)
    for sort, needs in (("distance", ("near", "pincode")), ("relevance", ("q",))):
        if values.get("sort", [""])[0] == sort and values.keys().isdisjoint(needs):
            values.pop("sort")
    chosen = {name: dict.fromkeys(values[name]) for name in FIELDS if name in values}
    return tuple(
        (name, value)
        for name, all_of in chosen.items()
        for value in ([*all_of] if name == "category" else [*all_of][:1])
    )
