"""What a request costs its caller, in units of the rate limit.

One price list for all endpoints: a unit is a small page or a lookup. It is read off the bytes of the request,
because a refused request must cost us next to nothing.
"""

import re
from urllib.parse import unquote_to_bytes

SEARCH = 1
"""More for `search` or `q`, which looks inside words."""

FACETS = 2
"""More for `facets`: up to four counts over all that matches, each under filters of its own."""

COUNT = 1
"""More for `count=exact`."""

ROWS = 50
"""Rows that cost a unit more: a page of 10 or 20 costs 1, one of 100 costs 3."""

SHOP = ("/", "/cards")
"""The pages of the shop that are lists, of fixed lengths."""

_FIXED = {"/api/facets": 1 + FACETS, "/": 1 + FACETS + COUNT}
_LIMIT = re.compile(rb"(?:^|&)limit=0{0,9}([0-9]{1,3})(?![0-9])")
_SEARCH = re.compile(rb"(?:^|&)(?:q|search)=[^&]")
_FACETS = re.compile(rb"(?:^|&)facets=[^&]")


def cost(path: str, query: bytes) -> int:
    """Units, at least 1. A query that is refused later costs as if it were not."""
    units = _FIXED.get(path, 1)
    if not query or not (path.startswith("/api/") or path in SHOP):
        return units
    if b"%" in query:
        query = unquote_to_bytes(query)  # a name may be written li%6Dit
    if limit := _LIMIT.search(query):
        units += min(int(limit[1]), 100) // ROWS
    if _SEARCH.search(query):
        units += SEARCH
    if _FACETS.search(query) and path != "/api/facets":
        units += FACETS
    if b"count=exact" in query:
        units += COUNT
    return units
