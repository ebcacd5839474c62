"""Where dots and lines of the pages' two drawings lie. Numbers only: the templates draw them as SVG."""

from collections.abc import Sequence
from datetime import date
from math import cos, radians
from typing import NamedTuple

from farmlokal.catalog.representation import Around, Location, Price

METRES_A_DEGREE = 111_195
"""Of latitude, on the sphere that distances are measured on (`catalog/geo.py`)."""

MAP_SIZE, MAP_REACH = 300, 140
"""Width and height of the map, and how far from its middle the radius lies."""

CHART_WIDTH, CHART_HEIGHT, CHART_MARGIN = 600, 180, 8


class Point(NamedTuple):
    """In the units of a drawing: from the left, from the top."""

    x: float
    y: float


def dots(around: Around, radius_m: int) -> list[Point]:
    """Where the sellers lie on a map of which the place is the middle, north up, in their order.

    A flat map: within a few hundred kilometres it is wrong by less than a dot.
    """
    latitude, longitude = _degrees(around.place)
    shrunk, scale = cos(radians(latitude)), MAP_REACH / radius_m * METRES_A_DEGREE
    found = []
    for each in around.sellers:
        if each.seller.location is not None:
            north, east = _degrees(each.seller.location)
            x, y = (east - longitude) * shrunk * scale, (latitude - north) * scale
            found.append(Point(round(MAP_SIZE / 2 + x, 1), round(MAP_SIZE / 2 + y, 1)))
    return found


class Chart(NamedTuple):
    """A history as `points` of polylines, oldest first; a day alone is a dot.

    `bands` are the market's ranges, one outline for each unbroken run of days that have one.
    """

    line: str
    bands: list[str]
    dots: list[Point]


def chart(prices: Sequence[Price]) -> Chart | None:
    """The drawing of a price history, newest first; None for none. Days lie as far apart as they are."""
    if not prices:
        return None
    days = [_day(price.observed_on) for price in reversed(prices)]
    amounts = [float(price.price) for price in reversed(prices)]
    ranges = [_range(price) for price in reversed(prices)]
    all_amounts = [*amounts, *(amount for each in ranges if each for amount in each)]
    low, high = min(all_amounts), max(all_amounts)
    first, span, height = days[0], max(days[-1] - days[0], 1), (high - low) or 1

    def point(day: int, amount: float) -> Point:
        x = CHART_MARGIN + (day - first) / span * (CHART_WIDTH - 2 * CHART_MARGIN)
        y = CHART_MARGIN + (high - amount) / height * (CHART_HEIGHT - 2 * CHART_MARGIN)
        return Point(round(x, 1), round(y, 1))

    line = [point(day, amount) for day, amount in zip(days, amounts, strict=True)]
    bands: list[str] = []
    run: list[tuple[Point, Point]] = []
    for day, each in [*zip(days, ranges, strict=True), (0, None)]:
        if each:
            run.append((point(day, each[0]), point(day, each[1])))
        elif run:
            bands.append(_points([*(top for _, top in run), *(bottom for bottom, _ in reversed(run))]))
            run = []
    return Chart(_points(line), bands, line)


def _range(price: Price) -> tuple[float, float] | None:
    return None if price.low is None or price.high is None else (float(price.low), float(price.high))


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)


def _degrees(location: Location) -> tuple[float, float]:
    return float(location.latitude), float(location.longitude)


def _day(iso: str) -> int:
    return date.fromisoformat(iso).toordinal()
