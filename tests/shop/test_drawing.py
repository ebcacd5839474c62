"""The two drawings."""

from farmlokal.catalog.representation import Around, Distant, Location, Price, Seller
from farmlokal.shop.drawing import CHART_HEIGHT, CHART_MARGIN, CHART_WIDTH, Point, chart, dots


def _seller(latitude: str, longitude: str) -> Distant:
    return Distant(
        "1",
        Seller(
            id=1,
            kind="farm",
            name="s",
            district="d",
            state="s",
            postcode=None,
            location=Location(latitude, longitude),
            created_at="",
            updated_at="",
            version=1,
        ),
    )


def test_north_is_up_and_the_radius_is_the_edge() -> None:
    """A seller due north at the radius is above the middle, one due east to its right, as far away."""
    degree_m = 111_195
    around = Around(Location("0", "76"), [_seller("1", "76"), _seller("0", "77"), _seller("-0.5", "75.5")])
    assert dots(around, degree_m) == [(150.0, 10.0), (290.0, 150.0), (80.0, 220.0)]


def _price(day: int, price: str, low: str | None = None, high: str | None = None) -> Price:
    return Price(observed_on=f"2026-07-{day:02}", price=price, low=low, high=high)


def test_a_chart_is_as_wide_as_its_days_and_as_high_as_its_prices() -> None:
    """The oldest day is on the left, the highest amount at the top; days without a range part the band."""
    prices = [
        _price(11, "30.00", "20.00", "40.00"),
        _price(6, "20.00"),
        _price(2, "25.00", "20.00", "30.00"),
        _price(1, "30.00", "20.00", "30.00"),
    ]
    drawn = chart(prices)
    assert drawn is not None
    left, right, bottom = CHART_MARGIN, CHART_WIDTH - CHART_MARGIN, CHART_HEIGHT - CHART_MARGIN
    assert drawn.dots[0] == Point(left, CHART_HEIGHT / 2)
    assert drawn.dots[2] == Point(CHART_WIDTH / 2, bottom)
    assert drawn.dots[3].x == right
    assert len(drawn.bands) == 2


def test_a_chart_of_one_day_is_a_dot() -> None:
    """A single price is drawn, and none is no drawing."""
    drawn = chart([_price(1, "30.00")])
    assert drawn is not None
    assert len(drawn.dots) == 1
    assert chart([]) is None
