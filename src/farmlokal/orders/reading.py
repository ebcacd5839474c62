"""Orders read back: pages of them, one of them, its events."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, bindparam, select

from farmlokal.orders.ledger import ORDER_STATE, StoredOrder, stored
from farmlokal.orders.models import Item, Place
from farmlokal.orders.query import OrdersQuery
from farmlokal.orders.schema import order_events, orders
from farmlokal.platform.database.compilers import Statement, compiled
from farmlokal.platform.database.port import Database, Row
from farmlokal.platform.keyset.cursor import Position
from farmlokal.platform.keyset.ranges import Order, Range, ranges

HISTORY = 200
"""Most events of a history: an order has about ten. With more the newest are shown."""

_COLUMNS: tuple[ColumnElement[Any], ...] = (
    orders.c.order_key,
    orders.c.id,
    *(orders.c[name] for name in ORDER_STATE),
)
_TIMES: tuple[ColumnElement[Any], ...] = (orders.c.created_at_us, orders.c.updated_at_us, orders.c.version)
_BY = {"createdAt": "created", "updatedAt": "updated"}

_items = msgspec.json.Decoder(tuple[Item, ...])
_shortfall = msgspec.json.Decoder(dict[int, int])


class ShownOrder(msgspec.Struct, frozen=True):
    """An order as it is stored, with its times in microseconds."""

    stored: StoredOrder
    created_at_us: int
    updated_at_us: int
    version: int


class RecordedEvent(msgspec.Struct, frozen=True):
    """An event as it is stored; `shortfall` in thousandths by product."""

    source: str
    place: Place
    status: str | None
    items: tuple[Item, ...] | None
    outcome: str
    shortfall: Mapping[int, int]
    received_at_us: int


class OrderReader:
    """The statements, compiled once for one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._merged = database.dialect.name != "sqlite"
        self._statements: dict[tuple[object, ...], Statement] = {}

    async def page(self, query: OrdersQuery, position: Position | None, rows: int) -> list[Row]:
        """(sort key, id, `ShownOrder`) in the order of reading, at most so many. Raises `Unavailable`."""
        name = _BY[query.sort]
        key = orders.c[f"{name}_at_us"]
        backward = position is not None and position.backward
        of = Order(orders.c.id, key, descending=query.descending, backward=backward)
        asked = {"status": query.status, "since": query.since_us, "until": query.until_us}
        chosen = {name: value for name, value in asked.items() if value is not None}
        conditions = {
            "status": orders.c.status == bindparam("status"),
            "since": key >= bindparam("since"),
            "until": key < bindparam("until"),
        }
        index = f"ix_orders_status_by_{name}" if query.status else f"ix_orders_by_{name}"
        at = {} if position is None else {"after_key": position.key, "after_tie": position.tie}
        kind = None if position is None else position.inclusive
        found: list[Row] = []
        for number, each in enumerate(ranges(of, position, merged=self._merged)):
            if len(found) < rows:
                shape = (query.sort, of.reverse, tuple(chosen), kind, number)
                if shape not in self._statements:
                    self._statements[shape] = self._compiled(
                        each, [conditions[name] for name in chosen], index
                    )
                page = self._statements[shape]
                given = {**page.constants, **chosen, **at, "page_rows": rows - len(found)}
                found += await self._database.fetch_all(page.sql, given)
        at_key = len(_COLUMNS) + list(_BY).index(query.sort)
        return [(row[at_key], row[1], _shown(row)) for row in found]

    async def find(self, order_key: bytes) -> ShownOrder | None:
        """The order that a sender calls so."""
        statement = select(*_COLUMNS, *_TIMES).where(orders.c.order_key == bindparam("key"))
        rows = await self._fetch("order", statement, {"key": order_key})
        return _shown(rows[0]) if rows else None

    async def events(self, order_id: int, most: int) -> list[RecordedEvent]:
        """The last events of an order, in the order of events, at most so many."""
        e = order_events.c
        statement = select(*_recorded_columns()).where(e.order_id == bindparam("order"))
        statement = statement.order_by(e.place.desc()).limit(bindparam("most"))
        rows = await self._fetch("events", statement, {"order": order_id, "most": most})
        return [_recorded(row) for row in reversed(rows)]

    async def recorded(self, order_key: bytes | None, most: int) -> list[tuple[bytes | None, RecordedEvent]]:
        """(id of its order, event) of what was received last, of one order or of all, oldest first."""
        e = order_events.c
        key = select(orders.c.order_key).where(orders.c.id == e.order_id).scalar_subquery()
        statement = select(key, *_recorded_columns())
        if order_key is not None:
            of = select(orders.c.id).where(orders.c.order_key == bindparam("key")).scalar_subquery()
            statement = statement.where(e.order_id == of)
        statement = statement.order_by(e.id.desc()).limit(bindparam("most"))
        given = {"most": most} if order_key is None else {"most": most, "key": order_key}
        rows = await self._fetch(f"recorded {order_key is None}", statement, given)
        return [(row[0], _recorded(row[1:])) for row in reversed(rows)]

    async def _fetch(self, name: str, statement: Select[Any], given: Mapping[str, Any]) -> list[Row]:
        if (name,) not in self._statements:
            self._statements[name,] = compiled(statement, self._database.dialect)
        sql, constants = self._statements[name,]
        return await self._database.fetch_all(sql, {**constants, **given})

    def _compiled(self, each: Range, conditions: Sequence[ColumnElement[bool]], index: str) -> Statement:
        statement = select(*_COLUMNS, *_TIMES).with_hint(orders, index).where(*conditions, *each.where)
        statement = statement.order_by(*each.order_by).limit(bindparam("page_rows"))
        return compiled(statement, self._database.dialect)


def _recorded_columns() -> list[ColumnElement[Any]]:
    names = ("source", "place", "status", "items", "outcome", "shortfall", "received_at_us")
    return [order_events.c[name] for name in names]


def _shown(row: Row) -> ShownOrder:
    return ShownOrder(stored(row[: len(_COLUMNS)]), *row[len(_COLUMNS) :])


def _recorded(row: Row) -> RecordedEvent:
    source, place, status, items, outcome, shortfall, received_at_us = row
    return RecordedEvent(
        source=source,
        place=Place.of(place),
        status=status,
        items=None if items is None else _items.decode(items),
        outcome=outcome,
        shortfall={} if shortfall is None else _shortfall.decode(shortfall),
        received_at_us=received_at_us,
    )
