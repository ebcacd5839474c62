"""The oracle: what was sent and what was answered, written down as it happens, against what is in the books.

It knows the rule of events by a few lines of its own and nothing of the program. A sender that was answered
with a 2xx may forget its event; so the effects of all those must be there, once, whatever has crashed.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests.faults.traffic import Said
from tests.support.orders import Books

RELEASED = ("cancelled", "returned")
GOOD = {200}
AGAIN = {409, 429, 503}
"""Answers after which a sender tries again; any other is a fault of the server."""

BALANCED_AGAIN = AGAIN | {502, 504}
"""The same behind a balancer, whose words these are for an instance that died or stood still over a
request."""


class Record:
    """An append-only file of JSON lines: `[seconds, "sent" | "answered" | "cut" | "fault", …]`."""

    def __init__(self, path: Path, start_s: float) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._start_s = start_s
        self._lock = threading.Lock()
        self.acknowledged: dict[str, str] = {}
        """The first good answer to each event, by its id."""
        self.acknowledged_s: list[float] = []
        """When each of those came, by the clock that is passed in."""
        self.refused_s: list[float] = []
        """When there was no good answer: another one, or none."""
        self.statuses: Counter[int] = Counter()
        self.words: Counter[str] = Counter()
        self.cut = 0
        self.seconds: list[float] = []
        """From each sending to its answer."""

    def note(self, now_s: float, *what: Any) -> None:
        """One line."""
        with self._lock:
            self._file.write(msgspec.json.encode([round(now_s - self._start_s, 4), *what]).decode() + "\n")

    def answered(self, now_s: float, event_id: str, status: int, word: str, took_s: float) -> None:
        """An answer."""
        self.note(now_s, "answered", event_id, status, word)
        self.statuses[status] += 1
        self.seconds.append(took_s)
        if status in GOOD:
            self.words[word] += 1
            if event_id not in self.acknowledged:
                self.acknowledged[event_id] = word
                self.acknowledged_s.append(now_s)
        else:
            self.refused_s.append(now_s)

    def was_cut(self, now_s: float, event_id: str, why: str) -> None:
        """No answer."""
        self.note(now_s, "cut", event_id, why)
        self.cut += 1
        self.refused_s.append(now_s)

    def close(self) -> None:
        """The end of the run."""
        self._file.close()


class Expected(NamedTuple):
    """The state of an order after all of its events, and grams by product that it is to hold."""

    status: str | None
    wanted: Mapping[int, int]


def expected(events: Iterable[Said]) -> dict[str, Expected]:
    """By order, from the rule alone: the last that is said counts, and what is released holds nothing."""
    orders: dict[str, tuple[str | None, dict[int, int]]] = {}
    for said in sorted(events, key=lambda each: each.sequence):
        status, items = orders.get(said.order_id, (None, {}))
        orders[said.order_id] = (said.status or status, items if said.items is None else said.items)
    return {
        order: Expected(status, {} if status in RELEASED else items)
        for order, (status, items) in orders.items()
    }


class Verdict(NamedTuple):
    """What is wrong, in words that name it; nothing: nothing is."""

    lost: list[str]
    doubled: list[str]
    regressed: list[str]

    @property
    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {name: len(found) for name, found in self._asdict().items()}


def judge(
    events: list[Said], acknowledged: Mapping[str, str], books: Books, stock_milli: Mapping[int, int]
) -> Verdict:
    """Compare, when every event was acknowledged; `stock_milli` is what there was at first.

    Lost: acknowledged and not recorded. Doubled: recorded twice, or stock that does not add up with what the
    orders hold. Regressed: an order that is not what its greatest events say.
    """
    recorded = Counter(name for name, _ in books.events())
    lost = [name for name in acknowledged if not recorded[name]]
    doubled = [f"{name} is recorded {times} times" for name, times in recorded.items() if times > 1]
    orders, there = books.orders(), books.stock()
    for product, milli in stock_milli.items():
        held = sum(order.held.get(product) or 0 for order in orders.values())
        left = there[product]
        assert left is not None
        if left + held != milli or left < 0:
            doubled.append(f"product {product}: {left} left and {held} held of {milli}")
    wrong = []
    for name, (status, wanted) in expected(each for each in events if each.event_id in acknowledged).items():
        order = orders.get(name)
        if order is None:
            lost.append(name)
            continue
        wants = {product: (has or 0) + order.short.get(product, 0) for product, has in order.held.items()}
        if (order.status, wants) != (status, dict(wanted)):
            wrong.append(f"{name} is {order.status} with {wants}, not {status} with {wanted}")
    return Verdict(lost, doubled, wrong)


class Watch:
    """Looks at orders while they change: none ever goes back to a lesser event."""

    def __init__(self) -> None:
        self._places: dict[bytes, bytes] = {}
        self.backward: list[str] = []
        self.looks = 0

    def look(self, books: Books) -> None:
        """Read all orders once."""
        for key, place in books.rows("SELECT order_key, place FROM orders"):
            before = self._places.get(bytes(key), b"")
            if bytes(place) < before:
                self.backward.append(bytes(key).decode())
            self._places[bytes(key)] = max(before, bytes(place))
        self.looks += 1
