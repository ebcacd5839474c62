"""The address of a browse page."""

import pytest

from farmlokal.errors import Invalid
from farmlokal.shop.address import PAGE_ROWS, Address


def _tidied(query: str) -> str:
    return Address.parse(query.encode()).link()


@pytest.mark.parametrize(
    ("given", "tidied"),
    [
        ("q=&category=&minPrice=&state=", "/"),
        ("fbclid=x&q=rice&utm_source=y", "/?q=rice"),
        ("q=one&q=two&category=b&category=a&category=b", "/?q=one&category=b&category=a"),
        ("radiusKm=50", "/"),
        ("radiusKm=50&pincode=680+001&near=1,2", "/?pincode=680001&radiusKm=50"),
        ("sort=distance", "/"),
        ("sort=relevance&category=Fruits", "/?category=Fruits"),
        ("sort=relevance&q=%E0%A4%86%E0%A4%AE", "/?q=%E0%A4%86%E0%A4%AE&sort=relevance"),
        ("cursor=v1.abc&q=rice", "/?q=rice"),
    ],
)
def test_an_address_is_tidied(given: str, tidied: str) -> None:
    """What a form sends empty, what others hung on a link, and what means nothing alone is left out."""
    assert _tidied(given) == tidied


@pytest.mark.parametrize(
    ("given", "sort"),
    [
        ("", ("createdAt", True)),
        ("q=rice", ("relevance", False)),
        ("pincode=680001", ("distance", False)),
        ("near=10.5,76.2&sort=-price", ("price", True)),
    ],
)
def test_the_order_suits_the_rest(given: str, sort: tuple[str, bool]) -> None:
    """A search is in order of relevance, a place of distance, anything else newest first, unless asked."""
    query = Address.parse(given.encode()).query("en", whole=True)
    assert (query.sort, query.descending, query.limit) == (*sort, PAGE_ROWS)


def test_what_is_not_understood_is_named() -> None:
    """Every value that cannot be read is refused at once, as the API does."""
    with pytest.raises(Invalid) as refused:
        Address.parse(b"minPrice=abc&pincode=12&sort=colour").query("en", whole=False)
    assert {fault.parameter for fault in refused.value.faults} == {"minPrice", "pincode", "sort"}
