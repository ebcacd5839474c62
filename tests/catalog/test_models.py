"""The catalogue's words: the unit price."""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.catalog.models import (
    PRICE_CEILING_MINOR,
    QUANTITY_CEILING_MILLI,
    UNITS,
    unit_price_minor,
)

BASE_PER_UNIT = {
    "kg": Decimal(1),
    "g": Decimal("0.001"),
    "litre": Decimal(1),
    "ml": Decimal("0.001"),
    "piece": Decimal(1),
    "dozen": Decimal(12),
    "bunch": Decimal(1),
}
"""Kilograms, litres or pieces in one of each unit, said a second time."""


def expected(price_minor: int, pack_milli: int, unit: str) -> int:
    """Price ÷ pack by decimal arithmetic with more digits than any result has."""
    with localcontext() as context:
        context.prec = 80
        exact = Decimal(price_minor) / (Decimal(pack_milli) / 1000 * BASE_PER_UNIT[unit])
        return int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))


@given(
    price_minor=st.integers(0, PRICE_CEILING_MINOR),
    pack_milli=st.one_of(
        st.integers(1, QUANTITY_CEILING_MILLI), st.sampled_from([250, 500, 1500, 2000, 3000, 4000, 64_000])
    ),
    unit=st.sampled_from(sorted(UNITS)),
)
def test_unit_price_is_exact(price_minor: int, pack_milli: int, unit: str) -> None:
    """A unit price is price ÷ pack per kg, litre or piece, rounded half-even to the paisa."""
    assert unit_price_minor(price_minor, pack_milli, unit) == expected(price_minor, pack_milli, unit)


@pytest.mark.parametrize(
    ("price_minor", "pack_milli", "unit", "per_base"),
    [
        (3600, 500, "kg", 7200),
        (3600, 500_000, "g", 7200),
        (25, 2000, "kg", 12),  # 12.5, to the even 12
        (27, 2000, "kg", 14),  # 13.5, to the even 14
        (6, 1000, "dozen", 0),  # 0.5, to the even 0
        (18, 1000, "dozen", 2),  # 1.5, to the even 2
        (4000, 1000, "bunch", 4000),
        (100, 3000, "piece", 33),
        (200, 3000, "piece", 67),
        (0, 1, "kg", 0),
        (PRICE_CEILING_MINOR, 1, "ml", PRICE_CEILING_MINOR * 1_000_000),
    ],
)
def test_halves_go_to_the_even_paisa(price_minor: int, pack_milli: int, unit: str, per_base: int) -> None:
    """Exactly half a paisa goes to the even neighbour."""
    assert unit_price_minor(price_minor, pack_milli, unit) == per_base


@pytest.mark.parametrize(("pack_milli", "unit"), [(None, None), (None, "kg"), (1000, None), (0, "kg")])
def test_an_unknown_pack_has_no_unit_price(pack_milli: int | None, unit: str | None) -> None:
    """Where the pack is not known there is no unit price."""
    assert unit_price_minor(1000, pack_milli, unit) is None


def test_units_are_quoted_per_kg_litre_or_piece() -> None:
    """Every unit has a base of kg, litre or piece, and the size that the trade gives it."""
    assert {name: Decimal(unit.base_milli) / 1000 for name, unit in UNITS.items()} == BASE_PER_UNIT
    bases = {"kg": {"kg", "g"}, "litre": {"litre", "ml"}, "piece": {"piece", "dozen", "bunch"}}
    assert {name: unit.base for name, unit in UNITS.items()} == {
        name: base for base, names in bases.items() for name in names
    }
