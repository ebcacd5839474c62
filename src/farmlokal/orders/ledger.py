"""The statements of orders and their events, run on the transaction that is passed in.

Ids of senders are bytes on every engine, so lists of them are spelled out in a statement: in sizes that are
powers of two, so that there are few statements, with the last key again where there are fewer.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Select, bindparam, insert, literal_column, select, update

from farmlokal.orders.models import Holding, Item, Order, OrderEvent, Status
from farmlokal.orders.schema import order_events, orders
from farmlokal.platform.database.port import Database, Row, Transaction

ORDER_STATE = ("place", "status", "status_place", "items", "items_place", "holdings")
_EVENT_COLUMNS = (
    *("source", "event_id", "digest", "order_id", "place", "status", "items", "outcome", "shortfall"),
    "received_at_us",
)

_encode = msgspec.json.Encoder().encode
_items = msgspec.json.Decoder(tuple[Item, ...])
_holdings = msgspec.json.Decoder(dict[int, Holding])


class StoredOrder(msgspec.Struct, frozen=True):
    """An order and the id of its row."""

    id: int
    order: Order


class Ledger:
    """Compiled for one database."""

    def __init__(self, database: Database) -> None:
        self._dialect = database.dialect
        self._texts: dict[tuple[str, int], str] = {}
        positional = database.positional_dialect
        o = orders.c
        created = ("order_key", *ORDER_STATE, "created_at_us", "updated_at_us", "version")
        self._insert_orders = str(
            insert(orders).values({name: bindparam(name) for name in created}).compile(dialect=positional)
        )
        self._insert_events = str(
            insert(order_events)
            .values({name: bindparam(name) for name in _EVENT_COLUMNS})
            .compile(dialect=positional)
        )
        changes: dict[str, Any] = {name: bindparam(name) for name in (*ORDER_STATE, "updated_at_us")}
        changes["version"] = o.version + literal_column("1")
        self._update_orders = str(
            update(orders)
            .ordered_values(*changes.items())
            .where(o.id == bindparam("key"))
            .compile(dialect=positional)
        )

    async def digests(
        self, tx: Transaction, keys: Iterable[tuple[str, bytes]]
    ) -> dict[tuple[str, bytes], bytes]:
        """The content of those of these events that are recorded, by (source, event id)."""
        by_source: dict[str, list[bytes]] = {}
        for source, event_id in keys:
            by_source.setdefault(source, []).append(event_id)
        found = {}
        for source, event_ids in by_source.items():
            sql, given = self._listed("recorded", event_ids)
            for event_id, digest in await tx.fetch_all(sql, {"source": source, **given}):
                found[source, event_id] = digest
        return found

    async def lock(
        self, tx: Transaction, order_keys: Iterable[bytes], *, wait: bool
    ) -> tuple[dict[bytes, StoredOrder], frozenset[bytes]]:
        """The orders that there are, locked until the transaction ends; and those that somebody else is
        changing, which with `wait` are waited for."""
        wanted = set(order_keys)
        if not wanted:
            return {}, frozenset()
        sql, given = self._listed("locked" if wait else "free", wanted)
        found = {row[0]: stored(row) for row in await tx.fetch_all(sql, given)}
        if wait or len(found) == len(wanted):
            return found, frozenset()
        sql, given = self._listed("present", wanted - found.keys())
        return found, frozenset(key for key, *_ in await tx.fetch_all(sql, given))

    async def insert_orders(
        self, tx: Transaction, new: Sequence[Order], now_us: int, *, wait: bool
    ) -> list[int]:
        """Orders that are not there; their ids. Raises `DuplicateKey`."""
        rows = [(order.order_key, *_state(order), now_us, now_us, 1) for order in new]
        return await tx.insert_many(self._insert_orders, rows, wait=wait) if rows else []

    async def update_orders(self, tx: Transaction, changed: Mapping[int, Order], now_us: int) -> None:
        """Locked orders, by the id of their row."""
        rows = [(*_state(order), now_us, identity) for identity, order in sorted(changed.items())]
        if rows:
            await tx.execute_many(self._update_orders, rows)

    async def insert_events(
        self,
        tx: Transaction,
        recorded: Sequence[tuple[OrderEvent, int | None, str, Mapping[int, int]]],
        now_us: int,
    ) -> None:
        """(event, id of its order, outcome, shortfall) of events that are new. Raises `DuplicateKey`."""
        rows = [
            (
                *(event.source, event.event_id, event.digest, order_id, event.place, event.status),
                None if event.items is None else _text(event.items),
                *(outcome, _text(shortfall) if shortfall else None, now_us),
            )
            for event, order_id, outcome, shortfall in sorted(recorded, key=lambda each: each[0].key)
        ]
        if rows:
            await tx.insert_many(self._insert_events, rows)

    def _listed(self, name: str, keys: Iterable[bytes]) -> tuple[str, dict[str, bytes]]:
        """A statement over a list of keys, and its parameters."""
        listed = sorted(keys)
        size = 1 << (len(listed) - 1).bit_length()
        if (name, size) not in self._texts:
            self._texts[name, size] = str(_LISTED[name](size).compile(dialect=self._dialect))
        padded = [*listed, *([listed[-1]] * (size - len(listed)))]
        return self._texts[name, size], {f"key_{at}": key for at, key in enumerate(padded)}


def _state(order: Order) -> Row:
    """ORDER_STATE of an order."""
    return (
        order.place,
        order.status,
        order.status_place or None,
        _text(order.items) if order.items_place else None,
        order.items_place or None,
        _text(order.holdings),
    )


def stored(row: Row) -> StoredOrder:
    """From (order_key, id, *ORDER_STATE)."""
    key, identity, place, status, status_place, items, items_place, holdings = row
    order = Order(
        order_key=key,
        place=place,
        status=None if status is None else Status(status),
        status_place=status_place or b"",
        items=() if items is None else _items.decode(items),
        items_place=items_place or b"",
        holdings=_holdings.decode(holdings),
    )
    return StoredOrder(identity, order)


def _text(value: object) -> str:
    return _encode(value).decode()


def _names(size: int) -> list[Any]:
    return [bindparam(f"key_{at}") for at in range(size)]


def _recorded(size: int) -> Select[Any]:
    e = order_events.c
    of_source = e.source == bindparam("source")
    return select(e.event_id, e.digest).where(of_source, e.event_id.in_(_names(size)))


def _present(size: int) -> Select[Any]:
    o = orders.c
    columns = (o.order_key, o.id, *(o[name] for name in ORDER_STATE))
    return select(*columns).where(o.order_key.in_(_names(size))).order_by(o.order_key)


_LISTED: Mapping[str, Callable[[int], Select[Any]]] = {
    "recorded": _recorded,
    "present": _present,
    "locked": lambda size: _present(size).with_for_update(),
    "free": lambda size: _present(size).with_for_update(skip_locked=True),
}
"""Statements over a list of so many keys."""
