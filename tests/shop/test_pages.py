"""The pages over HTTP, without a browser."""

import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import httpx2
import pytest

from tests.support.asgi import application, calling, furnish
from tests.support.catalogue import Shelf, run

BUDGET_BYTES = 100_000
HOSTILE = "<img src=x onerror=alert(1)> \"quoted\" 'single' {{ 7*7 }} </title>"


def _cards(page: str) -> list[int]:
    return [int(each) for each in re.findall(r'<li id="p(\d+)"', page)]


def _link(page: str, relation: str) -> str:
    found = re.search(rf'rel="{relation}" href="([^"]+)"', page)
    return unescape(found[1]) if found else ""


async def _get(caller: httpx2.AsyncClient, path: str, language: str = "en", status: int = 200) -> str:
    answer = await caller.get(path, headers={"accept": "text/html", "accept-language": language})
    assert answer.status_code == status, path
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    text: str = answer.text
    return text


def test_links_walk_every_product_once(database_path: Path, shelf: Shelf) -> None:
    """Following the link to more products shows each product once, in the API's order; the other link leads
    back; the cards alone are the same cards."""
    furnish(shelf)

    async def walk() -> None:
        async with calling(application(database_path)) as caller:
            seen: list[int] = []
            path = "/?sort=price&category=Vegetables&category=Cereals&category=Fruits"
            while path:
                page = await _get(caller, path)
                assert _cards(await _get(caller, path.replace("/?", "/cards?"))) == _cards(page)
                seen += _cards(page)
                back, path = _link(page, "prev"), _link(page, "next")
            listed = (await caller.get("/api/products?sort=price&limit=100")).json()["data"]
            assert seen == [product["id"] for product in listed]
            assert _cards(await _get(caller, back)) == seen[24:48]

    run(walk())


def test_counts_stand_beside_filters(database_path: Path, shelf: Shelf) -> None:
    """The page shows how many products there are, and how many each category would have."""
    furnish(shelf)

    async def look() -> None:
        async with calling(application(database_path)) as caller:
            page = await _get(caller, "/?category=fruits")
            assert 'role="status">15 products' in page
            assert re.search(r'value="Fruits" checked> <span>Fruits</span> <small>15<', page)
            assert re.search(r'value="Vegetables"> <span>Vegetables</span> <small>30<', page)

    run(look())


def test_the_language_is_the_addresss_or_the_browsers(database_path: Path, shelf: Shelf) -> None:
    """`lang` in the address wins over Accept-Language, and English is for everyone else."""
    furnish(shelf)

    async def look() -> None:
        async with calling(application(database_path)) as caller:
            for path, header, lang in (
                ("/", "ml-IN,en;q=0.5", "ml"),
                ("/?lang=hi", "ml", "hi"),
                ("/?lang=xx", "hi;q=0.4, fr", "hi"),
                ("/products/1", "hi", "hi"),
                ("/", "fr", "en"),
            ):
                assert f'<html lang="{lang}">' in await _get(caller, path, header)
            assert "टमाटर" in await _get(caller, "/products/1?lang=hi")

    run(look())


def test_hostile_names_are_text(database_path: Path, shelf: Shelf) -> None:
    """What a seller writes is shown as it is, on every page, and never becomes part of it."""
    product = shelf.product(HOSTILE, HOSTILE, description=HOSTILE, variety=HOSTILE)
    shelf.connection.execute("UPDATE sellers SET name = ?, district = ?", (HOSTILE, HOSTILE))

    async def look() -> None:
        async with calling(application(database_path)) as caller:
            for path in (
                "/",
                "/cards",
                f"/products/{product}",
                f"/?seller=1&q={'%3Cimg'}",
                "/?state=%22%3E%3Cimg+src%3Dx",
            ):
                page = await _get(caller, path)
                assert "<img src=x" not in page
                assert page.count("</title>") == (path != "/cards")
                assert "&#39; 49" not in page

    run(look())


def test_pages_bring_a_strict_policy(database_path: Path, shelf: Shelf) -> None:
    """A page may load from us alone, and its own text holds neither script nor style."""
    furnish(shelf)

    async def look() -> None:
        async with calling(application(database_path)) as caller:
            for path in ("/?pincode=680001", "/cards", "/products/2", "/?cursor=forged"):
                answer = await caller.get(path)
                policy = answer.headers["content-security-policy"]
                assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
                assert "unsafe" not in policy
                assert not re.search(
                    r"<script(?! src=)|<style|\sstyle=|\son\w+=|javascript:|https?://", answer.text
                )

    run(look())


def test_files_are_kept_for_a_year_under_versioned_names(database_path: Path, shelf: Shelf) -> None:
    """Each file that a page names is there, immutable, with a validator; another name is not there."""
    furnish(shelf)

    async def look() -> None:
        async with calling(application(database_path)) as caller:
            named = set(re.findall(r'(?:src|href)="(/shop/[^"]+)"', await _get(caller, "/")))
            assert len(named) == 3
            for path in named:
                answer = await caller.get(path, headers={"accept-encoding": "br"})
                assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
                again = await caller.get(path, headers={"if-none-match": answer.headers["etag"]})
                assert (again.status_code, again.content) == (304, b"")
            for wrong in ("/shop/shop.css", "/shop/shop.000000000000.css", "/shop/..%2froutes.py"):
                assert (await caller.get(wrong)).status_code == 404

    run(look())


def test_pages_have_validators(database_path: Path, shelf: Shelf) -> None:
    """A page that a browser holds is not sent again; lists say whether they came from the cache."""
    furnish(shelf)

    async def look() -> None:
        async with calling(application(database_path)) as caller:
            for path in ("/", "/cards?q=rice", "/products/1"):
                first = await caller.get(path)
                assert first.headers["vary"] == "Accept-Encoding, Accept-Language"
                again = await caller.get(path, headers={"if-none-match": first.headers["etag"]})
                assert again.status_code == 304
            assert (await caller.get("/")).headers["x-cache"] == "hit"

    run(look())


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/?pincode=999999&q=rice", 400, "We do not know the postcode 999999."),
        ("/?minPrice=abc&sort=nonsense", 400, "We could not use: Sort by, Lowest price."),
        ("/?cursor=forged", 400, "We could not use: this address."),
        ("/?q=%ff", 400, "We could not use: this address."),
        ("/products/999999", 404, "This product is not here."),
        ("/products/abc", 404, "This product is not here."),
    ],
)
def test_a_refusal_is_a_page(database_path: Path, shelf: Shelf, path: str, status: int, said: str) -> None:
    """Who asked for a page gets a page that says what is wrong, with the form as it was filled in."""
    furnish(shelf)

    async def look() -> None:
        async with calling(application(database_path)) as caller:
            page = await _get(caller, path, status=status)
            assert f'role="alert">{said}' in page
            assert ('name="q" value="rice"' in page) == ("q=rice" in path)
            assert not _cards(page)
            assert (await caller.get(path, headers={"accept": "application/json"})).status_code == 406

    run(look())


def test_a_page_is_light(database_path: Path, shelf: Shelf) -> None:
    """The largest page and all that it loads, uncompressed, is under 100 kB."""
    furnish(shelf)

    async def weigh() -> None:
        async with calling(application(database_path)) as caller:
            for path in ("/?lang=ml&pincode=680001&radiusKm=5000&state=Kerala", "/products/7?lang=ml"):
                page = await _get(caller, path)
                files = set(re.findall(r'(?:src|href)="(/shop/[^"]+)"', page))
                weight = len(page.encode()) + sum([len((await caller.get(each)).content) for each in files])
                assert weight < BUDGET_BYTES, (path, weight)

    run(weigh())


def test_the_template_library_is_loaded_with_the_first_page() -> None:
    """A process that serves the API alone does not carry it."""
    check = (
        "import sys; from farmlokal.app import create_app; from farmlokal.settings import Settings;"
        "create_app(Settings.load({})); sys.exit('jinja2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
