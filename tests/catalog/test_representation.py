"""What callers see: amounts as decimal strings, instants in UTC."""

import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.catalog import representation
from farmlokal.catalog.models import PRICE_CEILING_MINOR, QUANTITY_CEILING_MILLI, quantity
from farmlokal.catalog.representation import degrees, rupees

SELLER: tuple[Any, ...] = (31, "farm", "Thrissur Growers", "Thrissur", "Kerala", "680001")


def as_json(value: object) -> Any:
    """What a caller would read."""
    return msgspec.json.decode(msgspec.json.encode(value))


@given(minor=st.integers(0, PRICE_CEILING_MINOR * 1_000_000))
def test_rupees_have_two_places(minor: int) -> None:
    """Money is a decimal string of rupees with exactly two places."""
    assert rupees(minor) == f"{Decimal(minor).scaleb(-2):.2f}"
    assert re.fullmatch(r"(0|[1-9][0-9]*)\.[0-9]{2}", rupees(minor))


@given(milli=st.one_of(st.integers(0, QUANTITY_CEILING_MILLI), st.integers(0, 5000)))
def test_quantities_have_no_trailing_zeros(milli: int) -> None:
    """A quantity is a decimal string of at most three places, without trailing zeros and without exponent."""
    text = quantity(milli)
    assert Decimal(text) == Decimal(milli).scaleb(-3)
    assert re.fullmatch(r"(0|[1-9][0-9]*)(\.[0-9]{0,2}[1-9])?", text)


@given(e6=st.one_of(st.integers(-180_000_000, 180_000_000), st.integers(-1_000_000, 1_000_000)))
def test_degrees_have_six_places(e6: int) -> None:
    """A coordinate is a decimal string of degrees with six places, and a sign where it is negative."""
    assert degrees(e6) == f"{Decimal(e6).scaleb(-6):.6f}"


@pytest.mark.parametrize(
    ("e6", "text"),
    [(0, "0.000000"), (-1, "-0.000001"), (-999_999, "-0.999999"), (76_214_400, "76.214400")],
)
def test_degrees_near_zero_keep_their_sign(e6: int, text: str) -> None:
    """A coordinate just below zero keeps its sign, and zero has none."""
    assert degrees(e6) == text


def test_pack_is_what_one_price_buys() -> None:
    """`pack` is value and unit, and null where either is not known."""
    assert as_json(representation.pack(500, "kg")) == {"value": "0.5", "unit": "kg"}
    assert representation.pack(None, "kg") is None
    assert representation.pack(500, None) is None


def test_unit_price_names_its_base() -> None:
    """`unitPrice` is quoted per kg, litre or piece, and null where it is not known."""
    assert as_json(representation.unit_price(7200, "g")) == {"amount": "72.00", "per": "kg"}
    assert as_json(representation.unit_price(5, "dozen")) == {"amount": "0.05", "per": "piece"}
    assert representation.unit_price(None, "kg") is None
    assert representation.unit_price(7200, None) is None


def test_stock_is_in_the_base_unit() -> None:
    """`stock` is in kg, litres or pieces; none left is "0", and null is not known."""
    assert as_json(representation.stock(48_500, "g")) == {"available": "48.5", "unit": "kg"}
    assert as_json(representation.stock(0, "ml")) == {"available": "0", "unit": "litre"}
    assert as_json(representation.stock(3000, None)) == {"available": "3", "unit": "piece"}
    assert representation.stock(None, "kg") is None


def test_a_seller_without_a_place_has_no_location() -> None:
    """A seller's `location` is null where its coordinates are not known."""
    known = representation.seller((*SELLER, 10_527_600, -76_214_400, 0, 1, 7))
    unknown = representation.seller((*SELLER, None, None, 0, 1, 7))
    assert as_json(known) == {
        "id": 31,
        "kind": "farm",
        "name": "Thrissur Growers",
        "district": "Thrissur",
        "state": "Kerala",
        "postcode": "680001",
        "location": {"latitude": "10.527600", "longitude": "-76.214400"},
        "createdAt": "1970-01-01T00:00:00.000000Z",
        "updatedAt": "1970-01-01T00:00:00.000001Z",
        "version": 7,
    }
    assert as_json(unknown) == as_json(known) | {"location": None}


def test_members_keep_the_names_of_the_first_system() -> None:
    """`created_at` keeps the name that the first system's callers read; new members are in camelCase."""
    names = set(representation.PRODUCT_ATTRIBUTES)
    assert {"id", "name", "price", "category", "created_at"} <= names
    assert {name for name in names if "_" in name} == {"created_at"}
