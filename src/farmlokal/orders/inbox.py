"""Events into the database: claim, order, history and stock in one transaction, for one event or for many.

Everything a batch needs is looked up in a handful of statements, decided in memory in the order in which the
events came, and written in a handful more, so that a hundred events cost as many round trips as one. Which of
several equal events is first is decided by one unique key, and by nothing that is asked before it.

A batch waits for nobody: an order or a product that somebody else has locked makes its own events `Busy`, and
the rest go on. One event alone may wait. An order that nobody has committed yet cannot be seen to be locked:
when a batch meets somebody else while it claims, it is run again with what it knows, and its new orders are
busy too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from farmlokal.catalog.stock import Shelves, Stock
from farmlokal.errors import Unprocessable
from farmlokal.orders.change import Unappliable, apply, products_concerned, settle, wanted
from farmlokal.orders.ledger import Ledger
from farmlokal.orders.models import Order, OrderEvent
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import Contended, Database, Transaction


class Outcome(StrEnum):
    """What came of an event."""

    PROCESSED = "processed"
    DUPLICATE = "duplicate ignored"
    STALE = "stale ignored"


class Mismatched(Unprocessable):
    """An event under an id that has other content already."""


class Busy(Contended):
    """Somebody else is changing what the event needs."""


class InFlight(Contended):
    """Somebody else is recording this very event, or the first one of its order, and does not finish."""


Result = Outcome | Mismatched | Unappliable | Busy
"""What came of one event of a batch: only an `Outcome` is recorded."""

Key = tuple[str, bytes]


@dataclass(slots=True)
class _Batch:
    """What a batch knows and has decided."""

    known: dict[Key, bytes]
    orders: dict[bytes, Order]
    busy: frozenset[bytes]
    shelves: Shelves
    stock: dict[int, int | None]
    claimed: dict[Key, bytes] = field(default_factory=dict)
    recorded: list[tuple[OrderEvent, Outcome, dict[int, int]]] = field(default_factory=list)

    def decide(self, event: OrderEvent) -> Result:
        """What becomes of an event, after those before it."""
        digest = self.known.get(event.key) or self.claimed.get(event.key)
        if digest is not None:
            same = digest == event.digest
            return Outcome.DUPLICATE if same else Mismatched("This event id has other content already.")
        if event.order_key in self.busy:
            return Busy("the order is being changed by somebody else")
        outcome, shortfall = Outcome.PROCESSED, dict[int, int]()
        if event.order_key is not None:
            order = self.orders.get(event.order_key) or Order(order_key=event.order_key)
            try:
                order, stale, shortfall = self._changed(order, event)
            except (Unappliable, Busy) as refusal:
                return refusal
            self.orders[event.order_key] = order
            outcome = Outcome.STALE if stale else outcome
        self.claimed[event.key] = event.digest
        self.recorded.append((event, outcome, shortfall))
        return outcome

    def _changed(self, order: Order, event: OrderEvent) -> tuple[Order, bool, dict[int, int]]:
        after, stale = apply(order, event)
        if after.asks_for == order.asks_for:
            return after, stale, {}
        if not self.shelves.busy.isdisjoint({*order.holdings, *(item.product_id for item in after.asks_for)}):
            raise Busy("the stock is being changed by somebody else")
        want = wanted(after.asks_for, self.shelves.free)
        settled, shortfall = settle(after, want, self.stock)
        return settled, stale, shortfall


class Inbox:
    """Where events are recorded."""

    def __init__(self, database: Database, clock: SystemClock) -> None:
        self._database = database
        self._clock = clock
        self._ledger = Ledger(database)
        self._stock = Stock(database)

    async def record(self, events: Sequence[OrderEvent], *, wait: bool) -> list[Result]:
        """Record and apply events in their order, in one transaction: what came of each.

        All that has an `Outcome` is committed when this returns. Raises `Unavailable` when the database
        cannot do it now or did not say whether it has, `Contended` when others hold what is needed for too
        long.
        """
        claiming = False

        async def work(tx: Transaction) -> list[Result]:
            nonlocal claiming
            met, claiming = claiming and not wait, False
            batch, ids = await self._look(tx, events, wait=wait)
            if met:
                batch.busy |= {event.order_key for event in events if event.order_key} - ids.keys()
            before = dict(batch.orders)
            results = [batch.decide(event) for event in events]
            now_us = self._clock.now_us()
            claiming = True
            await self._write(tx, batch, before, ids, now_us, wait=wait)
            claiming = False
            levels = {
                product: milli
                for product, milli in batch.stock.items()
                if milli is not None and milli != batch.shelves.free[product].stock_milli
            }
            await self._stock.set(tx, levels, now_us)
            return results

        try:
            return await self._database.write(work)
        except Contended as refusal:
            if claiming:
                raise InFlight("this event is being recorded already") from refusal
            raise

    async def _look(
        self, tx: Transaction, events: Sequence[OrderEvent], *, wait: bool
    ) -> tuple[_Batch, dict[bytes, int]]:
        """What the events need to know, locked; and the ids of the rows of their orders."""
        known = await self._ledger.digests(tx, {event.key for event in events})
        new = [event for event in events if event.key not in known and event.order_key is not None]
        keys = {event.order_key for event in new if event.order_key is not None}
        found, busy = await self._ledger.lock(tx, keys, wait=wait)
        orders = {key: stored.order for key, stored in found.items()}
        concerned: set[int] = set()
        for event in new:
            assert event.order_key is not None
            order = orders.get(event.order_key) or Order(order_key=event.order_key)
            concerned.update(products_concerned(order, event))
        shelves = await self._stock.lock(tx, concerned, wait=wait)
        stock = {product: shelf.stock_milli for product, shelf in shelves.free.items()}
        ids = {key: stored.id for key, stored in found.items()}
        return _Batch(known, orders, busy, shelves, stock), ids

    async def _write(
        self,
        tx: Transaction,
        batch: _Batch,
        before: dict[bytes, Order],
        ids: dict[bytes, int],
        now_us: int,
        *,
        wait: bool,
    ) -> None:
        new = [order for key, order in sorted(batch.orders.items()) if key not in ids]
        given = await self._ledger.insert_orders(tx, new, now_us, wait=wait)
        ids.update(zip((order.order_key for order in new), given, strict=True))
        rows = [
            (event, None if event.order_key is None else ids[event.order_key], outcome.name.lower(), short)
            for event, outcome, short in batch.recorded
        ]
        await self._ledger.insert_events(tx, rows, now_us)
        changed = {
            ids[key]: order for key, order in batch.orders.items() if key in before and order != before[key]
        }
        await self._ledger.update_orders(tx, changed, now_us)
