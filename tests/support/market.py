"""A small market in memory beside the same market in a database: what the listing is compared with.

The order of a listing is said here a second time, in plain Python over plain rows, so that a test compares
the keyset query with something that shares no code with it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import asin, cos, radians, sin, sqrt
from typing import Any

from farmlokal.catalog.text import sort_key
from tests.support.catalogue import Shelf

PLACE = (10.5, 76.25)
"""Where distances are measured from."""

SEARCH = "tomato"

NAMES = (
    *("a", "A", "á", "a ", " a", "ß", "ss", "SS", "é", "e\u0301", "🍅", "आम", "തക്കാളി", "\uffff", "𐀀"),
    *("Tomato", "TOMATO ", "Tomato red", "Red tomato", "tomatoes", "Plumtomato", "tómato", "to mato"),
)
"""Many of them fold to one key, or sort differently by code point, by UTF-16 and by collation."""

PLACES = {"near": (10.52, 76.21), "twin": (10.52, 76.21), "far": (28.6, 77.2), "nowhere": None}

Pair = tuple[Any, int]
"""A sort key and an id."""


@dataclass
class Item:
    """A product as the oracle knows it."""

    id: int
    name: str
    category: str
    price_minor: int
    unit_price_minor: int | None
    harvested_on: str | None
    created_at_us: int
    seller: str
    organic: int
    deleted: bool = False


@dataclass
class Market:
    """The rows in memory, and the shelf that writes the same ones to a database."""

    shelf: Shelf
    items: dict[int, Item] = field(default_factory=dict)
    places: dict[str, tuple[float, float] | None] = field(default_factory=lambda: dict(PLACES))

    def add(self, row: dict[str, Any]) -> int:
        """A new product."""
        at = self.places[row["seller"]] or (None, None)
        identity = self.shelf.product(**row, at=at, pack_milli=None, pack_unit=None)
        self.items[identity] = Item(identity, **row)
        return identity

    def change(self, identity: int, row: dict[str, Any]) -> None:
        """Give a product other values, sort keys among them."""
        if identity not in self.items:
            return
        seller = self.shelf.seller(row["seller"], *(self.places[row["seller"]] or (None, None)))
        category = self.shelf.category(row["category"])
        values = {name: value for name, value in row.items() if name not in ("seller", "category")}
        values |= {"seller_id": seller, "category_id": category, "name_key": sort_key(row["name"])}
        values["search_id"] = self.shelf.wording((row["name"],))
        marks = ", ".join(f"{name} = ?" for name in values)
        self.shelf.connection.execute(
            f"UPDATE products SET {marks}, version = version + 1 WHERE id = ?", (*values.values(), identity)
        )
        self.items[identity] = Item(identity, **row, deleted=self.items[identity].deleted)

    def bury(self, identity: int) -> None:
        """Delete a product, leaving its tombstone."""
        if identity in self.items:
            self.shelf.connection.execute("UPDATE products SET deleted_at_us = 1 WHERE id = ?", (identity,))
            self.items[identity].deleted = True

    def erase(self, identity: int) -> None:
        """Delete a product without a trace."""
        self.shelf.connection.execute("DELETE FROM products WHERE id = ?", (identity,))
        self.items.pop(identity, None)

    def move(self, seller: str, to: tuple[float, float] | None) -> None:
        """Put a seller elsewhere: every distance of its products changes."""
        self.places[seller] = to
        e6 = (None, None) if to is None else tuple(round(degrees * 1e6) for degrees in to)
        self.shelf.connection.execute(
            "UPDATE sellers SET latitude_e6 = ?, longitude_e6 = ? WHERE external_key = ?", (*e6, seller)
        )

    def pair(self, identity: int, sort: str) -> Pair:
        """The product's sort key now, and its id."""
        return self.key(self.items[identity], sort), identity

    def key(self, item: Item, sort: str) -> Any:
        """What a sort orders the product by."""
        keys: dict[str, Callable[[], Any]] = {
            "id": lambda: 0,
            "price": lambda: item.price_minor,
            "name": lambda: sort_key(item.name),
            "createdAt": lambda: item.created_at_us,
            "unitPrice": lambda: item.unit_price_minor,
            "harvestedOn": lambda: item.harvested_on,
            "distance": lambda: distance_m(PLACE, self.places[item.seller]),
            "relevance": lambda: relevance(item.name),
        }
        return keys[sort]()

    def pairs(self, sort: str, chosen: Callable[[Item], bool]) -> list[Pair]:
        """The products a query chooses, in its sort's ascending order of (key, id)."""
        return [self.pair(item.id, sort) for item in self.items.values() if chosen(item)]


def ordered(pairs: Iterable[Pair], *, descending: bool) -> list[Pair]:
    """The order of every listing: by key and then id, both in one direction, rows without a key last."""
    given = list(pairs)
    keyed = sorted((pair for pair in given if pair[0] is not None), reverse=descending)
    unkeyed = sorted(
        (pair for pair in given if pair[0] is None), key=lambda pair: pair[1], reverse=descending
    )
    return keyed + unkeyed


def distance_m(start: tuple[float, float], end: tuple[float, float] | None) -> int | None:
    """The haversine on a sphere of the Earth's mean radius, in whole metres."""
    if end is None:
        return None
    (lat1, lng1), (lat2, lng2) = ((radians(lat), radians(lng)) for lat, lng in (start, end))
    chord = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lng2 - lng1) / 2) ** 2
    return round(2 * 6_371_008.8 * asin(sqrt(chord)))


def relevance(name: str, search: str = SEARCH) -> int:
    """0 the whole name, 1 its beginning, 2 a word of it, 3 inside a word; for one word of plain letters."""
    plain = name.strip().lower().replace("ó", "o")
    if plain == search:
        return 0
    if plain.startswith(search):
        return 1
    return 2 if search in plain.split() else 3
