"""What events make of orders and of the stock, whatever order they come in."""

from collections.abc import Iterable, Sequence
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.catalog.stock import Shelf
from farmlokal.orders.change import Unappliable, apply, products_concerned, settle, wanted
from farmlokal.orders.models import Holding, Item, Order, OrderEvent, Status


def event(
    sequence: int | None,
    status: str | None = None,
    items: Sequence[tuple[int, int]] | None = None,
    name: str = "",
) -> OrderEvent:
    """An event; `items` are (product, kg)."""
    said = None if items is None else tuple(Item(product, str(kg), kg * 1000, "kg") for product, kg in items)
    identity = (name or f"event {sequence}").encode()
    return OrderEvent(
        source="standard",
        event_id=identity,
        digest=identity,
        body=b"",
        order_key=b"o",
        status=status,
        sequence=sequence,
        items=said,
    )


class World:
    """One order and the stock, as a batch keeps them."""

    def __init__(self, **stock_kg: int | None) -> None:
        self.order = Order(order_key=b"o")
        self.stock = {int(name[1:]): None if kg is None else kg * 1000 for name, kg in stock_kg.items()}
        self.stale: list[bool] = []
        self.shortfall: dict[int, int] = {}

    def take(self, given: OrderEvent) -> "World":
        """One event."""
        after, stale = apply(self.order, given)
        concerned = set(products_concerned(self.order, given))
        self.shortfall = {}
        if after.asks_for != self.order.asks_for:
            shelves = {each: Shelf(self.stock[each], "kg") for each in concerned & self.stock.keys()}
            after, self.shortfall = settle(after, wanted(after.asks_for, shelves), self.stock)
        self.order = after
        self.stale.append(stale)
        return self

    def all(self, events: Iterable[OrderEvent]) -> "World":
        """Several."""
        for each in events:
            self.take(each)
        return self

    @property
    def held(self) -> dict[int, int | None]:
        """What the order holds, by product."""
        return {product: each.held_milli for product, each in self.order.holdings.items()}


JOURNEYS = {
    "to the end": [
        event(1, "created", [(1, 3), (2, 1)]),
        event(2, "accepted"),
        event(3, None, [(1, 5)]),
        event(4, "delivered"),
        event(5, "completed"),
    ],
    "cancelled": [
        event(1, "created", [(1, 3)]),
        event(2, "accepted", [(1, 4), (2, 2)]),
        event(3, "cancelled"),
        event(4, "delivered", [(2, 1)]),
        event(5, "cancelled"),
    ],
    "short": [
        event(1, "created", [(1, 30)]),
        event(2, None, [(1, 8), (2, 50)]),
        event(3, "teleported"),
        event(4, None, [(2, 60)]),
        event(5, "packed"),
    ],
    "without numbers": [event(None, status, name=status) for status in ("created", "packed", "accepted")]
    + [event(None, "returned", [(1, 2)], name="z"), event(None, None, [(1, 1)], name="a")],
}


@pytest.mark.parametrize("journey", JOURNEYS.values(), ids=JOURNEYS.keys())
def test_every_order_of_arrival_gives_one_state(journey: list[OrderEvent]) -> None:
    """In each of the 120 orders in which five events may come, with any of them twice, the order and the
    stock end as if they had come in their own order."""
    expected = World(p1=10, p2=10).all(sorted(journey, key=lambda each: each.place))
    for arrival in permutations(journey):
        world = World(p1=10, p2=10).all(arrival)
        assert (world.order, world.stock) == (expected.order, expected.stock)
        again = world.all(reversed(arrival))
        assert (again.order, again.stock) == (expected.order, expected.stock)


def test_what_comes_late_is_stale() -> None:
    """An event that comes after a greater one is stale, even where it is the first to say something."""
    world = World(p1=10).all([event(2, "accepted"), event(1, "created", [(1, 3)]), event(3, "packed")])
    assert world.stale == [False, True, False]
    assert (world.order.status, world.held) == (Status.PACKED, {1: 3000})


def test_stock_moves_by_the_difference() -> None:
    """What an order holds is taken from the stock, what it holds no more goes back, steps move nothing."""
    world = World(p1=10, p2=10)
    levels = []
    for each in (
        event(1, "created", [(1, 3)]),
        event(2, "accepted"),
        event(3, None, [(1, 5), (2, 1)]),
        event(4, None, [(2, 4)]),
        event(5, "cancelled"),
        event(6, None, [(1, 1)]),
    ):
        world.take(each)
        levels.append((world.stock[1], world.stock[2]))
    before = [(7000, 10_000), (7000, 10_000), (5000, 9000), (10_000, 6000)]
    assert levels == [*before, (10_000, 10_000), (10_000, 10_000)]


def test_short_stock_goes_to_nothing_and_is_told() -> None:
    """What the stock does not have is not held and is recorded; only what was taken goes back."""
    world = World(p1=2).take(event(1, "created", [(1, 5)]))
    assert (world.stock, world.held, world.shortfall) == ({1: 0}, {1: 2000}, {1: 3000})
    world.take(event(2, "accepted"))
    assert world.shortfall == {}
    world.take(event(3, "cancelled"))
    assert (world.stock, world.held, world.shortfall) == ({1: 2000}, {}, {})


def test_stock_that_nobody_counts_is_left_alone() -> None:
    """Of a product whose stock is not known nothing is taken, nothing is short, and nothing comes back."""
    world = World(p1=None).take(event(1, "created", [(1, 5)]))
    assert (world.stock, world.order.holdings) == ({1: None}, {1: Holding(5000, None)})
    assert world.shortfall == {}
    world.stock[1] = 4000
    world.take(event(2, "cancelled"))
    assert world.stock == {1: 4000}


def test_units_are_converted_to_that_of_the_stock() -> None:
    """Grams are kilograms, dozens are pieces, and without a unit it is the product's own."""
    shelves = {1: Shelf(0, "kg"), 2: Shelf(0, "piece"), 3: Shelf(None, None)}
    items = [
        Item(1, "250", 250_000, "g"),
        Item(1, "1.5", 1500, "kg"),
        Item(1, "1", 1000, None),
        Item(2, "2", 2000, "dozen"),
        Item(2, "1", 1000, "bunch"),
        Item(3, "1", 1000, "litre"),
        Item(3, "0", 0, None),
    ]
    assert wanted(items, shelves) == {1: 2750, 2: 25_000, 3: 1000}
    assert wanted([Item(1, "0", 0, "kg")], shelves) == {}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (Item(9, "1", 1000, "kg"), "no product 9"),
        (Item(1, "1", 1000, "piece"), "sold by kg, not by piece"),
        (Item(1, "9" * 9, 999_999_999_000, "kg"), "more is asked for"),
    ],
)
def test_what_cannot_be_applied_says_why(item: Item, reason: str) -> None:
    """A product that is not there, a unit that does not fit and a sum beyond all bounds are for a person."""
    with pytest.raises(Unappliable, match=reason):
        wanted([item, item], {1: Shelf(0, "kg")})


_EVENTS = st.lists(
    st.tuples(
        st.none() | st.integers(0, 4),
        st.none() | st.sampled_from([*Status, "teleported"]),
        st.none() | st.lists(st.tuples(st.integers(1, 3), st.integers(0, 6)), max_size=3),
    ),
    max_size=7,
)


@given(_EVENTS, st.randoms(use_true_random=False))
def test_nothing_is_lost_or_made_of_stock(
    said: list[tuple[int | None, str | None, list[tuple[int, int]] | None]], random: Random
) -> None:
    """At every moment stock and what is held add up to what there was, stock is never below nothing, and the
    end does not depend on the order of arrival."""
    events = [event(*each, name=f"{at:02}") for at, each in enumerate(said)]
    world = World(p1=5, p2=1, p3=20)
    for each in events:
        world.take(each)
        for product, there in world.stock.items():
            held = world.held.get(product) or 0
            assert there is not None
            assert there >= 0
            assert there + held == {1: 5000, 2: 1000, 3: 20_000}[product]
    shuffled = list(events)
    random.shuffle(shuffled)
    other = World(p1=5, p2=1, p3=20).all(shuffled)
    assert (other.order, other.stock) == (world.order, world.stock)
