"""Sellers by their distance from a place, in the order in which `sort=distance` reads them."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import NamedTuple

from farmlokal.catalog import geo

Place = tuple[int, int]
"""Latitude and longitude in millionths of a degree."""


class Nearby(NamedTuple):
    """A place, and where a radius was given the metres to each seller inside it: all others are out."""

    place: Place
    metres: dict[int, int] | None = None


def measured(
    place: Place, sellers: Iterable[tuple[int, int | None, int | None]], radius_m: int | None = None
) -> dict[int, int]:
    """Metres by id for (id, latitude, longitude) of sellers whose place is known; with a radius for those
    inside. The distance is ours, one number on every engine."""
    metres = {
        identity: geo.distance_m(*place, latitude, longitude)
        for identity, latitude, longitude in sellers
        if latitude is not None and longitude is not None
    }
    if radius_m is None:
        return metres
    return {identity: distance for identity, distance in metres.items() if distance <= radius_m}


def groups(metres: Mapping[int, int], after_m: int | None, *, reverse: bool) -> Iterator[list[int]]:
    """Seller ids of each distance from `after_m` on, itself included, nearest (or farthest) first."""
    ordered = sorted(metres.items(), key=lambda pair: pair[1], reverse=reverse)
    for distance, pairs in groupby(ordered, key=lambda pair: pair[1]):
        if after_m is None or (distance <= after_m if reverse else distance >= after_m):
            yield [identity for identity, _ in pairs]
