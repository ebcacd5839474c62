"""Events of a marketplace on a bad day, made from a seed: the same number gives the same deliveries.

Every order has a journey of events with rising numbers. Of the deliveries some are duplicates, some come
before those that they follow, and each goes to any instance.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

DUPLICATES, OUT_OF_ORDER = 0.3, 0.3
"""Shares of all deliveries."""

AHEAD_S = 3.0
"""Longest that an event is delivered before or after its turn, or again."""

PRODUCTS, SCARCE = 20, 2
"""Products that are ordered, of which the last ones run out."""

_ENDS = (("delivered", "completed"), ("delivered", "returned"), ("cancelled",), ("delivered",), ())


@dataclass(frozen=True)
class Said:
    """One event. `items` are grams by product."""

    event_id: str
    order_id: str
    sequence: int
    status: str | None
    items: dict[int, int] | None

    def body(self) -> dict[str, Any]:
        """As it is sent."""
        said: dict[str, Any] = {"eventId": self.event_id, "orderId": self.order_id, "sequence": self.sequence}
        if self.status is not None:
            said["status"] = self.status
        if self.items is not None:
            said["items"] = [
                {"productId": product, "quantity": str(grams), "unit": "g"}
                for product, grams in self.items.items()
            ]
        return said


class Delivery(NamedTuple):
    """When an event is first tried, and by which number the instance is chosen."""

    at_s: float
    said: Said
    toss: int


@dataclass
class Traffic:
    """The deliveries of so many seconds at so many a second."""

    seed: int
    rate: float
    seconds: float
    events: list[Said] = field(default_factory=list)

    def deliveries(self) -> list[Delivery]:
        """All of them, by time."""
        random = Random(self.seed)
        found: list[Delivery] = []
        order = 0
        while len(found) < self.rate * self.seconds:
            order += 1
            start = random.uniform(0, self.seconds)
            for number, said in enumerate(self._journey(random, f"order-{order}")):
                self.events.append(said)
                at = start + number * 0.2
                if random.random() < OUT_OF_ORDER:
                    at += random.uniform(-AHEAD_S, AHEAD_S)
                found.append(self._delivery(random, at, said))
                while random.random() < DUPLICATES / (1 + DUPLICATES):
                    again = random.choice((0.0, random.uniform(0, AHEAD_S)))
                    found.append(self._delivery(random, at + again, said))
        return sorted(found, key=lambda delivery: delivery.at_s)

    def _delivery(self, random: Random, at_s: float, said: Said) -> Delivery:
        return Delivery(min(max(at_s, 0.0), self.seconds), said, random.randrange(1000))

    def _journey(self, random: Random, order: str) -> Iterator[Said]:
        steps: list[str | None] = ["created", *random.sample(["accepted", "packed", "picked_up"], 2)]
        steps += [None] * random.randrange(2)
        steps += random.choice(_ENDS)
        for number, status in enumerate(steps, 1):
            items = None
            if number == 1 or status is None or random.random() < 0.2:
                chosen = random.sample(range(1, PRODUCTS + 1), random.randint(1, 3))
                items = {product: random.randint(1, 3000) for product in chosen}
            yield Said(f"{order}/{number}", order, number, status, items)
