"""Single fields: what each parser takes, and that it refuses the rest by name."""

from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.catalog.importing.values import (
    Number,
    RowError,
    day,
    nearest_whole,
    quantity,
    rupees,
    text,
    whole,
)

NOT_PLAIN: list[object] = [None, True, 3.5, [], {}, "", " ", "9" * 41]
NOT_PLAIN += ["1_000", "1,000", "１０", "٣", "+5", "-5", ".5", "5.", "1e3", "NaN", "Infinity", "0x10"]
NOT_PLAIN += ["1.005", "100000000.01"]

NOT_ISO: list[object] = [None, "", 20260724, "2026-07-24" + " " * 40 + "x"]
NOT_ISO += ["2026-7-24", "20260724", "2026-W30-5", "24-07-2026", "24/07/2026", "２026-07-24"]
NOT_ISO += ["2026-07-24T00:00", "2026-02-30", "1999-12-31"]


@pytest.mark.parametrize(
    ("written", "paise"),
    [("36", 3600), ("36.5", 3650), ("36.50", 3650), ("0", 0), ("36.500", 3650), (Number("7.25"), 725)],
)
def test_rupees_are_read_as_paise(written: str, paise: int) -> None:
    """An amount in rupees has at most two decimals that count."""
    assert rupees("price", written) == paise


@pytest.mark.parametrize("written", NOT_PLAIN)
def test_amount_that_is_not_plain_is_refused(written: object) -> None:
    """An amount that is not plain digits with a point is refused, with the field in the reason."""
    with pytest.raises(RowError, match="price"):
        rupees("price", written)


@given(st.decimals(min_value=0, max_value=10**9, allow_nan=False, allow_infinity=False, places=9))
def test_nearest_whole_rounds_half_up(value: Decimal) -> None:
    """Noisy decimals are rounded half up to whole paise."""
    expected = int(value.to_integral_value(ROUND_HALF_UP))
    assert nearest_whole("modal_price", f"{value:f}") == expected


def test_quantity_has_three_decimals() -> None:
    """A quantity has at most three decimals, and a pack is more than nothing."""
    assert quantity("stock", "48.125") == 48_125
    for wrong in ("48.1255", "0"):
        with pytest.raises(RowError, match="packValue"):
            quantity("packValue", wrong, least=1)


@pytest.mark.parametrize("written", ["1.0", "-1", "1_0", "²", "", "10000000001"])
def test_whole_number_is_digits_only(written: str) -> None:
    """A whole number is ASCII digits within its bound."""
    with pytest.raises(RowError, match="offices"):
        whole("offices", written, 10_000_000_000)


@pytest.mark.parametrize("written", NOT_ISO)
def test_day_is_iso_text(written: object) -> None:
    """A date is written 2026-07-24, exists, and is of this century."""
    with pytest.raises(RowError, match="harvestedOn"):
        day("harvestedOn", written)


def test_day_may_be_indian_and_bounded() -> None:
    """A price may be dated day first, and not after tomorrow."""
    assert day("date", "24/07/2026", date(2026, 7, 24), indian=True) == "2026-07-24"
    with pytest.raises(RowError, match="no day after 2026-07-24") as caught:
        day("date", "25/07/2026", date(2026, 7, 24), indian=True)
    assert caught.value.code == "future_date"


@pytest.mark.parametrize(
    "written", ["a\x00b", "a\tb", "a\nb", "a\x7fb", "a\x85b", "a\ud800b", "", " \t ", 7, Number("7")]
)
def test_text_has_no_control_characters(written: object) -> None:
    """A text has something in it, and no control characters or halves of characters."""
    with pytest.raises(RowError, match="name"):
        text("name", written, 300)


def test_text_is_limited_in_bytes() -> None:
    """A name is trimmed, and limited by its bytes of UTF-8 and not by its characters."""
    assert text("name", "  " + "അ" * 100 + " ", 300) == "അ" * 100
    with pytest.raises(RowError, match="at most 300 bytes"):
        text("name", "അ" * 101, 300)
