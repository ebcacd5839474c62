"""Where things are: one distance, computed by us, so that every engine orders by the same number."""

from math import asin, cos, degrees, radians, sin, sqrt

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius of the Earth in metres (IUGG). The haversine on it is within 0.5 % of the ellipsoid."""


def distance_m(latitude_e6: int, longitude_e6: int, to_latitude_e6: int, to_longitude_e6: int) -> int:
    """Great-circle distance in whole metres between two points in millionths of a degree (haversine)."""
    latitude, to_latitude = radians(latitude_e6 / 1e6), radians(to_latitude_e6 / 1e6)
    north = sin((to_latitude - latitude) / 2)
    east = sin(radians((to_longitude_e6 - longitude_e6) / 1e6) / 2)
    chord = min(1.0, north * north + cos(latitude) * cos(to_latitude) * east * east)
    return round(2 * EARTH_RADIUS_M * asin(sqrt(chord)))


def latitude_band_e6(latitude_e6: int, radius_m: int) -> tuple[int, int]:
    """The latitudes that a circle reaches: what an index can narrow by. One millionth more on each side."""
    reach = round(degrees(radius_m / EARTH_RADIUS_M) * 1e6) + 1
    return latitude_e6 - reach, latitude_e6 + reach
