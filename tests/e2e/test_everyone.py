"""The shop for everyone: whatever the eyes, the hands, the window, the hour."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.e2e.visits import COLOURS, PHONE, WINDOW, Shop, Visitor, serious, sideways, violations

PICTURE_BYTES = 150_000
BROWSE = "/?pincode=680001&radiusKm=250&state=Kerala&lang="


def _pages(shop: Shop) -> list[str]:
    return [
        f"{BROWSE}ml",
        f"/products/{shop.known}?lang=hi",
        "/?lang=en",
        "/?q=nothing+is+called+this&lang=en",
    ]


@pytest.mark.parametrize(("scheme", "rules"), [("light", {}), ("dark", COLOURS)])
def test_axe_finds_nothing_serious(
    visitor: Visitor, shop: Shop, scheme: str, rules: dict[str, object]
) -> None:
    """The rules of axe-core find nothing serious on any page, in the light and in the dark."""
    page = visitor(color_scheme=scheme, viewport=WINDOW)
    for path in _pages(shop)[: 4 if scheme == "light" else 2]:
        page.goto(path)
        assert not (found := serious(page, rules)), (path, found)


def test_axe_would_find_it(visitor: Visitor) -> None:
    """The check above can fail: a field without its label is found."""
    page = visitor()
    page.evaluate("document.querySelector('label[for=pincode]').remove()")
    rules = {"runOnly": {"type": "rule", "values": ["label"]}}
    assert [each[1] for each in violations(page, rules)] == ["label"]


def test_no_page_scrolls_sideways_on_a_phone(visitor: Visitor, shop: Shop) -> None:
    """At 360 pixels no page is wider than the window, in any language."""
    page = visitor(viewport=PHONE)
    for path in _pages(shop) + [f"{BROWSE}{lang}" for lang in ("en", "hi")] + [f"/products/{shop.hostile}"]:
        page.goto(path)
        assert sideways(page) == 0, path


def test_pictures_of_the_pages(
    visitor: Visitor, shop: Shop, keep_picture: Callable[[Page, str], int]
) -> None:
    """The pictures in the documentation are of these very pages, and small."""
    sizes = [
        keep_picture(visitor(f"{BROWSE}en", viewport=WINDOW), "browse"),
        keep_picture(visitor("/?lang=ml", viewport=PHONE), "phone"),
        keep_picture(visitor(f"/products/{shop.known}", viewport=WINDOW, color_scheme="dark"), "product"),
    ]
    assert max(sizes) <= PICTURE_BYTES
