"""What each contender is asked: the same pages, in the form that each of them understands.

Whoever answers from a cache is asked for the same bytes: what we answered is laid into Redis for Express and
into a file for nginx, and every body is compared with it. A miss is a page that nobody has asked for before,
at a cursor drawn at random, which we and Express each write in our own way; a sample of those is compared.
"""

import random
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from bench.contenders import SECRET_KEY, WEBHOOK_SECRET, Field
from bench.load import Answer, Asked, ask, collect, request
from farmlokal.catalog.listing import ListingQuery
from farmlokal.orders.signature import sign
from farmlokal.platform.keyset.cursor import CursorCodec, Position, fingerprint
from tests.support.servers.sql import USER

VARIANTS = 8  # different answers of a hot workload, so that no single one is warm everywhere
MIX, EXPONENT = 10_000, 1.0  # Zipf, as the popularity of pages is usually drawn
DRAWS = 200_000
MIX_WARM_S = 2.0  # ours keeps a page for half a minute, in which the other workloads have had their turns
SEARCHES = ("banana", "tomato", "onion", "rice", "mango", "potato", "chilli", "coconut")
ROWS = 30_000  # places in the catalogue that misses begin at; with sorts and categories half a million pages
DEPTH = 0.9  # of the catalogue lies before a deep page
SAMPLE = 40  # misses whose rows are compared between us and Express
RECORDED = 300  # misses whose statements the bare client runs
CALLERS = 64  # that send events at once
KEYS = {"id": None, "price": "price_minor", "createdAt": "created_at_us"}
"""Sorts of the misses, all of whose keys are numbers."""

_codec = CursorCodec([SECRET_KEY.encode()])


class Workload(NamedTuple):
    """What contenders are asked, by name; `connections` at once; `warm_s` without being counted before each
    run."""

    asked: Mapping[str, Iterable[Asked]]
    connections: int = 16
    warm_s: float = 0.0


class Place(NamedTuple):
    """Where a page begins: after this product."""

    identity: int
    price: int
    created_us: int


async def hot(of: Field, targets: Sequence[str], *contenders: str) -> Workload:
    """Answers that everyone has ready, each the same bytes."""
    bodies = {target: (await ok(of, target)).body for target in targets}
    lay(of, bodies)
    port = of.servers["ours"].port
    for target, body in bodies.items():  # again: now from the cache
        assert (await ask(port, target)).body == body, f"{target} is another page a moment later"
    return Workload({name: _same(of, name, bodies) for name in ("ours", *contenders)})


def lay(of: Field, bodies: Mapping[str, bytes]) -> None:
    """Where Express finds them: its own cache."""
    with of.express_cache.pipeline(transaction=False) as pipeline:
        for target, body in bodies.items():
            pipeline.set(f"page:{target}", body)
        pipeline.execute()


def _same(of: Field, name: str, bodies: Mapping[str, bytes]) -> list[Asked]:
    if name == "nginx":
        return [Asked(request(of.files.target(body)), body) for body in bodies.values()]
    return [Asked(request(target), body) for target, body in bodies.items()]


async def not_modified(of: Field, target: str, *contenders: str) -> Workload:
    """Everyone is shown the validator that it gave itself."""
    body = (await ok(of, target)).body
    lay(of, {target: body})
    asked = {}
    for name in ("ours", *contenders):
        own = of.files.target(body) if name == "nginx" else target
        answer = await ask(of.servers[name].port, own)
        [tag] = [line[6:] for line in answer.head.decode().splitlines() if line.lower().startswith("etag: ")]
        asked[name] = [Asked(request(own, f"If-None-Match: {tag}\r\n"), b"", 304)]
    return Workload(asked)


async def mix(of: Field, places: Sequence[Place], categories: Sequence[str]) -> Workload:
    """Ten thousand pages, all asked for once before, of which few are asked for often."""
    first = [f"/api/products?sort={sort}" for sort in KEYS]
    drawn = random.Random(20261128)
    targets = [*first, *_targets(drawn, places, categories, _our_target, MIX - len(first))]
    requests = [Asked(request(target)) for target in targets]
    answers = await collect(of.servers["ours"].port, requests)
    bodies = dict(zip(targets, (_good(each, "mix").body for each in answers), strict=True))
    lay(of, bodies)
    weights = [1 / rank**EXPONENT for rank in range(1, MIX + 1)]
    chosen = drawn.choices(range(MIX), weights, k=DRAWS)
    asked = {}
    for name in ("ours", "express", "nginx"):
        each = _same(of, name, bodies)
        asked[name] = [each[number] for number in chosen]
    return Workload(asked, warm_s=MIX_WARM_S)


async def misses(
    of: Field, places: Sequence[Place], categories: Sequence[str], sorts: Sequence[str], seed: int
) -> Workload:
    """Pages that nobody has asked for: an endless list, the same for both."""

    def stream(target: Callable[..., str]) -> Iterator[Asked]:
        targets = _targets(random.Random(seed), places, categories, target, len(places) * 20, sorts)
        return (Asked(request(each)) for each in targets)

    asked = {"ours": stream(_our_target), "express": stream(_express_target)}
    rows = {}
    for name, requests in asked.items():
        some = [next(requests) for _ in range(SAMPLE)]
        answers = await collect(of.servers[name].port, some)
        if any(each.status != 200 for each in answers):
            print((of.folder / f"{name}.log").read_text(errors="replace")[-2_000:])
        rows[name] = [msgspec.json.decode(_good(each, name).body)["data"] for each in answers]
    for own, theirs in zip(rows["ours"], rows["express"], strict=True):
        if own != theirs:
            raise SystemExit(f"misses: Express shows other rows than we do:\n{theirs[:1]}\n{own[:1]}")
    return Workload(asked)


def _targets(
    drawn: random.Random,
    places: Sequence[Place],
    categories: Sequence[str],
    target: Callable[[str, str | None, Place], str],
    most: int,
    sorts: Sequence[str] = tuple(KEYS),
) -> Iterator[str]:
    """Each combination of place, sort and category at most once, in an order that looks like none."""
    shapes = [(sort, category) for sort in sorts for category in (None, *categories)]
    whole = len(shapes) * len(places)
    # A step without a common factor visits every number once before the first comes again.
    step, at = 7_368_787, drawn.randrange(whole)
    for _ in range(min(most, whole)):
        at = (at + step) % whole
        sort, category = shapes[at % len(shapes)]
        yield target(sort, category, places[at // len(shapes)])


def _our_target(sort: str, category: str | None, place: Place) -> str:
    query = _query(sort, category)
    position = Position(_key(sort, place), place.identity)
    return f"/api/products?{query}&cursor={_codec.encode(position, _fingerprint(query))}"


def _express_target(sort: str, category: str | None, place: Place) -> str:
    cursor = urlsafe_b64encode(msgspec.json.encode([_key(sort, place), place.identity])).decode().rstrip("=")
    return f"/api/products?{_query(sort, category)}&cursor={cursor}"


def _key(sort: str, place: Place) -> int | None:
    return {"id": None, "price": place.price, "createdAt": place.created_us}[sort]


def _query(sort: str, category: str | None) -> str:
    named = {"sort": sort} if category is None else {"sort": sort, "category": category}
    return urlencode(named, quote_via=quote)


_fingerprints: dict[str, bytes] = {}


def _fingerprint(query: str) -> bytes:
    if query not in _fingerprints:
        identity = ListingQuery.parse(query.encode()).identity()
        _fingerprints[query] = fingerprint("products", identity)
    return _fingerprints[query]


def places(of: Field, seed: int) -> tuple[list[Place], list[Place]]:
    """Places anywhere, and such that most of the catalogue lies before them, by id and by price alike."""
    columns = "SELECT id, price_minor, created_at_us FROM products"
    with of.catalogue.server.connection(of.catalogue.database) as connection, connection.cursor() as cursor:
        cursor.execute(f"{columns} ORDER BY RAND({seed}) LIMIT {ROWS}")
        anywhere = [Place(*row) for row in cursor.fetchall()]
        cursor.execute("SELECT MAX(id) FROM products")
        [(greatest,)] = cursor.fetchall()
        dearest = sorted(place.price for place in anywhere)[int(len(anywhere) * DEPTH)]
        cursor.execute(
            f"{columns} WHERE id BETWEEN {int(greatest * DEPTH)} AND {greatest - 30}"
            f" AND price_minor >= {dearest} ORDER BY RAND({seed}) LIMIT {ROWS}"
        )
        return anywhere, [Place(*row) for row in cursor.fetchall()]


async def statements(of: Field, workload: Workload) -> list[str]:
    """What we ask the database for the next `RECORDED` pages of a workload, as the server notes it."""
    asked = iter(workload.asked["ours"])
    server = of.catalogue.server
    server.administer("SET GLOBAL log_output = 'TABLE'")
    server.administer("SET GLOBAL general_log = ON")
    await collect(of.servers["ours"].port, [next(asked) for _ in range(RECORDED)], 1)
    server.administer("SET GLOBAL general_log = OFF")
    noted = server.administer(
        "SELECT argument FROM mysql.general_log WHERE command_type = 'Query' AND user_host LIKE %s"
        " ORDER BY event_time",
        (f"{USER}%",),
    )
    texts = [text if isinstance(text, str) else text.decode() for (text,) in noted]
    return [text for text in texts if text.lstrip("( ").upper().startswith("SELECT")]


def events(name: str) -> Iterator[Asked]:
    """Events of orders, each new and signed as it is sent; Express does not ask who signed."""
    number, order = 0, random.Random(7)
    while True:
        number += 1
        identity = f"{name}-{time.time_ns()}-{number}"
        said = {
            "eventId": identity,
            "orderId": f"order-{order.randrange(1_000_000)}",
            "status": "accepted",
            "sequence": number,
        }
        body = msgspec.json.encode(said)
        signed = sign(WEBHOOK_SECRET.encode(), identity, int(time.time()), body)
        lines = "".join(f"{each}: {value}\r\n" for each, value in signed.items())
        headers = f"Content-Type: application/json\r\n{lines}"
        yield Asked(request("/webhook/order-update", headers, "POST", body))


async def ok(of: Field, target: str) -> Answer:
    """Our answer."""
    return _good(await ask(of.servers["ours"].port, target), target)


def _good(answer: Answer, what: str) -> Answer:
    if answer.status != 200:
        raise SystemExit(f"{what}: {answer.status} {answer.body[:300].decode(errors='replace')}")
    return answer


async def named(of: Field) -> list[str]:
    """Categories with products."""
    found: list[Any] = msgspec.json.decode((await ok(of, "/api/categories")).body)["data"]
    return [row["name"] for row in found if row["products"]]
