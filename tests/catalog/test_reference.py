"""The reference tables: right scripts, sane numbers, and enough aliases to read a real market report."""

import csv
import gzip
import math
import os
import unicodedata
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from farmlokal.catalog.models import UNITS
from farmlokal.catalog.reference import (
    FALLBACK_CATEGORY,
    Category,
    Commodity,
    canonical_state,
    categories,
    commodities,
    districts,
    find_commodity,
    find_district,
    states,
)

DATA = Path(__file__).parents[3] / "shared" / "data"

# The mean radius, from the IUGG.
EARTH_KM = 6371


@pytest.fixture
def data() -> Path:
    if not DATA.is_dir():
        message = f"the shared data sets are not at {DATA}"
        if os.environ.get("FARMLOKAL_REQUIRE_DATA") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return DATA


def named() -> list[Commodity | Category]:
    return [*commodities(), *categories()]


def is_written_in(script: str, text: str) -> bool:
    """Whether every letter and sign of a text is of one script; spaces, commas and joiners are of any."""
    signs = [sign for sign in text if sign not in " ,-\u200c\u200d"]
    return bool(signs) and all(unicodedata.name(sign).startswith(script) for sign in signs)


def test_names_in_hindi_are_written_in_devanagari() -> None:
    """Every Hindi name is written in Devanagari and nothing else."""
    names = [row.name_hi for row in named() if row.name_hi]
    assert [name for name in names if not is_written_in("DEVANAGARI", name)] == []


def test_names_in_malayalam_are_written_in_malayalam() -> None:
    """Every Malayalam name is written in the Malayalam script and nothing else."""
    names = [row.name_ml for row in named() if row.name_ml]
    assert [name for name in names if not is_written_in("MALAYALAM", name)] == []


def test_names_are_tidy() -> None:
    """No name, variety or alias begins or ends with a space, holds two in a row, or is empty."""
    for commodity in commodities():
        texts = (commodity.name_en, commodity.name_hi, commodity.name_ml, *commodity.varieties)
        for text in (*texts, *commodity.aliases):
            assert text is None or (text and text == " ".join(text.split())), commodity


def test_most_commodities_are_known_in_three_languages() -> None:
    """There are at least 120 commodities, and nine in ten of them have a Hindi and a Malayalam name."""
    assert len(commodities()) >= 120
    assert sum(bool(commodity.name_hi) for commodity in commodities()) >= 0.9 * len(commodities())
    assert sum(bool(commodity.name_ml) for commodity in commodities()) >= 0.9 * len(commodities())


def test_a_market_shows_twelve_categories() -> None:
    """The categories are these twelve, all named in three languages, and each holds some commodity."""
    names = {category.name_en for category in categories()}
    assert names == {
        "Vegetables",
        "Fruits",
        "Leafy greens",
        "Cereals and millets",
        "Pulses",
        "Oilseeds",
        "Spices",
        "Dairy and honey",
        "Livestock, fish, eggs",
        "Fibre and cash crops",
        "Flowers",
        "Herbs and other",
    }
    assert all(category.name_hi and category.name_ml for category in categories())
    assert {commodity.category for commodity in commodities()} == names
    assert FALLBACK_CATEGORY in names


@pytest.mark.parametrize(
    ("name", "hindi", "malayalam"),
    [
        ("Tomato", "टमाटर", "തക്കാളി"),
        ("Mango", "आम", "മാമ്പഴം"),
        ("Okra", "भिंडी", "വെണ്ടയ്ക്ക"),
        ("Black pepper", "काली मिर्च", "കുരുമുളക്"),
    ],
)
def test_a_commodity_is_named_as_its_buyers_name_it(name: str, hindi: str, malayalam: str) -> None:
    """A commodity carries the Hindi and Malayalam words that its buyers use."""
    commodity = get(name)
    assert (commodity.name_hi, commodity.name_ml) == (hindi, malayalam)


def test_numbers_of_a_commodity_are_sane() -> None:
    """A price band has width, a season months, a shelf life days, and a unit is kg, litre or piece."""
    for commodity in commodities():
        assert 0 < commodity.price_low_minor < commodity.price_high_minor, commodity
        assert commodity.season_from in range(1, 13), commodity
        assert commodity.season_until in range(1, 13), commodity
        assert commodity.shelf_life_days > 0, commodity
        assert commodity.unit in ("kg", "litre", "piece"), commodity


def test_packs_are_of_the_unit_they_are_priced_in() -> None:
    """A pack of what is sold by the kg is a number of g or kg, and the packs of a commodity only grow."""
    for commodity in commodities():
        assert {UNITS[pack.unit].base for pack in commodity.packs} <= {commodity.unit}, commodity
        sizes = [pack.base_micro for pack in commodity.packs]
        assert all(0 < smaller < larger for smaller, larger in pairwise(sizes)), commodity
    assert [(pack.milli, pack.unit) for pack in get("Tomato").packs][:2] == [(500_000, "g"), (1000, "kg")]


def test_what_is_not_for_households_has_no_pack() -> None:
    """Timber and cattle are known, so that a report about them can be read, and have no household pack."""
    assert [name for name in ("Wood", "Cow", "Jute") if get(name).packs] == []
    assert sum(bool(commodity.packs) for commodity in commodities()) >= 0.9 * len(commodities())


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Bhindi(Ladies Finger)", "Okra"),
        ("bhindi  (LADIES finger)", "Okra"),
        ("Cucumbar(Kheera)", "Cucumber"),
        ("Raddish", "Radish"),
        ("Chikoos(Sapota)", "Sapota"),
        ("Sesamum(Sesame,Gingelly,Til)", "Sesame"),
        ("Pea Pod/Pea Cod/हरी मटर", "Green peas"),
    ],
)
def test_a_commodity_is_found_by_the_names_of_market_reports(name: str, found: str) -> None:
    """A commodity is found by the spelling of a market report, however cased, spaced or punctuated."""
    assert get(name).name_en == found


@pytest.mark.parametrize("name", ["", "  ", "()", "Spaceship", "Tomat"])
def test_an_unknown_commodity_is_not_guessed(name: str) -> None:
    """A name that no table holds finds nothing."""
    assert find_commodity(name) is None


@pytest.mark.parametrize(
    ("season_from", "season_until", "months"),
    [(3, 5, {3, 4, 5}), (11, 2, {11, 12, 1, 2}), (1, 12, set(range(1, 13))), (9, 9, {9})],
)
def test_a_season_may_run_over_the_new_year(season_from: int, season_until: int, months: set[int]) -> None:
    """A season counts both its first and its last month, also when it runs over the new year."""
    commodity = get("Tomato")._replace(season_from=season_from, season_until=season_until)
    assert {month for month in range(1, 13) if commodity.in_season(month)} == months


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("Keralam", "Kerala"),
        ("KERALA", "Kerala"),
        ("NCT of Delhi", "Delhi"),
        ("Pondicherry", "Puducherry"),
        ("Chattisgarh", "Chhattisgarh"),
        ("Orissa", "Odisha"),
        ("Uttaranchal", "Uttarakhand"),
        ("Jammu & Kashmir", "Jammu and Kashmir"),
        ("Jammu And Kashmir", "Jammu and Kashmir"),
        ("Andaman and Nicobar", "Andaman and Nicobar Islands"),
        ("  Ruritania \t of the  South ", "Ruritania of the South"),
        ("", ""),
    ],
)
def test_a_state_has_one_spelling(name: str, canonical: str) -> None:
    """A state is spelt one way whatever a file calls it, and an unknown one is only tidied."""
    assert canonical_state(name) == canonical


def test_all_states_of_india_are_known() -> None:
    """There are 28 states and 8 union territories, and each has a district."""
    assert len(states()) == 36
    assert {place.state for place in districts()} == {state.name for state in states()}


def test_districts_lie_in_india() -> None:
    """There are at least 170 districts, each inside the bounds of India and with a six-digit postcode."""
    assert len(districts()) >= 170
    for place in districts():
        # Indira Point to the Siachen, and Gujarat to Arunachal Pradesh (Survey of India).
        assert 6_700_000 < place.latitude_e6 < 37_100_000, place
        assert 68_100_000 < place.longitude_e6 < 97_500_000, place
        assert len(place.postcode) == 6, place
        assert place.postcode.isascii(), place
        assert place.postcode.isdigit(), place
        assert place.postcode[0] in "12345678", place  # 9 is the army's


def test_two_districts_are_two_places() -> None:
    """No two districts share a postcode, or a town."""
    assert len({place.postcode for place in districts()}) == len(districts())
    assert len({(place.latitude_e6, place.longitude_e6) for place in districts()}) == len(districts())


def test_all_districts_of_kerala_are_known() -> None:
    """Kerala is complete: all its 14 districts are known."""
    assert sum(place.state == "Kerala" for place in districts()) == 14


def test_a_district_is_found_in_its_state() -> None:
    """A district is found by name in any spelling of its state, and in no other state."""
    wayanad = find_district("Keralam", "WAYANAD")
    assert wayanad is not None
    assert (wayanad.state, wayanad.postcode) == ("Kerala", "673121")
    assert (wayanad.latitude_e6, wayanad.longitude_e6) == (11_608_500, 76_083_800)
    assert find_district("Tamil Nadu", "Wayanad") is None


def test_aliases_cover_real_market_reports(data: Path) -> None:
    """Nine in ten listings of India's wholesale markets are of a commodity that we know."""
    with gzip.open(data / "agmarknet" / "products.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        known = [find_commodity(row["commodity"]) is not None for row in csv.DictReader(lines)]
    assert sum(known) / len(known) >= 0.9


def test_states_of_real_files_are_recognised(data: Path) -> None:
    """Every state that a day of market reports names is one that we know."""
    known = {state.name for state in states()}
    report = data / "agmarknet" / "daily-2026-07-24.csv.gz"
    with gzip.open(report, "rt", encoding="utf-8", newline="") as lines:
        assert {canonical_state(row["state"]) for row in csv.DictReader(lines)} <= known


def test_postcodes_are_those_of_the_towns(data: Path) -> None:
    """A district's postcode lies within 40 km of its town, by the published list of post offices.

    That list places some offices in the wrong state, which moves the centroid of one postcode in a hundred;
    so one district in forty may differ.
    """
    offices = defaultdict(list)
    source = data / "pincodes" / "pincode_centroids.csv.gz"
    with gzip.open(source, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            offices[row["pincode"]].append((float(row["lat"]), float(row["lon"])))
    checked = [place for place in districts() if place.postcode in offices]
    far = [
        place
        for place in checked
        if min(
            kilometres(place.latitude_e6 / 1e6, place.longitude_e6 / 1e6, *at)
            for at in offices[place.postcode]
        )
        > 40
    ]
    assert len(checked) >= 0.98 * len(districts())
    assert len(far) <= len(checked) / 40, far


def get(name: str) -> Commodity:
    commodity = find_commodity(name)
    assert commodity is not None, name
    return commodity


def kilometres(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """The distance on a sphere of two points a few degrees apart, by the flat approximation."""
    north = math.radians(other_latitude - latitude)
    east = math.radians(other_longitude - longitude) * math.cos(math.radians(latitude))
    return EARTH_KM * math.hypot(north, east)
