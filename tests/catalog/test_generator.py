"""Generated products: the same ones every time, and shaped like those of a real market."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime
from itertools import islice

import msgspec
import pytest

from farmlokal.catalog.generator import generate
from farmlokal.catalog.models import NAME_BYTES, ProductDraft, SellerDraft, SellerKind, unit_price_minor
from farmlokal.catalog.reference import categories, commodities, find_commodity, find_district

TODAY = date(2026, 7, 24)
SAMPLE = 20_000  # enough that a share of one in twenty is known to half a percent


@pytest.fixture(scope="module")
def drafts() -> list[ProductDraft]:
    return list(generate(SAMPLE, random_seed=1, today=TODAY))


@pytest.fixture(scope="module")
def sellers(drafts: list[ProductDraft]) -> list[SellerDraft]:
    return list({draft.seller.external_key: draft.seller for draft in drafts}.values())


def test_equal_arguments_give_equal_products(drafts: list[ProductDraft]) -> None:
    """The same number, seed and day give the same products, to the byte."""
    assert list(generate(SAMPLE, random_seed=1, today=TODAY)) == drafts


def test_another_seed_gives_another_market(drafts: list[ProductDraft]) -> None:
    """Another seed gives other products under other keys."""
    other = list(generate(SAMPLE, random_seed=2, today=TODAY))
    assert {draft.external_key for draft in other}.isdisjoint(draft.external_key for draft in drafts)
    assert [draft.name for draft in other] != [draft.name for draft in drafts]


@pytest.mark.parametrize("hash_seed", ["0", "1", "2"])
def test_products_do_not_depend_on_the_process(hash_seed: str) -> None:
    """Another process, with other hashes of strings, generates the same products."""
    program = (
        "import datetime, hashlib, msgspec\n"
        "from farmlokal.catalog.generator import generate\n"
        "drafts = list(generate(500, random_seed=1, today=datetime.date(2026, 7, 24)))\n"
        "print(hashlib.sha256(msgspec.json.encode(drafts)).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", program]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    here = msgspec.json.encode(list(generate(500, random_seed=1, today=TODAY)))
    assert answer.stdout.strip() == hashlib.sha256(here).hexdigest()


@pytest.mark.parametrize("products", [0, 1, 4, 5, 60, 1_000])
def test_as_many_products_come_as_were_asked_for(products: int) -> None:
    """As many products come as were asked for, each under a key of its own: the seed and a number."""
    keys = [draft.external_key for draft in generate(products, random_seed=9, today=TODAY)]
    assert keys == [f"generated:9:{number:08}" for number in range(products)]


@pytest.mark.parametrize(("products", "most"), [(1, 1), (4, 4), (50, 5), (1_200, 100), (900_000, 20_000)])
def test_a_seller_has_a_dozen_products(products: int, most: int) -> None:
    """There is one seller to twelve products; at least five where there are products, at most 20,000."""
    drafts = islice(generate(products, random_seed=3, today=TODAY), 60_000)
    keys = {draft.seller.external_key for draft in drafts}
    assert keys <= {f"generated:3:seller:{number}" for number in range(most)}
    assert len(keys) >= most / 2


def test_generated_products_say_so(drafts: list[ProductDraft]) -> None:
    """A generated product names its source, and a description says that it is no offer."""
    assert {draft.source for draft in drafts} == {"generated"}
    assert all("Generated data" in draft.description for draft in drafts if draft.description)


def test_products_are_of_known_commodities(drafts: list[ProductDraft]) -> None:
    """Every product is of a known commodity, category and variety, and all categories occur."""
    by_name = {commodity.name_en: commodity for commodity in commodities()}
    for draft in drafts:
        commodity = by_name[draft.commodity or ""]
        assert draft.category == commodity.category
        assert draft.variety is None or draft.variety in commodity.varieties
        assert len(draft.name.encode()) <= NAME_BYTES
    assert {draft.category for draft in drafts} == {category.name_en for category in categories()}


def test_names_come_from_a_catalogue(drafts: list[ProductDraft]) -> None:
    """However many products there are, their names are a few thousand, and a name may be translated."""
    many = generate(120_000, random_seed=5, today=TODAY)
    names = {(draft.name, draft.name_hi, draft.name_ml, draft.commodity, draft.variety) for draft in many}
    assert 1_000 < len(names) < 6_000
    organic = next(draft for draft in drafts if draft.name == "Organic okra")
    assert (organic.name_hi, organic.name_ml) == ("जैविक भिंडी", "ജൈവ വെണ്ടയ്ക്ക")
    assert {"Nendran banana", "Banana – Robusta", "Country tomato"} <= {draft.name for draft in drafts}
    assert "French beans" in {draft.name for draft in drafts}
    assert not any("french" in draft.name for draft in drafts)


def test_prices_keep_to_the_band_of_the_commodity(drafts: list[ProductDraft]) -> None:
    """A price per kg, litre or piece lies in the commodity's band; without a pack the price is for one."""
    for draft in drafts:
        commodity = find_commodity(draft.commodity or "")
        assert commodity is not None
        per_unit = unit_price_minor(draft.price_minor, draft.pack_milli, draft.pack_unit)
        if per_unit is None:
            per_unit = draft.price_minor
        assert commodity.price_low_minor <= per_unit <= commodity.price_high_minor, draft


def test_prices_are_those_a_shop_would_ask(drafts: list[ProductDraft]) -> None:
    """Prices are whole or half rupees, and so few that many products share one."""
    assert {draft.price_minor % 50 for draft in drafts} == {0}
    tomatoes = Counter(
        draft.price_minor
        for draft in drafts
        if (draft.commodity, draft.pack_milli, draft.pack_unit) == ("Tomato", 1000, "kg")
    )
    assert tomatoes.most_common(1)[0][1] >= 5
    assert any(price % 1_000 == 900 for price in tomatoes)


def test_only_a_market_knows_the_spread_of_prices(drafts: list[ProductDraft]) -> None:
    """A market gives the lowest and highest price around its own; a farm has one price."""
    for draft in drafts:
        if draft.seller.kind is SellerKind.MARKET:
            assert draft.price_low_minor is not None
            assert draft.price_high_minor is not None
            assert draft.price_low_minor <= draft.price_minor <= draft.price_high_minor
        else:
            assert draft.price_low_minor is None
            assert draft.price_high_minor is None


def test_values_are_missing_as_in_real_data(drafts: list[ProductDraft]) -> None:
    """Pack, stock, harvest date, variety, grade or description are missing for some products, not all."""
    missing = {
        field: sum(getattr(draft, field) is None for draft in drafts) / len(drafts)
        for field in ("pack_milli", "stock_milli", "harvested_on", "variety", "grade", "description")
    }
    assert 0.01 < missing.pop("pack_milli") < 0.03
    assert all(0.1 < share < 0.6 for share in missing.values()), missing
    assert all((draft.pack_milli is None) == (draft.pack_unit is None) for draft in drafts)
    assert all((draft.harvested_on is None) == (draft.best_before is None) for draft in drafts)


def test_much_is_sold_out(drafts: list[ProductDraft]) -> None:
    """Stock is counted in whole units, and a good part of it is gone."""
    counts = [draft.stock_milli for draft in drafts if draft.stock_milli is not None]
    assert all(count >= 0 and count % 1000 == 0 for count in counts)
    assert 0.15 < counts.count(0) / len(drafts) < 0.25


def test_what_is_organic_is_mostly_certified(drafts: list[ProductDraft]) -> None:
    """About one product in eight is organic; most of those are certified, and no other is."""
    organic = [draft for draft in drafts if draft.organic]
    assert 0.10 < len(organic) / len(drafts) < 0.14
    assert {draft.certification for draft in organic} == {"PGS-India", "NPOP", None}
    assert not any(draft.certification for draft in drafts if not draft.organic)
    assert all(draft.organic for draft in drafts if draft.name.startswith("Organic "))


def test_nothing_on_offer_is_past_its_best(drafts: list[ProductDraft]) -> None:
    """What is on offer was harvested by today, and keeps for its shelf life, which ends after today."""
    for draft in drafts:
        if draft.harvested_on and draft.best_before:
            commodity = find_commodity(draft.commodity or "")
            assert commodity is not None
            assert draft.harvested_on <= TODAY.isoformat() < draft.best_before, draft
            life = date.fromisoformat(draft.best_before) - date.fromisoformat(draft.harvested_on)
            assert life.days == commodity.shelf_life_days
        assert draft.price_on is not None
        assert "2026-07-18" <= draft.price_on <= "2026-07-24"


def test_seasons_are_felt() -> None:
    """There are more mangoes in May than in November, and some all year."""
    may = Counter(draft.commodity for draft in generate(SAMPLE, today=date(2026, 5, 1)))
    november = Counter(draft.commodity for draft in generate(SAMPLE, today=date(2026, 11, 1)))
    assert may["Mango"] > 2 * november["Mango"] > 0


def test_instants_of_creation_tie(drafts: list[ProductDraft]) -> None:
    """Products were created over the 400 days before today, and many at one instant."""
    instants = Counter(draft.created_at_us or 0 for draft in drafts)
    midnight_us = int(datetime(2026, 7, 24, tzinfo=UTC).timestamp()) * 1_000_000
    assert midnight_us - 400 * 86_400_000_000 <= min(instants)
    assert midnight_us - 395 * 86_400_000_000 > min(instants)
    assert max(instants) < midnight_us
    assert sum(count for count in instants.values() if count > 1) > 0.1 * len(drafts)


def test_a_few_sell_most(drafts: list[ProductDraft]) -> None:
    """A tenth of the commodities make up more than a third of the products, and most commodities occur."""
    counts = [count for _, count in Counter(draft.commodity for draft in drafts).most_common()]
    assert sum(counts[: len(counts) // 10]) > len(drafts) / 3
    assert len(counts) > 200


def test_sellers_live_near_their_district_town(sellers: list[SellerDraft]) -> None:
    """A seller lies within 13 km or so of the district's town, under its postcode, where these are known."""
    for seller in sellers:
        place = find_district(seller.state, seller.district)
        assert place is not None
        assert seller.postcode in (None, place.postcode)
        if seller.latitude_e6 is not None and seller.longitude_e6 is not None:
            assert abs(seller.latitude_e6 - place.latitude_e6) <= 120_000
            assert abs(seller.longitude_e6 - place.longitude_e6) <= 120_000
        else:
            assert seller.latitude_e6 is seller.longitude_e6 is None
    assert 0.02 < sum(seller.postcode is None for seller in sellers) / len(sellers) < 0.10
    assert 0.04 < sum(seller.latitude_e6 is None for seller in sellers) / len(sellers) < 0.13


def test_farms_collectives_and_markets_sell(sellers: list[SellerDraft]) -> None:
    """Most sellers are farms, some are collectives, a few are markets, and no two stand on one spot."""
    kinds = Counter(seller.kind for seller in sellers)
    assert kinds[SellerKind.FARM] > kinds[SellerKind.COLLECTIVE] > kinds[SellerKind.MARKET] > 0
    spots = [(seller.latitude_e6, seller.longitude_e6) for seller in sellers if seller.latitude_e6]
    assert len(set(spots)) == len(spots)


def test_sellers_are_shared_between_products(drafts: list[ProductDraft], sellers: list[SellerDraft]) -> None:
    """A seller is one object however many products are sold, so that a million products stay cheap."""
    assert len({id(draft.seller) for draft in drafts}) == len(sellers)
