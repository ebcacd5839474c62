"""Pages of suppliers: what becomes of bad ones, which page comes next, and the published ones."""

import json
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.catalog.importing.source import open_source
from farmlokal.catalog.models import ProductDraft
from farmlokal.suppliers.document import ITEMS
from farmlokal.suppliers.formats import FORMATS
from farmlokal.suppliers.models import UnreadablePage
from tests.suppliers.pages import MEMBER, SAMPLES, SHOP, page, read
from tests.support.published import published

NAMES = sorted(FORMATS)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["NA", "-1", "1e5"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["id", "title", "price", "src", "available"]), inner, max_size=4),
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("name", NAMES)
def test_one_bad_item_costs_that_item(name: str) -> None:
    """Among good items stand a number, a list, a twice named member and NaN: each is refused, none else
    is."""
    good = json.dumps(SAMPLES[name])
    items = ["7", "null", "[1]", '{"id": 1, "id": 2}', "NaN", "{}", good, "-Infinity", '{"a": 1e999}']
    body = f'{{"{MEMBER[name]}": [{", ".join(items)}]}}'.encode()
    found = read(name, body)
    assert len(found.offers) == 1
    assert [item.number for item in found.refused] == [1, 2, 3, 4, 5, 6, 8, 9]
    codes = [item.code for item in found.refused]
    assert codes[:5] == ["not_object", "not_object", "not_object", "duplicate_member", "not_a_number"]
    assert all(item.reason and json.dumps(item.raw) for item in found.refused)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>busy</html>",
        b"null",
        b"7",
        b"NaN",
        b"{}",
        b'{"products": {}, "records": "none", "message": "Key not authorised", "status": "error"}',
        b'{"products": [], "products": [], "records": [], "records": []}',
        b'{"products": [] "records": []}',
        b'{"products": [], "records": []} and more',
        b'\xff{"products": [], "records": []}',
        b'{"products": [' + b"[" * 40_000 + b"]" * 40_000 + b"]}",
        b'{"products": [' + b"[" * 60_000,
        b'{"products": [' + b"0," * 300_001 + b"0]}",
    ],
    ids=range(14),
)
def test_a_page_that_is_none_is_refused_whole(name: str, body: bytes) -> None:
    """What is no page of the format, is nested too deeply or has too many values is refused in a few
    words."""
    with pytest.raises(UnreadablePage) as caught:
        read(name, body)
    assert 0 < len(str(caught.value)) < 60


@pytest.mark.parametrize("name", NAMES)
def test_the_items_of_a_page_are_bounded(name: str) -> None:
    """A page of more than 10,000 items is refused."""
    assert len(read(name, page(name, *[0] * ITEMS)).refused) == ITEMS
    with pytest.raises(UnreadablePage, match="more than"):
        read(name, page(name, *[0] * (ITEMS + 1)))


@pytest.mark.parametrize("name", ["dummyjson", "shopify"])
def test_a_bare_list_is_a_page(name: str) -> None:
    """Shops' products are read without the document around them, too."""
    assert len(read(name, json.dumps([SAMPLES[name]]).encode()).offers) == 1


@pytest.mark.parametrize(
    ("name", "asked", "items", "around", "following"),
    [
        ("dummyjson", {"limit": "5", "skip": "0"}, 5, {"total": 12}, {"limit": "5", "skip": "5"}),
        ("dummyjson", {"limit": "5", "skip": "10"}, 2, {"total": 12}, None),
        ("dummyjson", {"limit": "5", "skip": "5"}, 3, {"total": 12}, {"limit": "5", "skip": "8"}),
        ("dummyjson", {"limit": "5", "skip": "5"}, 0, {"total": 12}, None),
        ("dummyjson", {"limit": "5", "skip": "5"}, 5, {"total": "x"}, {"limit": "5", "skip": "10"}),
        ("dummyjson", {"limit": "5", "skip": "5"}, 5, {"total": -1}, {"limit": "5", "skip": "10"}),
        ("dummyjson", {"limit": "5", "skip": "5"}, 5, {}, {"limit": "5", "skip": "10"}),
        (
            "datagovin",
            {"limit": "1000", "offset": "0"},
            10,
            {"total": 17805},
            {"limit": "1000", "offset": "10"},
        ),
        ("datagovin", {"limit": "10", "offset": "0"}, 10, {"total": "10"}, None),
        ("datagovin", {"limit": "10", "offset": "7"}, 1, {"total": True}, {"limit": "10", "offset": "8"}),
        ("shopify", {"limit": "250", "page": "1"}, 3, {}, {"limit": "250", "page": "2"}),
        ("shopify", {"limit": "250", "page": "2"}, 0, {}, None),
    ],
)
def test_which_page_comes_next(
    name: str, asked: dict[str, str], items: int, around: dict[str, Any], following: dict[str, str] | None
) -> None:
    """The next page begins after the items that came, until all have come or none does."""
    assert read(name, page(name, *[SAMPLES[name]] * items, **around), asked).following == following


@given(
    name=st.sampled_from(NAMES),
    place=st.integers(0, 10**9),
    items=st.integers(0, 4),
    total=SCALARS,
)
def test_paging_always_gets_on(name: str, place: int, items: int, total: object) -> None:
    """Whatever a supplier claims, the next page lies behind this one, and after an empty page is none."""
    first = FORMATS[name].first
    where = next(key for key in first if key in ("skip", "offset", "page"))
    asked = {**first, where: str(place)}
    following = read(name, page(name, *[0] * items, total=total, skip=total, offset=total), asked).following
    if not items:
        assert following is None
    elif following is not None:
        assert int(following[where]) > place
        assert following.keys() == asked.keys()


@given(data=st.data(), name=st.sampled_from(NAMES))
def test_any_item_is_an_offer_or_a_refusal(data: st.DataObject, name: str) -> None:
    """Whatever stands in the members of an item, it becomes believable offers or refusals with a reason."""
    sample = SAMPLES[name]
    item = sample | data.draw(st.dictionaries(st.sampled_from(sorted(sample)), VALUES, max_size=4))
    if name == "shopify" and data.draw(st.booleans()):
        item["variants"] = [
            SHOP["variants"][0] | data.draw(st.dictionaries(st.text(max_size=5), VALUES, max_size=3))
        ]
    found = read(name, page(name, item))
    assert found.offers or found.refused or item.get("published_at") is None
    for refused in found.refused:
        assert refused.code
        assert 0 < len(refused.reason) <= 500
        refused.raw.encode()
    for offer in found.offers:
        product = offer.product
        assert 0 <= product.price_minor <= 10**10
        assert product.stock_milli is None or 0 <= product.stock_milli <= 10**12
        assert 0 < len(product.name.encode()) <= 300
        assert 0 < len(product.external_key.encode()) <= 200
        assert product.category


@given(st.sampled_from(NAMES), st.binary(max_size=200))
def test_any_bytes_are_a_page_or_unreadable(name: str, body: bytes) -> None:
    """Whatever bytes a supplier sends, they are a page or are refused as none."""
    for whole in (body, b'{"records": [' + body + b'], "products": [' + body + b"]}"):
        with suppress(UnreadablePage):
            read(name, whole)


def test_the_original_suppliers_products_are_offers() -> None:
    """Every product of dummyjson is an offer of its own."""
    found = read("dummyjson", published("supplier_api/dummyjson_products.json").read_bytes())
    assert (len(found.offers), found.refused) == (194, [])
    assert {"Beauty", "Fruits", "Groceries"} <= {offer.product.category for offer in found.offers}


@pytest.mark.parametrize(
    ("name", "offers", "refused", "offset"),
    [
        ("datagovin_page_limit10.json", 10, {}, "10"),
        ("datagovin_page_limit1000.json", 997, {"unit_doubtful": 3}, "1000"),
        ("datagovin_recorded_4_records_2026-08-29.json", 4, {}, "4"),
    ],
)
def test_pages_of_the_government_are_offers(
    name: str, offers: int, refused: dict[str, int], offset: str
) -> None:
    """Published pages mean what an import of the same file means, and the next page follows what came."""
    path = published(f"supplier_api/{name}")
    found = read("datagovin", path.read_bytes())
    assert (len(found.offers), Counter(item.code for item in found.refused)) == (offers, refused)
    assert found.following == {"format": "json", "limit": "1000", "offset": offset}
    imported = [row.value for row in open_source(path).read() if isinstance(row.value, ProductDraft)]
    assert [offer.product for offer in found.offers] == imported


def test_a_published_shop_page_has_one_variant() -> None:
    """Four products of Shopify's sample share one variant id: the first is an offer, the others explain
    themselves."""
    found = read("shopify", published("supplier_api/shopify_products.json").read_bytes())
    (offer,) = found.offers
    assert (offer.key, offer.product.name) == ("808950810", "IPod Nano - 8GB – Pink")
    assert (offer.product.price_minor, offer.product.stock_milli) == (19_900, 10_000)
    assert Counter(item.code for item in found.refused) == {"duplicate_key": 3}
