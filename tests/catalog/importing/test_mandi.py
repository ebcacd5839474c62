"""Prices of wholesale markets: identity, names, belief, and the three formats that carry them."""

import json
from datetime import date
from pathlib import Path

import pytest

from farmlokal.catalog.importing.mandi import daily_name
from farmlokal.catalog.importing.source import Rejected, SourceRow, UnreadableFile, open_source
from farmlokal.catalog.models import PriceObservation, ProductDraft, SellerKind

COLUMNS = "date,state,district,market,commodity,variety,grade,min_price,max_price,modal_price"
QUOTE = {
    "date": "2026-07-24",
    "state": "Kerala",
    "district": "Thrissur",
    "market": "Thrissur Market",
    "commodity": "Banana",
    "variety": "Nendran",
    "grade": "FAQ",
    "min_price": "3000",
    "max_price": "4000",
    "modal_price": "3500",
}
CATALOGUE = {
    "product_key": "k1",
    "name": "Nendran",
    "category": "Fruits",
    "commodity": "Banana",
    "variety": "Nendran",
    "grade": "FAQ",
    "market": "Thrissur Market",
    "district": "Thrissur",
    "state": "Kerala",
    "lat": "10.52",
    "lon": "76.21",
    "unit": "kg",
    "min_paise_per_kg": "3000",
    "max_paise_per_kg": "4000",
    "price_paise_per_kg": "3500",
    "currency": "INR",
    "observed_on": "2026-07-24",
}


def read(path: Path, content: str, today: date | None = None) -> list[SourceRow]:
    """The rows of a file with this content."""
    path.write_text(content, encoding="utf-8")
    return list(open_source(path, today).read())


def one(path: Path, row: dict[str, str], today: date | None = None) -> ProductDraft | Rejected:
    """The one row of a CSV file with these fields."""
    (found,) = read(path, f"{','.join(row)}\n{','.join(row.values())}\n", today)
    assert isinstance(found.value, ProductDraft | Rejected)
    return found.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file goes."""
    return tmp_path / "prices.csv"


def draft(path: Path, **changes: str) -> ProductDraft:
    """The listing of the quote above with these changes."""
    found = one(path, QUOTE | changes)
    assert isinstance(found, ProductDraft), found
    return found


def test_daily_row_is_a_listing_of_a_market(path: Path) -> None:
    """A daily price is a listing per kg at a market, in paise, with its lowest and highest price."""
    found = draft(path)
    assert (found.price_minor, found.price_low_minor, found.price_high_minor) == (3500, 3000, 4000)
    assert (found.pack_milli, found.pack_unit, found.price_on) == (1000, "kg", "2026-07-24")
    assert (found.name, found.category, found.source) == ("Banana – Nendran", "Fruits", "agmarknet")
    assert found.price_only
    assert found.name_hi
    assert found.seller.kind is SellerKind.MARKET
    assert found.seller.name == "Thrissur Market"
    assert found.seller.latitude_e6 is not None
    assert len(found.external_key) == len("mandi:") + 32


def test_identity_ignores_case_space_and_old_names_of_states(path: Path) -> None:
    """A listing is the same under another case, spacing or an old name of its state."""
    same = draft(path, state="Keralam", market=" thrissur  MARKET", commodity="BANANA")
    assert same.external_key == draft(path).external_key
    assert same.seller.external_key == draft(path).seller.external_key
    assert same.seller.state == "Kerala"


@pytest.mark.parametrize("part", ["district", "market", "commodity", "variety", "grade"])
def test_every_part_is_of_the_identity(path: Path, part: str) -> None:
    """Another district, market, commodity, variety or grade is another listing."""
    assert draft(path, **{part: "Other one"}).external_key != draft(path).external_key


def test_parts_do_not_run_into_each_other(path: Path) -> None:
    """The parts of an identity are kept apart: a word that moves to the next part changes it."""
    left = draft(path, commodity="Green Gram", variety="Whole")
    right = draft(path, commodity="Green", variety="Gram Whole")
    assert left.external_key != right.external_key
    apart = draft(path, market="Thrissur Marketb", commodity="anana")
    assert apart.external_key != draft(path).external_key


@pytest.mark.parametrize(
    ("commodity", "variety", "name"),
    [
        ("Banana", "Nendran", "Banana – Nendran"),
        ("Banana", "Other", "Banana"),
        ("Banana", "", "Banana"),
        ("Banana", "LOCAL", "Banana"),
        ("Bottle gourd", "Bottle Gourd", "Bottle gourd"),
        ("Green Avare(W)", "Green Avare (W)", "Green Avare"),
        ("Bengal Gram(Gram)(Whole)", "Gram", "Bengal Gram – Gram"),
        ("Sesamum(Sesame,Gingelly,Til)", "Other", "Sesamum"),
        ("(unnamed)", "", "(unnamed)"),
    ],
)
def test_name_says_the_variety_when_it_adds_something(commodity: str, variety: str, name: str) -> None:
    """A listing is called by its commodity without brackets, and by its variety if that says more."""
    assert daily_name(commodity, variety) == name


def test_float_noise_is_rounded_before_comparing(path: Path) -> None:
    """Float noise is rounded half up to whole paise before the prices are compared."""
    found = draft(path, min_price="399.99996", max_price="400.0000", modal_price="400.4999")
    assert (found.price_low_minor, found.price_minor, found.price_high_minor) == (400, 400, 400)
    assert draft(path, modal_price="3472.5").price_minor == 3473


def test_lowest_and_highest_may_be_missing(path: Path) -> None:
    """A price without lowest and highest is a price."""
    found = draft(path, min_price="", max_price="NA")
    assert (found.price_low_minor, found.price_high_minor) == (None, None)


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        (
            {"min_price": "5", "modal_price": "99.4"},
            "unit_doubtful",
            "modal below 1 rupee/kg (unit doubtful)",
        ),
        ({"max_price": "400000", "modal_price": "300001"}, "unit_doubtful", "modal above 3000 rupees/kg"),
        ({"modal_price": "4001"}, "modal_outside", "modal outside min..max"),
        ({"modal_price": "2999"}, "modal_outside", "modal outside min..max"),
        ({"min_price": "4001"}, "min_above_max", "min > max"),
        ({"modal_price": "NaN"}, "not_a_number", "modal_price is 'NaN'"),
        ({"modal_price": "inf"}, "not_a_number", "modal_price is 'inf'"),
        ({"min_price": "-1"}, "negative", "min_price is '-1'"),
        ({"modal_price": ""}, "missing", "modal_price"),
        ({"market": " "}, "missing", "market"),
        ({"state": ""}, "missing", "state"),
        ({"date": "2026-13-01"}, "bad_date", "date"),
        ({"date": "1999-12-31"}, "bad_date", "date"),
        ({"date": "2026-07-26"}, "future_date", "no day after 2026-07-25"),
        ({"variety": "a\x07b"}, "control_character", "variety"),
        ({"commodity": "x" * 101}, "too_long", "commodity"),
    ],
)
def test_doubtful_price_is_set_aside(path: Path, changes: dict[str, str], code: str, said: str) -> None:
    """A price whose unit, order, number or date is in doubt is set aside with the reason."""
    found = one(path, QUOTE | changes, today=date(2026, 7, 24))
    assert isinstance(found, Rejected)
    assert found.code == code
    assert said in found.reason


@pytest.mark.parametrize("modal", ["99.5", "100", "300000.4"])
def test_bounds_of_belief_are_inclusive(path: Path, modal: str) -> None:
    """One rupee and three thousand rupees a kilogram are believed, after rounding."""
    assert draft(path, min_price="", max_price="", modal_price=modal).price_minor in (100, 300_000)


def test_tomorrow_is_not_the_future(path: Path) -> None:
    """A price of tomorrow is taken: the day begins elsewhere first."""
    assert isinstance(one(path, QUOTE | {"date": "25/07/2026"}, date(2026, 7, 24)), ProductDraft)


def test_catalogue_row_is_the_same_listing(path: Path) -> None:
    """The clean catalogue and the daily prices mean the same listing and the same market."""
    found = one(path, CATALOGUE)
    assert isinstance(found, ProductDraft)
    daily = draft(path)
    assert found.external_key == daily.external_key
    assert found.seller.external_key == daily.seller.external_key
    assert (found.name, found.alias_key, found.price_only) == ("Nendran", "k1", False)
    assert (found.seller.latitude_e6, found.seller.longitude_e6) == (10_520_000, 76_210_000)
    assert found.name_hi == daily.name_hi


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"unit": "piece"}, "unit is 'piece'; accepted: kg"),
        ({"currency": "USD"}, "currency is 'USD'; accepted: INR"),
        ({"price_paise_per_kg": "3500.0"}, "price_paise_per_kg"),
        ({"lat": ""}, "lat is missing beside lon"),
        ({"product_key": ""}, "product_key"),
        ({"observed_on": "24/07/2026"}, "observed_on"),
    ],
)
def test_catalogue_row_that_is_wrong_is_named(path: Path, changes: dict[str, str], said: str) -> None:
    """The clean catalogue is per kg, in whole paise, with both coordinates or none."""
    found = one(path, CATALOGUE | changes)
    assert isinstance(found, Rejected)
    assert said in found.reason


def test_market_without_place_is_a_market(path: Path) -> None:
    """A market that could not be located has no coordinates."""
    found = one(path, CATALOGUE | {"lat": "", "lon": ""})
    assert isinstance(found, ProductDraft)
    assert found.seller.latitude_e6 is None


def test_history_row_is_an_observation(path: Path) -> None:
    """A price history names products by key, and a high price is believed there."""
    header = "product_key,observed_on,min_paise_per_kg,max_paise_per_kg,modal_paise_per_kg"
    good, wrong = read(path, f"{header}\nk1,2026-07-02,,,500000\nk1,2026-07-02,9,8,8\n")
    assert good.value == PriceObservation(product_key="k1", observed_on="2026-07-02", price_minor=500_000)
    assert isinstance(wrong.value, Rejected)
    assert wrong.value.code == "min_above_max"


RECORD = {**{name: value for name, value in QUOTE.items() if name != "date"}, "arrival_date": "24/07/2026"}


@pytest.mark.parametrize(
    "rename",
    [
        str,
        str.title,
        str.upper,
        lambda name: name.title().replace("_", "_x0020_"),
        lambda name: name.replace("_", " "),
    ],
    ids=["snake", "Title_Case", "UPPER", "xml-escaped", "spaced"],
)
def test_datagovin_names_arrive_in_many_spellings(path: Path, rename: "type[str]") -> None:
    """Records of data.gov.in are read under every spelling of their members, numbers as text or not."""
    record: dict[str, object] = {rename(name): value for name, value in RECORD.items()}
    record[rename("modal_price")] = 3500
    (found,) = read(path, json.dumps({"records": [record]}))
    assert found.line == 1
    assert found.value == draft(path)


def test_datagovin_record_that_is_wrong_is_rejected_alone(path: Path) -> None:
    """A wrong record is named by its number and does not stop the others."""
    records: list[object] = [
        RECORD | {"modal_price": "NA"},
        RECORD | {"Modal Price": 1},
        RECORD | {"state": ["Kerala"]},
        7,
        RECORD | {"min_price": "NA", "max_price": None},
    ]
    found = read(path, json.dumps({"records": records}, indent=1))
    codes = [row.value.code if isinstance(row.value, Rejected) else None for row in found]
    assert codes == ["missing", "duplicate_member", "not_text", "not_object", None]
    assert [row.line for row in found] == [1, 2, 3, 4, 5]


def test_datagovin_document_is_bounded(path: Path) -> None:
    """A JSON document of more than 32 MiB is refused: it would be held in memory as a whole."""
    path.write_bytes(b'{"records": [' + b" " * (32 << 20) + b"]}")
    with pytest.raises(UnreadableFile, match="more than 32 MiB"):
        open_source(path).check()
