"""What an event makes of an order and of the stock: pure, so that a batch is decided before it is written."""

from collections.abc import Iterable, Mapping, MutableMapping
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from farmlokal.catalog.models import QUANTITY_CEILING_MILLI, UNITS
from farmlokal.errors import Unprocessable
from farmlokal.orders.models import RELEASED, Holding, Item, Order, OrderEvent


class Unappliable(Unprocessable):
    """An event that cannot be applied as things are: a person has to look."""


class Change(NamedTuple):
    """An order after an event; `stale` when it has a greater event already, which goes on deciding."""

    order: Order
    stale: bool


class Shelf(Protocol):
    """What there is of a product, in thousandths of `unit`. None: not known."""

    @property
    def stock_milli(self) -> int | None: ...

    @property
    def unit(self) -> str | None: ...


def apply(order: Order, event: OrderEvent) -> Change:
    """The order with each part that the event is the greatest to speak of. Its holdings stay as they are."""
    place = event.place
    said: dict[str, object] = {}
    status = event.known_status
    if status is not None and place > order.status_place:
        said |= {"status": status, "status_place": place}
    if event.items is not None and place > order.items_place:
        said |= {"items": event.items, "items_place": place}
    stale = place <= order.place
    if not stale:
        said["place"] = place
    return Change(replace(order, **said), stale)


def products_concerned(order: Order, event: OrderEvent) -> Iterable[int]:
    """The products whose stock the event may move: none for a step on the way, which is most events."""
    if event.items is None and event.known_status not in RELEASED and order.status not in RELEASED:
        return ()
    named = (*order.items, *(event.items or ()))
    return {*order.holdings, *(item.product_id for item in named)}


def wanted(items: Iterable[Item], shelves: Mapping[int, Shelf]) -> dict[int, int]:
    """Thousandths of its base unit that the items ask for of each product. Raises `Unappliable`."""
    total: dict[int, int] = {}
    for item in items:
        shelf = shelves.get(item.product_id)
        if shelf is None:
            raise Unappliable(f"There is no product {item.product_id}.")
        milli = item.quantity_milli
        if item.unit is not None:
            unit = UNITS[item.unit]
            if shelf.unit not in (None, unit.base):
                raise Unappliable(f"Product {item.product_id} is sold by {shelf.unit}, not by {item.unit}.")
            milli = milli * unit.base_milli // 1000
        total[item.product_id] = total.get(item.product_id, 0) + milli
        if total[item.product_id] > QUANTITY_CEILING_MILLI:
            raise Unappliable(f"Of product {item.product_id} more is asked for than there can be.")
    return {product: milli for product, milli in total.items() if milli}


def settle(
    order: Order, want: Mapping[int, int], stock: MutableMapping[int, int | None]
) -> tuple[Order, dict[int, int]]:
    """The order holding what it now wants, and what the stock did not have of it, by product.

    `stock` gives and takes the differences, and is never below 0. A product of which the order wants what it
    wanted is left alone, short or not.
    """
    holdings: dict[int, Holding] = {}
    shortfall: dict[int, int] = {}
    for product in sorted({*order.holdings, *want}):
        before, milli = order.holdings.get(product, Holding(0, 0)), want.get(product, 0)
        if before.wanted_milli == milli:
            holdings[product] = before
            continue
        there = stock.get(product)
        if there is None:
            after = Holding(milli, None)
        else:
            held = before.held_milli or 0
            after = Holding(milli, held + min(there, milli - held))
            stock[product] = there - ((after.held_milli or 0) - held)
        if milli:
            holdings[product] = after
        if after.shortfall_milli:
            shortfall[product] = after.shortfall_milli
    return replace(order, holdings=holdings), shortfall
