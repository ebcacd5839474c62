"""The shop for everyone: whatever the eyes, the hands, the window, the hour."""

from collections.abc import Callable
from importlib.resources import files

import pytest
from playwright.sync_api import Page

from tests.e2e.visits import Shop, Visitor

PICTURE_BYTES = 150_000
PHONE = {"width": 360, "height": 740}
WINDOW = {"width": 1000, "height": 700}
BROWSE = "/?pincode=680001&radiusKm=250&state=Kerala&lang="

_RUN = """async rules => (await axe.run(document, {resultTypes: ["violations"], ...rules})).violations.map(
  each => [each.impact, each.id, each.nodes.map(node => node.html).slice(0, 3)])"""
_COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
"""What depends on light and dark."""


def _pages(shop: Shop) -> list[str]:
    return [
        f"{BROWSE}ml",
        f"/products/{shop.known}?lang=hi",
        "/?lang=en",
        "/?q=nothing+is+called+this&lang=en",
    ]


@pytest.mark.parametrize(("scheme", "rules"), [("light", {}), ("dark", _COLOURS)])
def test_axe_finds_nothing_serious(
    visitor: Visitor, shop: Shop, scheme: str, rules: dict[str, object]
) -> None:
    """The rules of axe-core find nothing serious on any page, in the light and in the dark."""
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    page = visitor(color_scheme=scheme, viewport=WINDOW)
    for path in _pages(shop)[: 4 if scheme == "light" else 2]:
        page.goto(path)
        page.evaluate(axe)
        found = [each for each in page.evaluate(_RUN, rules) if each[0] in ("serious", "critical")]
        assert not found, (path, found)


def test_axe_would_find_it(visitor: Visitor) -> None:
    """The check above can fail: a field without its label is found."""
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    page = visitor()
    page.evaluate("document.querySelector('label[for=pincode]').remove()")
    page.evaluate(axe)
    rules = {"runOnly": {"type": "rule", "values": ["label"]}}
    assert [each[1] for each in page.evaluate(_RUN, rules)] == ["label"]


def test_no_page_scrolls_sideways_on_a_phone(visitor: Visitor, shop: Shop) -> None:
    """At 360 pixels no page is wider than the window, in any language."""
    page = visitor(viewport=PHONE)
    for path in _pages(shop) + [f"{BROWSE}{lang}" for lang in ("en", "hi")] + [f"/products/{shop.hostile}"]:
        page.goto(path)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide == 0, (path, wide)


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
