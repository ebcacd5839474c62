"""Our own product format, as CSV and as NDJSON."""

import csv
import io
import json
from pathlib import Path

import pytest

from farmlokal.catalog.importing.source import Rejected, SourceRow, open_source
from farmlokal.catalog.models import ProductDraft, SellerDraft, SellerKind

LEAST: dict[str, object] = {
    "externalKey": "p1",
    "name": "Nendran banana",
    "category": "Fruits",
    "price": "36.00",
    "sellerName": "Thrissur Growers",
    "district": "Thrissur",
    "state": "Kerala",
}
FULL: dict[str, object] = LEAST | {
    "nameHi": "केला",
    "nameMl": "നേന്ത്രപ്പഴം",
    "description": "Ripened on the plant",
    "commodity": "Banana",
    "variety": "Nendran",
    "grade": "A",
    "packValue": "0.5",
    "packUnit": "kg",
    "currency": "INR",
    "stock": "48.5",
    "organic": True,
    "certification": "PGS-India",
    "harvestedOn": "2026-11-20",
    "bestBefore": "2026-11-26",
    "imageUrl": "https://example.org/banana.jpg",
    "sellerKey": "farm-31",
    "sellerKind": "collective",
    "postcode": "680001",
    "latitude": "10.5276",
    "longitude": "76.2144",
}


def as_csv(members: dict[str, object]) -> str:
    """The members as a CSV file of one row."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(members)
    writer.writerow("true" if value is True else value for value in members.values())
    return out.getvalue()


def rows(tmp_path: Path, content: str) -> list[SourceRow]:
    """The rows of a file with this content; the check counts as many."""
    path = tmp_path / "products"
    path.write_bytes(content.encode())
    source = open_source(path)
    found = list(source.read())
    assert source.check() == len(found)
    return found


def line(tmp_path: Path, members: dict[str, object]) -> ProductDraft | Rejected:
    """What becomes of one NDJSON line."""
    (found,) = rows(tmp_path, json.dumps(members))
    assert isinstance(found.value, ProductDraft | Rejected)
    return found.value


@pytest.mark.parametrize("form", [as_csv, json.dumps], ids=["csv", "ndjson"])
def test_both_forms_hold_the_same_members(tmp_path: Path, form: "type[str]") -> None:
    """CSV and NDJSON have the same members and give the same product."""
    (found,) = rows(tmp_path, form(FULL))
    assert found.value == ProductDraft(
        external_key="p1",
        seller=SellerDraft(
            external_key="farm-31",
            kind=SellerKind.COLLECTIVE,
            name="Thrissur Growers",
            district="Thrissur",
            state="Kerala",
            postcode="680001",
            latitude_e6=10_527_600,
            longitude_e6=76_214_400,
        ),
        name="Nendran banana",
        category="Fruits",
        price_minor=3600,
        source="file",
        name_hi="केला",
        name_ml="നേന്ത്രപ്പഴം",
        description="Ripened on the plant",
        commodity="Banana",
        variety="Nendran",
        grade="A",
        pack_milli=500,
        pack_unit="kg",
        stock_milli=48_500,
        organic=True,
        certification="PGS-India",
        harvested_on="2026-11-20",
        best_before="2026-11-26",
        image_url="https://example.org/banana.jpg",
    )


@pytest.mark.parametrize("form", [as_csv, json.dumps], ids=["csv", "ndjson"])
def test_seven_members_are_enough(tmp_path: Path, form: "type[str]") -> None:
    """Key, name, category, price, seller, district and state are enough; the seller is a farm."""
    (found,) = rows(tmp_path, form(LEAST))
    assert isinstance(found.value, ProductDraft)
    assert found.value.seller.kind is SellerKind.FARM
    assert (found.value.pack_milli, found.value.stock_milli, found.value.organic) == (None, None, False)


@pytest.mark.parametrize("member", LEAST)
@pytest.mark.parametrize("empty", ["", "  ", None])
def test_required_member_is_missed_by_name(tmp_path: Path, member: str, empty: str | None) -> None:
    """A required member that is empty or null rejects the row by its name."""
    found = line(tmp_path, LEAST | {member: empty})
    assert isinstance(found, Rejected)
    assert found == Rejected("missing", f"{member} is missing; it is required")


def test_seller_without_key_is_known_by_name_and_place(tmp_path: Path) -> None:
    """Two rows of one seller meet although it has no key; another district is another seller."""
    keys = [
        found.seller.external_key
        for change in ({}, {"sellerName": "thrissur  GROWERS", "state": "Keralam"}, {"district": "Palakkad"})
        if isinstance(found := line(tmp_path, LEAST | change), ProductDraft)
    ]
    assert keys[0] == keys[1]
    assert keys[0] != keys[2]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"price": "36.005"}, "price"),
        ({"price": -1}, "price"),
        ({"price": 100_000_001}, "price"),
        ({"price": True}, "price is true"),
        ({"price": "1e2"}, "price"),
        ({"name": 7}, "name is '7'; accepted: a text"),
        ({"name": "x" * 301}, "name is too long"),
        ({"name": "a\nb"}, "name has a control character"),
        ({"name": "\ud83c"}, "name has a control character"),
        ({"externalKey": "x" * 201}, "externalKey is too long"),
        ({"currency": "USD"}, "currency"),
        ({"packValue": "1"}, "packUnit is missing"),
        ({"packUnit": "kg"}, "packValue is missing"),
        ({"packValue": "0", "packUnit": "kg"}, "packValue"),
        ({"packValue": "1", "packUnit": "stone"}, "accepted: kg, g, litre, ml, piece, dozen, bunch"),
        ({"stock": "1.0005"}, "stock"),
        ({"organic": "true"}, "organic"),
        ({"organic": 1}, "organic"),
        ({"sellerKind": "shop"}, "accepted: farm, collective, market"),
        ({"postcode": "080001"}, "postcode"),
        ({"postcode": 680001}, "postcode"),
        ({"latitude": 10.5}, "longitude is missing beside latitude"),
        ({"latitude": 91, "longitude": 76}, "latitude is '91'"),
        ({"harvestedOn": "2026-02-30"}, "harvestedOn"),
        ({"harvestedOn": "2026-11-20", "bestBefore": "2026-11-19"}, "bestBefore"),
        ({"imageUrl": "javascript:alert(1)"}, "imageUrl"),
        ({"imageUrl": "https://"}, "imageUrl"),
        ({"imageUrl": "http://[::1"}, "imageUrl"),
        ({"imageUrl": "https://a b/"}, "imageUrl"),
        ({"imageUrl": "https://e.org/" + "x" * 1000}, "imageUrl"),
        ({"description": {"a": 1}}, "description"),
        ({"Price": "5"}, "unknown member 'Price'"),
    ],
)
def test_member_that_is_wrong_is_named(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    """A member that is out of range or of another kind rejects the row, with what would be accepted."""
    found = line(tmp_path, LEAST | changes)
    assert isinstance(found, Rejected)
    assert said in found.reason
    assert "accepted" in found.reason


@pytest.mark.parametrize(("written", "paise"), [("36.10", 3610), ("1e2", 10_000), ("0", 0), ("1.5E+1", 1500)])
def test_json_price_never_becomes_a_float(tmp_path: Path, written: str, paise: int) -> None:
    """A price may be a JSON number in any notation, and keeps its digits."""
    (found,) = rows(tmp_path, json.dumps(LEAST).replace('"36.00"', written))
    assert isinstance(found.value, ProductDraft)
    assert found.value.price_minor == paise


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ("[1, 2]", "not_object"),
        ("null", "not_object"),
        ("{", "not_json"),
        ('{"name": "a"} {"name": "b"}', "not_json"),
        ('{"name": "a", "name": "b"}', "duplicate_member"),
        ('{"price": NaN}', "not_json"),
        ('{"price": -Infinity}', "not_json"),
        ('{"price": ' + "1" * 5000 + "}", "missing"),
        ('{"name": ' + "[" * 200_000 + "}", "not_json"),
        ('{"price": 1e999999999}', "missing"),
    ],
)
def test_line_that_is_not_one_object_is_rejected_alone(tmp_path: Path, wrong: str, code: str) -> None:
    """A line that is not one flat JSON object is rejected, and the lines around it are read."""
    good = json.dumps(LEAST)
    found = rows(tmp_path, f"{good}\n\n{wrong}\r\n{good}")
    assert [row.line for row in found] == [1, 3, 4]
    assert isinstance(found[1].value, Rejected)
    assert found[1].value.code == code
    assert isinstance(found[2].value, ProductDraft)


@pytest.mark.parametrize("price", ["1" * 41, "1e999999999", "1" + "0" * 39 + ".5"])
def test_number_without_end_is_rejected(tmp_path: Path, price: str) -> None:
    """A number of more than forty characters, or with a huge exponent, is rejected and not computed."""
    (found,) = rows(tmp_path, json.dumps(LEAST).replace('"36.00"', price))
    assert isinstance(found.value, Rejected)
    assert "price" in found.value.reason


def test_spreadsheet_writes_true_in_capitals(tmp_path: Path) -> None:
    """In CSV `organic` may be TRUE or FALSE as well, and nothing else."""
    values = {}
    for written in ("TRUE", "false", "yes"):
        (found,) = rows(tmp_path, as_csv(LEAST | {"organic": written}))
        values[written] = found.value.organic if isinstance(found.value, ProductDraft) else found.value
    assert values["TRUE"] is True
    assert values["false"] is False
    assert isinstance(values["yes"], Rejected)


def test_reason_fits_the_quarantine(tmp_path: Path) -> None:
    """A reason has at most 500 characters, however much of a row is wrong."""
    found = line(tmp_path, LEAST | {"x" * 900 + str(number): 1 for number in range(50)})
    assert isinstance(found, Rejected)
    assert len(found.reason) <= 500
