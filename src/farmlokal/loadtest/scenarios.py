"""What callers do on a shop day, and how often: most look, some write.

Popularity is Zipf's: few categories, words and products are asked for often, most rarely. What can be asked
for is learned from the server before the clock starts, and on the way: the next page of a list just shown.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from farmlokal.errors import Fault, Invalid
from farmlokal.orders.signature import sign

MIX: Mapping[str, float] = {"browse": 40, "page": 20, "search": 15, "open": 20, "write": 2, "webhook": 3}
"""Weights of a day: a reader turns one page for two lists, opens one product of three pages; farmers and the
order system are few beside them. Assumed, not observed: `--mix` says otherwise."""

SORTS = ("id", "price", "createdAt", "name")
REMEMBERED = 1_000
"""Lists whose next page may be asked for."""

ORDERS = 10_000
STATUSES = ("created", "accepted", "packed", "picked_up", "out_for_delivery", "delivered")

_NEXT = re.compile(rb'"nextCursor":"([^"\\]{1,1024})"')


@dataclass(frozen=True, slots=True)
class Credentials:
    """What writing needs; nobody's `repr` shows it."""

    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    webhook_secret: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as bytes, what it is, and what is learned from its answer."""

    kind: str
    content: bytes = field(repr=False)
    learn: Callable[[bytes], None] | None = None


class Shop:
    """Makes requests. `known` are whole answers of `/api/categories` and of lists of products."""

    def __init__(
        self, host: str, draw: Random, mix: Mapping[str, float], categories: bytes, lists: Sequence[bytes]
    ) -> None:
        self._host, self._draw = host, draw
        self._kinds, self._weights = list(mix), list(mix.values())
        self._categories = [
            row["name"] for row in msgspec.json.decode(categories)["data"] if row["products"] != 0
        ]
        products: list[dict[str, Any]] = [
            row for each in lists for row in msgspec.json.decode(each).get("data", [])
        ]
        if not products:
            raise Invalid("There is no product to ask for: `farmlokal seed` makes some.")
        self._prices = {row["id"]: row["price"] for row in products}
        self._ids = list(self._prices)
        self._words = sorted({word for row in products for word in _words(row["name"])})
        draw.shuffle(self._words)
        self._next: deque[str] = deque(maxlen=REMEMBERED)
        self._events = 0
        self.bearer = ""
        self.webhook_secret = b""

    def request(self) -> Request:
        """The next one."""
        [kind] = self._draw.choices(self._kinds, self._weights)
        made: Request = getattr(self, f"_{kind}")()
        return made

    def _browse(self) -> Request:
        query = {"sort": self._draw.choice(SORTS)}
        if self._draw.random() < 0.8:
            query["category"] = self._popular(self._categories)
        return self._list("browse", query)

    def _search(self) -> Request:
        return self._list("search", {"search": self._popular(self._words)})

    def _page(self) -> Request:
        if not self._next:
            return self._list("page", {"sort": "id"})
        # Somebody may turn any of the pages that were shown lately, and sooner those shown last.
        newest = len(self._next) - 1
        target = self._next[newest - min(newest, int(self._draw.expovariate(1 / 50)))]
        return self._get("page", target, self._learn(target))

    def _open(self) -> Request:
        return self._get("open", f"/api/products/{self._popular(self._ids)}")

    def _write(self) -> Request:
        identity = self._popular(self._ids)
        price = float(self._prices[identity]) * self._draw.uniform(0.95, 1.05)
        body = msgspec.json.encode({"price": f"{price:.2f}"})
        headers = {
            "Authorization": f"Bearer {self.bearer}",
            "Content-Type": "application/merge-patch+json",
        }
        return Request("write", self._bytes("PATCH", f"/api/products/{identity}", headers, body))

    def _webhook(self) -> Request:
        self._events += 1
        identity = f"loadtest-{time.time_ns()}-{self._events}"
        step = self._draw.randrange(len(STATUSES))
        said = {
            "eventId": identity,
            "orderId": f"loadtest-{self._draw.randrange(ORDERS)}",
            "status": STATUSES[step],
            "sequence": step,
        }
        body = msgspec.json.encode(said)
        headers = {"Content-Type": "application/json"}
        headers |= sign(self.webhook_secret, identity, int(time.time()), body)
        return Request("webhook", self._bytes("POST", "/webhook/order-update", headers, body))

    def _list(self, kind: str, query: Mapping[str, str]) -> Request:
        target = f"/api/products?{urlencode(query, quote_via=quote)}"
        return self._get(kind, target, self._learn(target))

    def _learn(self, target: str) -> Callable[[bytes], None]:
        first = target.partition("&cursor=")[0]

        def learn(body: bytes) -> None:
            # It stands after the rows: reading the whole of each answer would cost more than sending it.
            if found := _NEXT.search(body, max(0, len(body) - 4_096)):
                self._next.append(f"{first}&cursor={found[1].decode()}")

        return learn

    def _get(self, kind: str, target: str, learn: Callable[[bytes], None] | None = None) -> Request:
        return Request(kind, self._bytes("GET", target, {}, b""), learn)

    def _bytes(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
        return request_bytes(method, target, self._host, headers, body)

    def _popular(self, values: Sequence[Any]) -> Any:
        """One of them, the first most often: Zipf's law by its continuous cousin."""
        return values[int((len(values) + 1) ** self._draw.random()) - 1]


def request_bytes(
    method: str, target: str, host: str, headers: Mapping[str, str], body: bytes = b""
) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Accept: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def parse_mix(text: str, credentials: Credentials) -> Mapping[str, float]:
    """``browse=40,search=10`` as weights; without a text those of a day. What credentials lack for is left
    out of the day, and refused where it was asked for. Raises `Invalid`."""
    lacking = set()
    if not (credentials.client_id and credentials.client_secret):
        lacking.add("write")
    if not credentials.webhook_secret:
        lacking.add("webhook")
    if not text:
        return {kind: weight for kind, weight in MIX.items() if kind not in lacking}
    mix = {}
    for each in text.split(","):
        kind, _, weight = each.partition("=")
        if kind not in MIX or not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", weight):
            raise Invalid("The mix is not understood.", Fault("mix", "malformed", "browse=40,search=10,…"))
        mix[kind] = float(weight)
    if refused := sorted(lacking & {kind for kind, weight in mix.items() if weight}):
        raise Invalid(f"There are no credentials for {' and '.join(refused)}.")
    if not sum(mix.values()):
        raise Invalid("The mix is empty.", Fault("mix", "range", "one weight over 0"))
    return mix


def _words(name: str) -> list[str]:
    return [word for word in re.findall(r"\w+", name.lower()) if len(word) > 2]
