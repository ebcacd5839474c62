"""What each supplier's format means in our terms."""

import json
from typing import Any

import pytest

from farmlokal.catalog.importing.datagovin import record_draft
from farmlokal.catalog.importing.json_object import object_members
from tests.suppliers.pages import DUMMY, HOUSE, RECORD, SHOP, one, page, read, refusal, variant


def test_a_dummyjson_product_is_an_offer() -> None:
    """A product of dummyjson is sold by the piece, in rupees, by the supplier itself, under its own id."""
    offer = one("dummyjson")
    product = offer.product
    assert (offer.key, product.external_key, product.source) == ("16", "acme:16", "supplier")
    assert (product.name, product.price_minor, product.seller) == ("Pineapple", 4150, HOUSE)
    assert (product.pack_milli, product.pack_unit, product.stock_milli) == (1000, "piece", 8000)
    assert product.description == "Fresh and sweet."
    assert product.image_url == "https://cdn.example/pineapple/thumbnail.webp"


def test_a_known_crop_stands_on_its_shelf_in_three_languages() -> None:
    """Goods that our tables know get our category and our names; others keep the shop's category."""
    known = one("dummyjson").product
    assert (known.category, known.commodity) == ("Fruits", "Pineapple")
    assert known.name_hi
    assert known.name_ml
    other = one("dummyjson", title="Nail polish", category="skin-care").product
    assert (other.category, other.commodity, other.name_hi) == ("Skin care", None, None)
    assert one("dummyjson", title="Thing", category=7).product.category == "Herbs and other"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"id": "abc-1"}, {"external_key": "acme:abc-1"}),
        ({"price": 0.1}, {"price_minor": 10}),
        ({"price": "41.50"}, {"price_minor": 4150}),
        ({"price": 4e1}, {"price_minor": 4000}),
        ({"stock": 0}, {"stock_milli": 0}),
        ({"stock": "12"}, {"stock_milli": 12_000}),
        ({"availabilityStatus": "Out of Stock"}, {"stock_milli": 0}),
        ({"availabilityStatus": "Low Stock"}, {"stock_milli": 8000}),
        ({"thumbnail": None}, {"image_url": "https://cdn.example/pineapple/1.webp"}),
        ({"thumbnail": None, "images": []}, {"image_url": None}),
        ({"thumbnail": "javascript:alert(1)"}, {"image_url": None}),
        ({"thumbnail": 7}, {"image_url": None}),
        ({"description": None}, {"description": None}),
        ({"description": " \u0000 "}, {"description": None}),
        ({"description": "<script>x</script> a\u0007b \ud800 &lt;c"}, {"description": "x a b <c"}),
        ({"reviews": None, "dimensions": "huge", "unknown": {"deep": [1]}}, {"price_minor": 4150}),
    ],
)
def test_dummyjson_in_its_variety(changes: dict[str, Any], expected: dict[str, object]) -> None:
    """Ids and numbers arrive as numbers or as text, and what only decorates is left out when it is unfit."""
    product = one("dummyjson", **changes).product
    assert {name: getattr(product, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"id": None}, "missing"),
        ({"id": True}, "not_text"),
        ({"id": "x" * 200}, "too_long"),
        ({"title": " "}, "missing"),
        ({"title": "x" * 301}, "too_long"),
        ({"title": 7}, "not_text"),
        ({"title": "a\u0007b"}, "control_character"),
        ({"price": None}, "missing"),
        ({"price": -1}, "negative"),
        ({"price": 1.005}, "too_precise"),
        ({"price": 1e999}, "not_a_number"),
        ({"price": 1e25}, "out_of_range"),
        ({"price": float("nan")}, "not_a_number"),
        ({"price": float("inf")}, "not_a_number"),
        ({"price": "1_000"}, "not_a_number"),
        ({"price": [1]}, "not_a_number"),
        ({"price": True}, "not_a_number"),
        ({"price": "9" * 5000}, "out_of_range"),
        ({"stock": -1}, "negative"),
        ({"stock": None}, "missing"),
        ({"stock": "many"}, "not_a_number"),
    ],
)
def test_absurd_dummyjson_products_are_refused(changes: dict[str, Any], code: str) -> None:
    """A product without id, name, believable price or stock is refused with the reason."""
    assert refusal("dummyjson", **changes) == code


def test_a_long_description_is_cut() -> None:
    """Nobody's goods are refused for being praised at length."""
    found = one("dummyjson", description="praise " * 400 + "<b>" * 50_000).product.description
    assert found is not None
    assert len(found) == 2000
    assert found.endswith("praise prai…")


def test_a_mandi_record_is_the_listing_of_the_files() -> None:
    """A record of data.gov.in is the listing that an imported file means by it, and known by its key."""
    offer = one("datagovin")
    assert offer.product == record_draft(object_members(json.dumps(RECORD)), None)
    assert offer.key == offer.product.external_key
    assert (offer.product.name, offer.product.seller.state) == ("Tomato", "Kerala")
    assert (offer.product.price_minor, offer.product.pack_unit) == (2000, "kg")
    assert offer.product.stock_milli is None


@pytest.mark.parametrize(
    "same",
    [
        {"modal_price": 2000, "min_price": 1800, "max_price": 2200},
        {"modal_price": 2e3},
        {"arrival_date": "2026-07-24"},
        {"state": "Kerala "},
        {"market": "MUKKOM  MARKET"},
    ],
)
def test_a_mandi_record_has_many_spellings(same: dict[str, Any]) -> None:
    """Numbers as numbers or text, dates in both orders and names however spaced are one listing."""
    found, plain = one("datagovin", **same), one("datagovin")
    assert found.key == plain.key
    assert found.product.price_minor == plain.product.price_minor
    assert found.product.price_on == plain.product.price_on


def test_names_of_mandi_members_have_alternates() -> None:
    """``Modal Price``, ``Modal_x0020_Price`` and ``modal_price`` are one member."""
    for rename in (str.title, str.upper, lambda name: name.title().replace("_", "_x0020_")):
        record = {rename(name): value for name, value in RECORD.items()}
        assert read("datagovin", page("datagovin", record)).offers == [one("datagovin")]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"modal_price": "NA"}, "missing"),
        ({"modal_price": float("nan")}, "not_text"),
        ({"modal_price": "99"}, "unit_doubtful"),
        ({"modal_price": "3000"}, "modal_outside"),
        ({"min_price": "-5"}, "negative"),
        ({"Modal Price": "2000"}, "duplicate_member"),
        ({"market": ["Mukkom"]}, "not_text"),
        ({"state": None}, "missing"),
        ({"arrival_date": "31/02/2026"}, "bad_date"),
    ],
)
def test_absurd_mandi_records_are_refused(changes: dict[str, Any], code: str) -> None:
    """A record that an import would set aside is refused for the same reason."""
    assert refusal("datagovin", **changes) == code


def test_lowest_and_highest_price_may_be_absent() -> None:
    """``NA`` stands for nothing in a range."""
    product = one("datagovin", min_price="NA", max_price=None).product
    assert (product.price_low_minor, product.price_high_minor) == (None, None)


def test_a_shopify_variant_is_an_offer() -> None:
    """A variant is what is sold; its shop shows whether it is to be had, and not how much there is."""
    offer = one("shopify")
    product = offer.product
    assert (offer.key, product.external_key) == ("808950810", "acme:808950810")
    assert (product.name, product.category, product.price_minor) == ("Banana", "Fruits", 19_900)
    assert product.description == "Ripened on the tree & hand-picked. no wax"
    assert (product.image_url, product.stock_milli) == ("https://cdn.example/banana.png?v=1", None)


def test_variants_are_named_after_their_product() -> None:
    """Several variants are several offers, called by product and variant; one that is wrong is refused
    alone."""
    variants = [
        {"id": 1, "title": "500 g", "price": "40.00"},
        {"id": 2, "title": "1 kg", "price": "-1"},
        "nonsense",
        {"id": 1, "title": "500 g again", "price": "41.00"},
        {"id": 3, "title": "Banana", "price": "75.5"},
    ]
    found = read("shopify", page("shopify", SHOP, SHOP | {"variants": variants}))
    assert [(offer.key, offer.product.name) for offer in found.offers] == [
        ("808950810", "Banana"),
        ("1", "Banana – 500 g"),
        ("3", "Banana"),
    ]
    assert [(item.number, item.code) for item in found.refused] == [
        (2, "negative"),
        (2, "not_object"),
        (2, "duplicate_key"),
    ]


@pytest.mark.parametrize(
    ("changes", "stock_milli"),
    [
        ({"available": False}, 0),
        ({"available": True}, None),
        ({"inventory_quantity": 10, "inventory_management": "shopify"}, 10_000),
        ({"inventory_quantity": 10}, 10_000),
        ({"inventory_quantity": 10, "inventory_management": None}, None),
        ({"inventory_quantity": 0, "inventory_management": "shopify"}, 0),
        ({"inventory_quantity": -3, "inventory_management": "shopify"}, 0),
        ({"inventory_quantity": 0, "inventory_policy": "continue"}, None),
        ({"inventory_quantity": -3, "inventory_policy": "continue"}, None),
        ({"inventory_quantity": 4, "inventory_policy": "continue"}, 4000),
        ({"inventory_quantity": 4, "available": False}, 0),
    ],
)
def test_how_much_a_shop_has(changes: dict[str, Any], stock_milli: int | None) -> None:
    """Stock is a quantity where it is counted, 0 for what is sold out or oversold, and unknown otherwise."""
    assert one("shopify", **variant(**changes)).product.stock_milli == stock_milli


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"title": None}, "missing"),
        ({"variants": []}, "missing"),
        ({"variants": None}, "missing"),
        (variant(id=None), "missing"),
        (variant(price="$1.99"), "not_a_number"),
        (variant(price=None), "missing"),
        (variant(inventory_quantity="some"), "not_a_number"),
        (variant(inventory_quantity="--3"), "not_a_number"),
        (variant(title="x" * 295), "too_long"),
    ],
)
def test_absurd_shopify_products_are_refused(changes: dict[str, Any], code: str) -> None:
    """A product without name or variants, and a variant without id or believable price, are refused."""
    assert refusal("shopify", **changes) == code


def test_drafts_of_a_shop_are_not_offered() -> None:
    """A product that is not published offers nothing, and is no mistake either."""
    found = read("shopify", page("shopify", SHOP | {"published_at": None}, SHOP))
    assert (len(found.offers), found.refused) == (1, [])
    unknown = {name: value for name, value in SHOP.items() if name != "published_at"}
    assert len(read("shopify", page("shopify", unknown)).offers) == 1


def test_two_products_of_one_id_are_one_offer() -> None:
    """The first item with an id counts, and the second is refused: which of them is right nobody knows."""
    found = read("dummyjson", page("dummyjson", DUMMY, DUMMY | {"price": 99}, DUMMY | {"id": 17}))
    assert [(offer.key, offer.product.price_minor) for offer in found.offers] == [("16", 4150), ("17", 4150)]
    assert [(item.number, item.code) for item in found.refused] == [(2, "duplicate_key")]
