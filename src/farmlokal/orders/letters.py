"""Dead letters: deliveries that could not be applied, kept with their reason until a person has looked.

A letter that waits for more attempts is `failing`, and nobody's business yet; it becomes `dead` with the last
one. One whose event is recorded with the same content after all is settled, whoever did it, a replay or the
sender: that is looked up, so it cannot be forgotten.
"""

from enum import StrEnum
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    and_,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    select,
    update,
)

from farmlokal.orders.schema import dead_letters, order_events
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.compilers import compiled
from farmlokal.platform.database.port import Database, Transaction
from farmlokal.platform.keyset.cursor import Position
from farmlokal.platform.keyset.ranges import Order, ranges

ATTEMPTS = 5
"""Deliveries of an event that fails before it is a dead letter: a mended cause shows within a few, and a bug
does not keep a sender busy for days."""

REASON_CHARACTERS = 500

BEGINS_BYTES = 2000
"""So much of a body is shown in a list."""

MALFORMED, MALFORMED_BYTES = 10_000, 16_384
"""Most malformed deliveries that are kept, and the most of each; the others are only counted."""

_COLUMNS = (
    *("source", "event_id", "digest", "kind", "reason", "body", "attempts", "first_at_us", "last_at_us"),
)


class Kind(StrEnum):
    """Why a delivery is kept."""

    FAILING = "failing"  # it could not be applied, and may be sent again
    DEAD = "dead"  # it could not be applied, too often
    MISMATCHED = "mismatched"  # its id has other content
    MALFORMED = "malformed"  # it is signed, and cannot be read


class Delivery(Struct, frozen=True):
    """What is kept: `event_id` is empty where none is known, `digest` stands for the content."""

    source: str
    event_id: bytes
    digest: bytes
    body: bytes


class Letter(Struct, frozen=True):
    """A delivery that is kept, without its body, of which `begins` is the beginning; times in microseconds.

    `settled`, 1 or 0: its event is recorded with this content, so there is nothing left to do.
    """

    id: int
    source: str
    event_id: bytes
    kind: str
    reason: str
    attempts: int
    first_at_us: int
    last_at_us: int
    replayed_at_us: int | None
    body_bytes: int
    begins: bytes
    settled: int


class DeadLetters:
    """What is kept in one database."""

    def __init__(self, database: Database, clock: SystemClock) -> None:
        self._database = database
        self._clock = clock

    async def keep(self, kind: Kind, delivery: Delivery, reason: str) -> int:
        """Keep a delivery: how often it has been kept now. One that fails is dead with the last attempt.

        Raises `Unavailable`.
        """
        letter = dead_letters.c
        key = {"source": delivery.source, "event_id": delivery.event_id, "digest": delivery.digest}
        same = and_(*(letter[name] == bindparam(name) for name in key))
        reason = reason[:REASON_CHARACTERS]
        now_us = self._clock.now_us()

        async def work(tx: Transaction) -> int:
            found = select(letter.id, letter.attempts).where(same).with_for_update()
            if rows := await tx.fetch_all(self._text(found), key):
                [(identity, attempts)] = rows
                again = self._kind(kind, attempts + 1)
                changes = {"kind": again, "reason": reason, "attempts": attempts + 1, "last_at_us": now_us}
                await self._update(tx, identity, changes)
                return int(attempts) + 1
            if kind is Kind.MALFORMED and await self._is_full(tx):
                return 1
            body = delivery.body[:MALFORMED_BYTES] if kind is Kind.MALFORMED else delivery.body
            row = (*key.values(), self._kind(kind, 1), reason, body, 1, now_us, now_us)
            await self._insert(tx, row)
            return 1

        return await self._database.write(work)

    async def page(self, kind: Kind | None, position: Position | None, rows: int) -> list[tuple[Any, ...]]:
        """(None, id, `Letter`), newest first, at most so many, in the order of reading; without a kind all
        but those that are failing. Raises `Unavailable`."""
        letter = dead_letters.c
        of = Order(letter.id, descending=True, backward=position is not None and position.backward)
        [each] = ranges(of, position, merged=True)
        wanted = letter.kind == bindparam("kind") if kind else letter.kind != bindparam("kind")
        statement = select(*_SHOWN, _settled()).where(wanted, *each.where).order_by(*each.order_by)
        given = {"kind": kind or Kind.FAILING, "page_rows": rows, "begins": BEGINS_BYTES}
        at = {} if position is None else {"after_tie": position.tie}
        sql, constants = compiled(statement.limit(bindparam("page_rows")), self._database.dialect)
        found = await self._database.fetch_all(sql, {**constants, **given, **at})
        return [(None, row[0], Letter(*row)) for row in found]

    async def find(self, letter_id: int) -> Delivery | None:
        """What was delivered. Raises `Unavailable`."""
        letter = dead_letters.c
        statement = select(letter.source, letter.event_id, letter.digest, letter.body)
        rows = await self._database.fetch_all(
            self._text(statement.where(letter.id == bindparam("id"))), {"id": letter_id}
        )
        return Delivery(*rows[0]) if rows else None

    async def replayed(self, letter_id: int) -> None:
        """Note that somebody has applied it. Nothing depends on this note. Raises `Unavailable`."""
        now_us = self._clock.now_us()

        async def work(tx: Transaction) -> None:
            await self._update(tx, letter_id, {"replayed_at_us": now_us})

        await self._database.write(work)

    @staticmethod
    def _kind(kind: Kind, attempts: int) -> Kind:
        return Kind.DEAD if kind is Kind.FAILING and attempts >= ATTEMPTS else kind

    async def _is_full(self, tx: Transaction) -> bool:
        counted = select(func.count(dead_letters.c.id)).where(dead_letters.c.kind == bindparam("kind"))
        [(kept,)] = await tx.fetch_all(self._text(counted), {"kind": Kind.MALFORMED})
        return int(kept) >= MALFORMED

    async def _insert(self, tx: Transaction, row: tuple[Any, ...]) -> None:
        statement = insert(dead_letters).values({name: bindparam(name) for name in _COLUMNS})
        await tx.insert_many(str(statement.compile(dialect=self._database.positional_dialect)), [row])

    async def _update(self, tx: Transaction, identity: int, changes: dict[str, Any]) -> None:
        statement = update(dead_letters).values({name: bindparam(name) for name in changes})
        statement = statement.where(dead_letters.c.id == bindparam("key"))
        await tx.execute(self._text(statement), {**changes, "key": identity})

    def _text(self, statement: ClauseElement) -> str:
        return str(statement.compile(dialect=self._database.dialect))


_SHOWN: tuple[ColumnElement[Any], ...] = (
    *(dead_letters.c[name] for name in ("id", "source", "event_id", "kind", "reason", "attempts")),
    *(dead_letters.c[name] for name in ("first_at_us", "last_at_us", "replayed_at_us")),
    func.length(dead_letters.c.body),
    func.substr(dead_letters.c.body, literal_column("1"), bindparam("begins")),
)


def _settled() -> ColumnElement[Any]:
    event = order_events.c
    same = and_(*(event[name] == dead_letters.c[name] for name in ("source", "event_id", "digest")))
    return exists(select(event.id).where(same))
