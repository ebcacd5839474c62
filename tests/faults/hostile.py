"""Hostile requests, made from a seed: what a scanner, a broken client or a bored person sends.

Each is the bytes of one HTTP/1.1 request, so that nothing between the test and the server mends them.
"""

import random
from collections.abc import Callable, Iterator
from urllib.parse import quote

NAMES = (
    *("limit", "cursor", "sort", "order", "search", "q", "category", "minPrice", "maxPrice", "state"),
    *("district", "seller", "organic", "inStock", "harvestedAfter", "near", "pincode", "radiusKm", "ids"),
    *("updatedSince", "fields", "lang", "facets", "count", "minPrise", "__proto__", "a[b]", "%00", "é"),
)
VALUES = (
    *("", "0", "-1", "1", "20", "100", "101", "1e3", "１０", "1_0", "9" * 30, "9" * 400, "NaN", "Infinity"),
    *("true", "false", "TRUE", "null", "undefined", "id", "-price", "name", "distance", "relevance", "hi"),
    *("'", '"', "' OR '1'='1", "1; DROP TABLE products", "1 UNION SELECT sql FROM sqlite_master", "%", "_"),
    *("%%%%_%", "*", "tomato*", 'tomato" OR "x', "NEAR(a b)", "a:b", "^a", "(((", "\\", "../../etc/passwd"),
    *("टमाटर", "ആ", "🍅", "Café", "ß", "İ", "\u202e", "\ufeff", "\u0000", "a" * 101, "tomato " * 12),
    *("10.5,76.2", "91,0", "0,181", "10.5", "10.5,76.2,1", "NaN,NaN", "680001", "000000", "99999", "999999"),
    *("2026-11-20", "2026-13-45", "2026-02-30", "0000-00-00", "2026-11-20T04:10:00Z", "9999-12-31T23:59:60Z"),
    *("2026-11-20T04:10:00+99:99", "1,2,3", ",", "1,,2", "id,name", "name;price", "category,state", "exact"),
    *("Vegetables", "Vegetables|b=2", "a=1|b=2", "price:asc", "id desc", "<script>", "${jndi:x}", "\r\nX: y"),
)
PATHS = (
    *("/api/products", "/api/products", "/api/products", "/api/products", "/api/facets", "/api/sellers"),
    *("/api/products/1", "/api/products/0", "/api/products/-1", "/api/products/9999999999999999999999"),
    *(
        "/api/products/１",
        "/api/products/1/prices",
        "/api/products/x/prices",
        "/api/sellers/1",
        "/api/sellers/y",
    ),
    *(
        "/api/categories",
        "/api//products",
        "/api/products/",
        "/api/products/1%2f..",
        "/metrics",
        "/docs/../app",
    ),
    *(
        "/docs/%2e%2e/cli.py",
        "/docs/swagger-ui.css",
        "/openapi.json",
        "/healthz",
        "/",
        "/cards",
        "/products/1",
        "/products/",
        "/shop/shop.css",
        "/nothing",
        "/é",
        "/%00",
    ),
)
METHODS = ("GET",) * 12 + ("HEAD", "OPTIONS", "POST", "DELETE", "TRACE", "BREW", "get")


def requests(count: int, seed: int, cursors: list[str]) -> Iterator[bytes]:
    """`count` requests; `cursors` are real ones, to be mutated and sent to where they do not belong."""
    rng = random.Random(seed)
    for _ in range(count):
        yield _request(rng, cursors)


def _request(rng: random.Random, cursors: list[str]) -> bytes:
    target = quote(rng.choice(PATHS), safe="/%").encode()
    query = _query(rng, cursors)
    if query:
        target += b"?" + query
    lines = [b"%s %s HTTP/1.1" % (rng.choice(METHODS).encode(), target), b"Host: hostile.test"]
    while rng.random() < 0.4:
        lines.append(rng.choice(_HEADERS)(rng))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _query(rng: random.Random, cursors: list[str]) -> bytes:
    """Pairs as a browser would send them, as nobody should send them, or no pairs at all."""
    shape = rng.random()
    if shape < 0.05:
        return bytes(rng.choices(range(0x21, 0x7F), k=rng.randrange(1, 300)))
    if shape < 0.08:
        return b"search=" + b"%E0%A4" * rng.randrange(1, 50)
    if shape < 0.10:
        return b"&".join(b"category=x%d" % i for i in range(rng.randrange(10, 200)))
    if shape < 0.11:
        return b"search=" + b"a" * rng.randrange(5_000, 12_000)
    pairs = [(rng.choice(NAMES), rng.choice(VALUES)) for _ in range(rng.randrange(0, 4))]
    if rng.random() < 0.4:
        pairs.append(("cursor", _cursor(rng, cursors)))
    return "&".join(f"{quote(name, safe='[]%')}={quote(value)}" for name, value in pairs).encode()


def _cursor(rng: random.Random, cursors: list[str]) -> str:
    """A real cursor changed in one place, cut, extended, doubled or left alone; or something else."""
    cursor = rng.choice(cursors)
    at = rng.randrange(len(cursor))
    return rng.choice(
        [
            cursor,
            cursor[:at],
            cursor[:at] + rng.choice("AZaz09-_.=+/ %") + cursor[at + 1 :],
            cursor + rng.choice("A=."),
            cursor.replace("v1.", "v2."),
            cursor * 2,
            ".".join(reversed(cursor.split("."))),
            str(rng.randrange(10**30)),
            "v1..",
            "A" * rng.randrange(1, 1500),
        ]
    )


_HEADERS: tuple[Callable[[random.Random], bytes], ...] = (
    lambda rng: (
        b"Accept: " + rng.choice([b"text/html", b"*/*;q=0", b"application/json;q=nan", b",,;;==", b"/" * 99])
    ),
    lambda rng: (
        b"Accept-Encoding: "
        + rng.choice([b"gzip", b"br;q=1.0", b"zstd, *;q=0", b"identity;q=0", b"\xff\xfe"])
    ),
    lambda rng: b"If-None-Match: " + rng.choice([b"*", b'"a"', b'W/"', b'"' * 200, b"\xe9", b"," * 500]),
    lambda rng: b"X-Request-ID: " + rng.choice([b"ok-1", b"a b", b"\x1b[31m", b"x" * 300, b'{"a":1}']),
    lambda rng: b"X-Forwarded-For: " + b"1.2.3.4, " * rng.randrange(1, 100),
    lambda rng: b"Cookie: " + b"a" * rng.randrange(0, 20_000),
    lambda rng: (
        b"X-%d: " % rng.randrange(10**6) + bytes(rng.choices(range(0x20, 0x7F), k=rng.randrange(200)))
    ),
    lambda rng: b"Range: bytes=" + rng.choice([b"0-1", b"-1", b"a-b", b"0-1,2-3"]),
    lambda rng: b"Content-Length: " + rng.choice([b"0", b"00"]),
)
