"""The shop in a browser."""

import re

from playwright.sync_api import Page, expect

from farmlokal.shop.address import PAGE_ROWS
from tests.e2e.conftest import HOSTILE
from tests.e2e.visits import Shop, Visitor, ids, scroll_to_pages, top, until

NEWEST = "/api/products?sort=-createdAt&limit=100"


def test_filters_narrow_the_page_and_are_its_address(visitor: Visitor, shop: Shop) -> None:
    """Each filter acts at once, its counts with it, and stands in the address."""
    page = visitor()
    page.get_by_label("Vegetables").check()
    expect(page).to_have_url(re.compile(r"/\?category=Vegetables$"))
    page.get_by_label("Organic only").check()
    page.get_by_label("Lowest price").fill("50")
    page.get_by_label("Lowest price").press("Enter")
    expect(page).to_have_url(re.compile("minPrice=50"))
    query = "category=Vegetables&organic=true&minPrice=50&count=exact&limit=100&sort=-createdAt"
    there = shop.api(f"/api/products?{query}")
    expect(page.get_by_role("status").first).to_have_text(f"{there['total']} products")
    assert ids(page) == [product["id"] for product in there["data"]][:PAGE_ROWS]
    page.get_by_label("State").select_option("Kerala")
    expect(page.get_by_label("District")).to_be_visible()
    page.get_by_role("link", name="Clear all").click()
    expect(page).to_have_url(f"{shop.origin}/")


def test_the_order_is_chosen(visitor: Visitor, shop: Shop) -> None:
    """The order is chosen from a list; what needs a search or a place cannot be chosen without."""
    page = visitor()
    expect(page.locator("#sort option:disabled")).to_have_text(["Best match", "Nearest first"])
    page.get_by_label("Sort by").select_option("price")
    cheapest = shop.api(f"/api/products?sort=price&limit={PAGE_ROWS}")["data"]
    expect(page.locator("#cards > li").first).to_have_id(f"p{cheapest[0]['id']}")
    assert ids(page) == [product["id"] for product in cheapest]


def test_search_as_you_type(visitor: Visitor, shop: Shop) -> None:
    """A search shows what it finds while it is typed, and is one step of the back button."""
    page = visitor()
    before = ids(page)
    page.get_by_role("searchbox").press_sequentially("nendr", delay=20)
    until(page, "location.search === '?q=nendr'")
    page.get_by_role("searchbox").press_sequentially("an banana", delay=20)
    expect(page).to_have_url(f"{shop.origin}/?q=nendran+banana")
    expect(page.locator("#cards > li").first).to_contain_text("Nendran banana")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("")
    expect(page.locator("#cards > li").first).to_have_id(f"p{before[0]}")
    assert ids(page) == before


def test_infinite_scroll_visits_every_product_once(visitor: Visitor, shop: Shop) -> None:
    """Scrolling down shows the products of the list in its order, none left out and none twice."""
    page = visitor()
    scroll_to_pages(page, 5)
    first = shop.api(NEWEST)
    second = shop.api(f"{NEWEST}&cursor={first['nextCursor']}")
    listed = [product["id"] for product in first["data"] + second["data"]]
    shown = ids(page)
    assert len(shown) >= 5 * PAGE_ROWS
    assert shown == listed[: len(shown)]
    expect(page.locator("#announce")).to_have_text("24 more products")


def test_back_returns_to_the_place(visitor: Visitor, shop: Shop) -> None:
    """Back from a product shows the card at the top of the window that was there, and the list goes on in
    both directions."""
    page = visitor()
    scroll_to_pages(page, 3)
    product, height = top(page)
    page.locator(f"#p{product:g} a").evaluate("link => link.click()")  # without scrolling to it
    expect(page.get_by_text("All products")).to_be_visible()
    page.go_back()
    until(page, f"!!document.getElementById('p{product:g}')")
    until(
        page, f"Math.abs(document.getElementById('p{product:g}').getBoundingClientRect().top - {height}) < 3"
    )
    assert top(page)[0] == product
    before = ids(page)
    page.get_by_role("link", name="Earlier products").evaluate("link => link.click()")
    until(page, f"document.querySelector('#cards > li').id !== 'p{before[0]}'")
    assert ids(page)[PAGE_ROWS:][: len(before)] == before
    assert abs(top(page)[1] - height) < 3


def test_an_address_shows_what_its_sender_saw(visitor: Visitor, shop: Shop) -> None:
    """A link that is passed on opens with the same filters, at the same page of the list, whatever others
    have hung on to it."""
    sender = visitor("/?category=Vegetables&category=Fruits&sort=price")
    scroll_to_pages(sender, 3)
    seen = int(top(sender)[0])
    page = visitor(sender.url.removeprefix(shop.origin) + "&fbclid=abc&utm_source=x")
    assert seen in ids(page)[:PAGE_ROWS]
    expect(page.get_by_label("Fruits")).to_be_checked()
    expect(page.get_by_label("Sort by")).to_have_value("price")


def test_languages(visitor: Visitor) -> None:
    """The browser's language is taken, another is chosen by a link, and it goes along from page to page."""
    page = visitor("/?q=banana", locale="hi-IN")
    expect(page.locator("html")).to_have_attribute("lang", "hi")
    page.get_by_role("link", name="മലയാളം").click()
    expect(page.locator("html")).to_have_attribute("lang", "ml")
    expect(page.get_by_role("searchbox")).to_have_value("banana")
    page.get_by_role("link", name="നേന്ത്രപ്പഴം").first.click()
    expect(page.locator("html")).to_have_attribute("lang", "ml")
    expect(page.get_by_role("heading", level=1)).to_have_text("നേന്ത്രപ്പഴം")
    page.locator("main").get_by_role("link", name="എല്ലാ ഉൽപ്പന്നങ്ങളും").click()
    expect(page).to_have_url(re.compile(r"/\?lang=ml$"))


def test_a_postcode_shows_the_sellers_around_it(visitor: Visitor, shop: Shop) -> None:
    """A postcode brings the nearest first, their distances, and the sellers as dots on a map."""
    page = visitor()
    page.get_by_label("Postcode").fill("680 001")
    page.get_by_label("Within").select_option("250")
    expect(page).to_have_url(re.compile("pincode=680(%20|\\+)001&radiusKm=250"))
    expect(page.get_by_role("heading", name="Sellers near 680001")).to_be_visible()
    near = shop.api("/api/products?pincode=680001&radiusKm=250&sort=distance&limit=24")["data"]
    assert ids(page) == [product["id"] for product in near]
    expect(page.locator("#cards > li").first).to_contain_text(re.compile(r"[0-9]\.[0-9] km away"))
    assert page.locator(".map svg .seller").count() > 3
    seller = page.locator(".map li a").first
    name = seller.inner_text()
    seller.click()
    expect(page.locator("#cards > li").first).to_contain_text(name)


def test_near_me_asks_the_browser(visitor: Visitor) -> None:
    """Near me takes the browser's position, to a kilometre."""
    here = {"latitude": 10.527642, "longitude": 76.214433}
    page = visitor("/?lang=hi", geolocation=here, permissions=["geolocation"])
    page.get_by_role("button", name="मेरे पास").click()
    expect(page).to_have_url(re.compile(r"near=10\.53%2C76\.21"))
    expect(page.locator(".map")).to_be_visible()


def test_a_product_and_its_prices(visitor: Visitor, shop: Shop) -> None:
    """A product's page tells what is known of it, and draws its prices with the mandi's range."""
    page = visitor(f"/products/{shop.known}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nendran banana")
    expect(page.locator("#mandi")).to_contain_text("mandi's range of 9 Jul 2026")
    expect(page.locator("main")).to_contain_text("from 1 Jun 2026 to 10 Jul 2026: between ₹48 and ₹54.26")
    points = page.locator(".chart .line").get_attribute("points") or ""
    assert len(points.split()) == 40
    assert page.locator(".chart .band").count() == 3  # days without a range part them
    page.get_by_text("As a table").click()
    expect(page.get_by_role("row")).to_have_count(41)


def test_names_are_text(visitor: Visitor, shop: Shop) -> None:
    """A product's name is shown as it is, whatever it holds."""
    page = visitor("/?q=hostile")
    expect(page.get_by_role("link", name=HOSTILE)).to_be_visible()
    page.get_by_role("link", name=HOSTILE).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    assert page.title() == f"{HOSTILE} – FarmLokal"


def test_without_a_script(visitor: Visitor, shop: Shop) -> None:
    """Without JavaScript the form, the pages and the products work as links and loads."""
    page = visitor(java_script_enabled=False)
    page.get_by_role("searchbox").fill("a")
    page.get_by_label("Vegetables").check()
    page.get_by_label("Sort by").select_option("price")
    page.get_by_role("button", name="Show").click()
    listed = shop.api("/api/products?search=a&category=Vegetables&sort=price&limit=48")["data"]
    shown = [each.get_attribute("id") for each in page.locator("#cards > li").all()]
    page.get_by_role("link", name="More products").click()
    shown += [each.get_attribute("id") for each in page.locator("#cards > li").all()]
    assert shown == [f"p{product['id']}" for product in listed]
    page.get_by_role("link", name="Earlier products").click()
    expect(page.locator("#cards > li").first).to_have_id(shown[0] or "")
    expect(page.get_by_role("button", name="Near me")).to_be_hidden()
    page.locator("#cards h2 a").first.click()
    expect(page.get_by_role("heading", level=2, name="Price history")).to_be_visible()


def test_the_keyboard_is_enough(visitor: Visitor) -> None:
    """The first stop is a link to the products; a filter that is switched by key keeps the focus."""
    page = visitor()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the products")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    _switch(page, "Fruits")
    expect(page.get_by_label("Fruits")).to_be_focused()


def _switch(page: Page, label: str) -> None:
    page.get_by_label(label).focus()
    page.keyboard.press("Space")
    expect(page).to_have_url(re.compile(f"category={label}"))
    expect(page.locator("#results")).not_to_have_attribute("aria-busy", "true")
