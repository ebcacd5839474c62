"""Sellers by their distance from a place, in the order in which `sort=distance` reads them."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from farmlokal.catalog import geo

Place = tuple[int, int]
"""Latitude and longitude in millionths of a degree."""


class Nearby(NamedTuple):
    """Sellers with known places around one place: metres by seller id. `within` says that a radius was given,
    so that all other sellers are out."""

    metres: dict[int, int]
    within: bool

    @classmethod
    def of(cls, place: Place, radius_m: int | None, sellers: Iterable[tuple[int, int, int]]) -> "Nearby":
        """Measure (id, latitude, longitude) of sellers; the distance is ours, one number on every engine."""
        measured = {identity: geo.distance_m(*place, *at) for identity, *at in sellers}
        if radius_m is not None:
            measured = {identity: metres for identity, metres in measured.items() if metres <= radius_m}
        return cls(measured, radius_m is not None)

    def groups(self, after_m: int | None, *, reverse: bool) -> Iterator[list[int]]:
        """Seller ids of each distance from `after_m` on, itself included, nearest (or farthest) first."""
        ordered = sorted(self.metres.items(), key=lambda pair: pair[1], reverse=reverse)
        for metres, pairs in groupby(ordered, key=lambda pair: pair[1]):
            if after_m is None or (metres <= after_m if reverse else metres >= after_m):
                yield [identity for identity, _ in pairs]
