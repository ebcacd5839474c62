"""The price list: what takes us more work costs the caller more."""

import pytest

from farmlokal.catalog.cost import cost


@pytest.mark.parametrize(
    ("path", "query", "units"),
    [
        ("/api/products", b"", 1),
        ("/api/products", b"limit=10", 1),
        ("/api/products", b"limit=50", 2),
        ("/api/products", b"limit=100", 3),
        ("/api/products", b"sort=price&limit=100", 3),
        ("/api/products", b"search=tomato", 2),
        ("/api/products", b"limit=100&q=tomato", 4),
        ("/api/products", b"search=&limit=20", 1),
        ("/api/products", b"search=&q=", 1),
        ("/api/products", b"limit=100&search=tomato&facets=state&count=exact", 7),
        ("/api/facets", b"facets=state", 3),
        ("/api/products/1", b"lang=hi", 1),
        ("/nowhere", b"limit=100", 1),
        ("/", b"", 4),
        ("/", b"q=rice&sort=price", 5),
        ("/cards", b"cursor=v1.abc", 1),
        ("/products/1", b"lang=hi", 1),
    ],
)
def test_prices(path: str, query: bytes, units: int) -> None:
    """Large pages, searches, facets and exact counts cost more than a small page."""
    assert cost(path, query) == units


@pytest.mark.parametrize(
    "query",
    [b"li%6Dit=100&s%65arch=tomato", b"limit=%31%30%30&search=tomato", b"search=a%20b&limit=00100"],
)
def test_no_spelling_makes_a_request_cheaper(query: bytes) -> None:
    """What the listing reads as a large search is priced as one, however it is written."""
    assert cost("/api/products", query) == 4


@pytest.mark.parametrize("query", [b"%", b"limit=", b"limit=" + b"9" * 9000, b"\xff\xfe=%ff", b"&&&", b"="])
def test_anything_has_a_price(query: bytes) -> None:
    """A query that nobody can read has a price, too."""
    assert 1 <= cost("/api/products", query) <= 3
