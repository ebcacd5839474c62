"""What grows, where, and under which names: the tables every source of products is read against.

The tables are CSV files beside this module, so that whoever knows a crop or a place mends them without
reading code; they are read at first use, once. Names are our own knowledge of the trade, aliases are the
spellings of wholesale market reports (Agmarknet). A name in Hindi or Malayalam is empty where no settled
word exists. Within a category the rows of `commodities.csv` stand by how commonly they are sold.
"""

import csv
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple, TypeVar

from farmlokal.catalog.models import UNITS
from farmlokal.catalog.text import fold, words

Key = TypeVar("Key")
Value = TypeVar("Value")

FALLBACK_CATEGORY = "Herbs and other"
"""The category of a commodity that no table knows."""


class Pack(NamedTuple):
    """A size that is sold: `milli` thousandths of `unit`, so 500 g is (500_000, "g")."""

    milli: int
    unit: str

    @property
    def base_micro(self) -> int:
        """The size in millionths of a kilogram, litre or piece."""
        return self.milli * UNITS[self.unit].base_milli


class Category(NamedTuple):
    """A shelf of the market, in three languages."""

    name_en: str
    name_hi: str
    name_ml: str


class Commodity(NamedTuple):
    """Something that is grown, raised or made on a farm.

    Prices are the usual retail band in paise per `unit` (kg, litre or piece). `packs` is empty for what is
    traded but not sold to households, such as timber.
    """

    name_en: str
    name_hi: str | None
    name_ml: str | None
    category: str
    unit: str
    packs: tuple[Pack, ...]
    price_low_minor: int
    price_high_minor: int
    season_from: int
    season_until: int
    shelf_life_days: int
    varieties: tuple[str, ...]
    aliases: tuple[str, ...]

    def in_season(self, month: int) -> bool:
        """Whether month 1..12 is one of the harvest; a season may run over the new year, as 11 to 3."""
        if self.season_from <= self.season_until:
            return self.season_from <= month <= self.season_until
        return month >= self.season_from or month <= self.season_until


class State(NamedTuple):
    """A state or union territory, and the other spellings that official files use for it."""

    name: str
    aliases: tuple[str, ...]


class District(NamedTuple):
    """A district by its chief town: where that lies (millionths of a degree), and its head post office."""

    state: str
    district: str
    latitude_e6: int
    longitude_e6: int
    postcode: str


@cache
def categories() -> tuple[Category, ...]:
    """All categories, in the order in which a shop shows them."""
    return tuple(Category(**row) for row in _rows("categories.csv"))


@cache
def commodities() -> tuple[Commodity, ...]:
    """All commodities, by category and then by how commonly they are sold."""
    return tuple(_commodity(row) for row in _rows("commodities.csv"))


@cache
def states() -> tuple[State, ...]:
    """All 28 states and 8 union territories of India."""
    return tuple(State(row["name"], _listed(row["aliases"])) for row in _rows("states.csv"))


@cache
def districts() -> tuple[District, ...]:
    """The districts we know, by state."""
    return tuple(
        District(
            state=row["state"],
            district=row["district"],
            latitude_e6=_scaled(row["latitude"], 6),
            longitude_e6=_scaled(row["longitude"], 6),
            postcode=row["postcode"],
        )
        for row in _rows("districts.csv")
    )


def find_commodity(name: str) -> Commodity | None:
    """The commodity of this English name or alias, however cased, spaced or punctuated."""
    return _commodities_by_name().get(_commodity_key(name))


def canonical_state(name: str) -> str:
    """Our spelling of a state (`Keralam` is `Kerala`); an unknown name comes back with its spaces tidied."""
    return _states_by_name().get(fold(name)) or " ".join(name.split())


def find_district(state: str, district: str) -> District | None:
    """The district of this name in this state, in any spelling of the state."""
    return _districts_by_name().get((canonical_state(state), fold(district)))


@cache
def _commodities_by_name() -> dict[str, Commodity]:
    return _index(
        (_commodity_key(name), commodity)
        for commodity in commodities()
        for name in (commodity.name_en, *commodity.aliases)
    )


@cache
def _states_by_name() -> dict[str, str]:
    return _index((fold(name), state.name) for state in states() for name in (state.name, *state.aliases))


@cache
def _districts_by_name() -> dict[tuple[str, str], District]:
    return _index(((place.state, fold(place.district)), place) for place in districts())


def _index(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, Value]:
    """A dict of the pairs that refuses a key claimed by two different values."""
    found: dict[Key, Value] = {}
    for key, value in pairs:
        if found.setdefault(key, value) != value:
            raise ValueError(f"two rows of the reference tables claim {key!r}")
    return found


def _commodity_key(name: str) -> str:
    # By words, not only folded: reports write both "Bhindi(Ladies Finger)" and "Bhindi (Ladies Finger)".
    return " ".join(words(name))


def _commodity(row: dict[str, str]) -> Commodity:
    season_from, _, season_until = row["season"].partition("-")
    return Commodity(
        name_en=row["name_en"],
        name_hi=row["name_hi"] or None,
        name_ml=row["name_ml"] or None,
        category=row["category"],
        unit=row["unit"],
        packs=tuple(_pack(text) for text in _listed(row["packs"])),
        price_low_minor=_scaled(row["price_low"], 2),
        price_high_minor=_scaled(row["price_high"], 2),
        season_from=int(season_from),
        season_until=int(season_until),
        shelf_life_days=int(row["shelf_life_days"]),
        varieties=_listed(row["varieties"]),
        aliases=_listed(row["aliases"]),
    )


def _pack(text: str) -> Pack:
    amount, _, unit = text.partition(" ")
    return Pack(_scaled(amount, 3), unit)


def _scaled(text: str, places: int) -> int:
    """A decimal number as an integer count of its `places`-th decimal, without a float in between."""
    whole, _, fraction = text.partition(".")
    if len(fraction) > places:
        raise ValueError(f"{text!r} has more than {places} decimals")
    return int(whole + fraction.ljust(places, "0"))


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split("|")) if text else ()


def _rows(table: str) -> Iterator[dict[str, str]]:
    text = (files(__name__) / table).read_text(encoding="utf-8")
    return csv.DictReader(text.splitlines(), strict=True)
