"""What callers may know of orders: a page of them, or one with its history."""

from farmlokal.catalog.models import quantity
from farmlokal.errors import NotFound
from farmlokal.orders import representation as shown
from farmlokal.orders.history import steps
from farmlokal.orders.models import Holding, Item, Place, Status
from farmlokal.orders.query import OrdersQuery
from farmlokal.orders.reading import HISTORY, OrderReader, RecordedEvent, ShownOrder
from farmlokal.platform.clock import instant
from farmlokal.platform.keyset.cursor import CursorCodec, fingerprint
from farmlokal.platform.keyset.walk import Walk


class Orders:
    """Orders, read."""

    def __init__(self, reader: OrderReader, cursors: CursorCodec) -> None:
        self._reader = reader
        self._cursors = cursors

    async def page(self, query: OrdersQuery) -> shown.OrderPage:
        """One page of orders. Raises `Invalid` for a cursor of another query."""
        walk = Walk(self._cursors, fingerprint("orders", query.identity()), query.cursor)
        rows = await self._reader.page(query, walk.position, query.limit + 1)
        page = walk.slice(rows, query.limit)
        return shown.OrderPage(
            data=[_summary(order) for _, _, order in page.rows],
            next_cursor=page.next_cursor,
            prev_cursor=page.prev_cursor,
            has_more=page.next_cursor is not None,
        )

    async def order(self, name: str) -> shown.OrderDetail:
        """The order that a sender calls so. Raises `NotFound`."""
        found = await self._reader.find(name.encode("utf-8", "surrogateescape"))
        if found is None:
            raise NotFound("There is no order of this id.")
        events = await self._reader.events(found.stored.id, HISTORY + 1)
        statuses = (Status(each.status) if each.status in list(Status) else None for each in events)
        history = [_event(event, after) for event, after in zip(events, steps(statuses), strict=True)]
        order, summary = found.stored.order, _summary(found)
        return shown.OrderDetail(
            **{name: getattr(summary, name) for name in summary.__struct_fields__},
            items=[_item(item) for item in order.items],
            holdings=[_held(product, each) for product, each in sorted(order.holdings.items())],
            history=history[-HISTORY:],
            history_complete=len(history) <= HISTORY,
        )


def _summary(found: ShownOrder) -> shown.OrderSummary:
    order = found.stored.order
    place = Place.of(order.place)
    return shown.OrderSummary(
        id=order.order_key.decode(),
        status=order.status,
        sequence=place.sequence,
        occurred_at=None if place.occurred_at_us is None else instant(place.occurred_at_us),
        created_at=instant(found.created_at_us),
        updated_at=instant(found.updated_at_us),
        version=found.version,
    )


def _event(event: RecordedEvent, after: Status | None) -> shown.HistoryEvent:
    occurred_at_us = event.place.occurred_at_us
    return shown.HistoryEvent(
        event_id=event.place.event_id.decode(),
        source=event.source,
        status=event.status,
        sequence=event.place.sequence,
        occurred_at=None if occurred_at_us is None else instant(occurred_at_us),
        items=None if event.items is None else [_item(item) for item in event.items],
        outcome=event.outcome,
        shortfall=[shown.Shortfall(product, quantity(milli)) for product, milli in event.shortfall.items()],
        impossible_after=after,
        received_at=instant(event.received_at_us),
    )


def _item(item: Item) -> shown.Quantity:
    return shown.Quantity(item.product_id, item.quantity, item.unit)


def _held(product: int, each: Holding) -> shown.Held:
    counted = each.held_milli is not None
    return shown.Held(
        product_id=product,
        wanted=quantity(each.wanted_milli),
        held=quantity(each.held_milli or 0) if counted else None,
        shortfall=quantity(each.shortfall_milli) if counted else None,
    )
