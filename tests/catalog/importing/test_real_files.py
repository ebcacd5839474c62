"""The published files: every row, every key and every price of them."""

import csv
import gzip
from collections import Counter
from datetime import date

import pytest

from farmlokal.catalog.importing.source import Format, Rejected, SourceRow, open_source
from farmlokal.catalog.models import PostcodePlace, PriceObservation, ProductDraft
from tests.support.published import published


def read(name: str) -> list[SourceRow]:
    """All rows of a published file; its check counts as many."""
    source = open_source(published(name), today=date(2026, 9, 1))
    rows = list(source.read())
    assert source.check() == len(rows)
    return rows


def drafts(rows: list[SourceRow]) -> dict[str, ProductDraft]:
    """The accepted products by key."""
    return {row.value.external_key: row.value for row in rows if isinstance(row.value, ProductDraft)}


@pytest.fixture(scope="module")
def catalogue() -> dict[str, ProductDraft]:
    """The clean catalogue, every row of it accepted under a key of its own."""
    rows = read("agmarknet/products.csv.gz")
    found = drafts(rows)
    assert (len(rows), len(found)) == (35_051, 35_051)
    return found


def test_clean_catalogue_is_accepted_as_a_whole(catalogue: dict[str, ProductDraft]) -> None:
    """Every row of the clean catalogue is a listing of its own, with an alias of its own."""
    assert len({draft.alias_key for draft in catalogue.values()}) == 35_051
    assert len({draft.seller.external_key for draft in catalogue.values()}) == 2755


@pytest.mark.parametrize(("day", "rejected"), [("2026-07-23", 33), ("2026-07-24", 38)])
def test_daily_prices_meet_the_catalogue(catalogue: dict[str, ProductDraft], day: str, rejected: int) -> None:
    """Each believed daily price is of a listing of the catalogue, and equal to its price of that day."""
    rows = read(f"agmarknet/daily-{day}.csv.gz")
    found = drafts(rows)
    assert sum(isinstance(row.value, Rejected) for row in rows) == rejected
    assert len(found) == len(rows) - rejected
    assert found.keys() <= catalogue.keys()
    same_day = [key for key, draft in found.items() if catalogue[key].price_on == draft.price_on]
    assert len(same_day) > 4000
    for key in same_day:
        mine, clean = found[key], catalogue[key]
        assert (mine.price_low_minor, mine.price_minor, mine.price_high_minor) == (
            clean.price_low_minor,
            clean.price_minor,
            clean.price_high_minor,
        )
        assert mine.seller.external_key == clean.seller.external_key


@pytest.mark.parametrize("day", ["2026-07-23", "2026-07-24"])
def test_quarantine_gives_the_published_reasons(day: str) -> None:
    """What is set aside is what the clean archive set aside, for the same reasons."""
    with gzip.open(published("agmarknet/rejects.csv.gz"), "rt", encoding="utf-8", newline="") as file:
        expected = Counter(row["reason"] for row in csv.DictReader(file) if row["date"] == day)
    rows = read(f"agmarknet/daily-{day}.csv.gz")
    reasons = Counter(row.value.reason.split(":")[0] for row in rows if isinstance(row.value, Rejected))
    assert reasons == expected


def test_price_history_is_read_to_the_last_row(catalogue: dict[str, ProductDraft]) -> None:
    """Every observation is accepted and names a listing by its alias."""
    aliases = {draft.alias_key for draft in catalogue.values()}
    rows = read("agmarknet/observations.csv.gz")
    assert len(rows) == 307_005
    assert all(isinstance(row.value, PriceObservation) and row.value.product_key in aliases for row in rows)


def test_postcodes_are_read_to_the_last_row() -> None:
    """Every postcode place is accepted."""
    rows = read("pincodes/pincode_centroids.csv.gz")
    assert len(rows) == 20_938
    assert all(isinstance(row.value, PostcodePlace) for row in rows)


@pytest.mark.parametrize(
    ("name", "records", "rejected"),
    [
        ("datagovin_page_limit10.json", 10, 0),
        ("datagovin_page_limit1000.json", 1000, 3),
        ("datagovin_recorded_4_records_2026-08-29.json", 4, 0),
    ],
)
def test_pages_of_the_government_api_are_read(
    catalogue: dict[str, ProductDraft], name: str, records: int, rejected: int
) -> None:
    """Pages of data.gov.in are read with strings or numbers alike, and mean listings of the catalogue."""
    source = open_source(published(f"supplier_api/{name}"))
    rows = list(source.read())
    assert source.format is Format.DATAGOVIN
    assert (len(rows), sum(isinstance(row.value, Rejected) for row in rows)) == (records, rejected)
    unknown = drafts(rows).keys() - catalogue.keys()
    assert len(unknown) <= 1  # one market of August was not there in July
