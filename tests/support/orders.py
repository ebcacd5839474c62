"""Events as a sender makes them, and what a database holds of them, read by a connection of the test's."""

import base64
import hmac
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import msgspec

from farmlokal.orders.event import STANDARD, read_event
from farmlokal.orders.inbox import Inbox, Outcome
from farmlokal.orders.models import OrderEvent
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import Database
from tests.support.catalogue import opened, run
from tests.support.sql_connection import Connection

SECRET = b"a-secret-of-the-tests-that-is-long-enough"


def body(event_id: str, order_id: str | None = None, **members: Any) -> bytes:
    """An event as it is sent; `items` may be (product, quantity, unit)."""
    if "items" in members:
        names = ("productId", "quantity", "unit")
        members["items"] = [
            dict(zip(names, item, strict=True)) if isinstance(item, tuple) else item
            for item in members["items"]
        ]
    said = {"eventId": event_id, "orderId": order_id, **members}
    return msgspec.json.encode({name: value for name, value in said.items() if value is not None})


def event(event_id: str, order_id: str | None = None, **members: Any) -> OrderEvent:
    """The same as it is read."""
    return read_event(STANDARD, body(event_id, order_id, **members))


def signed(content: bytes, secret: bytes = SECRET, at_s: float | None = None) -> dict[str, str]:
    """The headers of a delivery, signed now."""
    timestamp = str(int(time.time() if at_s is None else at_s))
    mac = hmac.digest(secret, b".".join((b"msg", timestamp.encode(), content)), "sha256")
    return {
        "content-type": "application/json",
        "webhook-id": "msg",
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }


@contextmanager
def poisoned(connection: Connection, event_id: str) -> Iterator[None]:
    """Meanwhile the database refuses the row of this event, as a bug of a schema would."""
    if isinstance(connection, sqlite3.Connection):
        when = f"WHEN NEW.event_id = CAST('{event_id}' AS BLOB) BEGIN SELECT RAISE(ABORT, 'poison'); END"
    else:
        when = f"FOR EACH ROW IF NEW.event_id = '{event_id}' THEN SIGNAL SQLSTATE '45000'; END IF"
    connection.execute(f"CREATE TRIGGER poison BEFORE INSERT ON order_events {when}")
    try:
        yield
    finally:
        connection.execute("DROP TRIGGER poison")


@asynccontextmanager
async def inbox(url: str) -> AsyncIterator[tuple[Inbox, Database]]:
    """The inbox of a database."""
    async with opened(url) as database:
        yield Inbox(database, SystemClock()), database


def record(url: str, *batches: list[OrderEvent]) -> list[list[object]]:
    """Record batches, one after another: what came of each event, exceptions by their class."""

    async def go() -> list[list[object]]:
        async with inbox(url) as (box, _):
            results = [await box.record(batch, wait=True) for batch in batches]
            return [
                [each if isinstance(each, Outcome) else type(each) for each in result] for result in results
            ]

    return run(go())


class StoredOrder(NamedTuple):
    """An order as its row has it: `held` and `short` are thousandths by product."""

    status: str | None
    held: Mapping[int, int | None]
    short: Mapping[int, int]


class Books:
    """What is in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query with `?` for each parameter."""
        return [tuple(row) for row in self._connection.execute(sql, parameters).fetchall()]

    def stock(self) -> dict[int, int | None]:
        """Thousandths by product."""
        return dict(self.rows("SELECT id, stock_milli FROM products"))

    def events(self) -> list[tuple[str, str]]:
        """(event id, outcome) of all that is recorded, in the order in which it was."""
        return [
            (bytes(identity).decode(), outcome)
            for identity, outcome in self.rows("SELECT event_id, outcome FROM order_events ORDER BY id")
        ]

    def orders(self) -> dict[str, StoredOrder]:
        """Every order by its id."""
        found = {}
        for key, status, holdings in self.rows("SELECT order_key, status, holdings FROM orders"):
            held = {int(product): each for product, each in msgspec.json.decode(holdings).items()}
            short = {
                product: want - has for product, (want, has) in held.items() if has is not None and want > has
            }
            found[bytes(key).decode()] = StoredOrder(
                status, {product: has for product, (_, has) in held.items()}, short
            )
        return found

    def letters(self) -> list[tuple[str, str, int]]:
        """(kind, reason, attempts) of all that is kept."""
        return self.rows("SELECT kind, reason, attempts FROM dead_letters ORDER BY id")

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """What the end of a history is compared by: orders and stock, without times and row numbers."""
        return {
            "orders": sorted(
                self.rows(
                    "SELECT order_key, place, status, status_place, items, items_place, holdings FROM orders"
                )
            ),
            "stock": sorted(self.rows("SELECT id, stock_milli FROM products")),
        }
