"""A short bad day in one process, for a receiver that may be built wrongly: what the oracle and the sender
have to complain about.

Two instances over one database of SQLite take deliveries in waves: duplicates at once and later, events out
of order, ids that differ in case, bodies with spaces, and some that are forged. Commits fail before and after
they are kept, and after each wave both instances die in the middle of whatever they still do.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import msgspec

from farmlokal.errors import DomainError, Unavailable
from farmlokal.orders.commits import Record, SharedCommits
from farmlokal.orders.event import STANDARD
from farmlokal.orders.inbox import Inbox, Outcome
from farmlokal.orders.letters import DeadLetters
from farmlokal.orders.models import OrderEvent
from farmlokal.orders.receiver import Receiver, Source
from farmlokal.orders.signature import Scheme, StandardWebhooks, Unsigned
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import Database
from farmlokal.platform.metrics import WebhookCounts
from tests.faults.oracle import judge
from tests.faults.traffic import PRODUCTS, Said, Traffic
from tests.support.catalogue import Shelf, connect, opened, run
from tests.support.orders import SECRET, Books, signed

WAVE, ROUNDS = 8, 8
"""Deliveries of a wave, and most times that what was not acknowledged is sent again."""

PLENTY = 10**9
Submit = Callable[[OrderEvent], Awaitable[Outcome]]


class Commits(Protocol):
    """What records the events of an instance."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def submit(self, event: OrderEvent) -> Outcome: ...


@dataclass(frozen=True)
class Parts:
    """What a receiver is made of; each may be replaced by a broken one. `before` is done to the database."""

    inbox: Callable[[Database], Record] = lambda database: Inbox(database, SystemClock()).record
    commits: Callable[[Record], Commits] = SharedCommits
    scheme: Scheme = StandardWebhooks([SECRET])  # noqa: RUF009  it has no state
    before: Sequence[str] = ()


class Faulty:
    """A database of which every third commit is lost, and every fourth is kept and not known to be."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self._writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def write(self, work: Callable[[Any], Awaitable[Any]], *, bulk: bool = False) -> Any:
        """Run `work`, or half of it."""
        self._writes += 1
        number = self._writes

        async def maybe(tx: Any) -> Any:
            result = await work(tx)
            if number % 3 == 0:
                raise Unavailable("the link was cut before the commit")
            return result

        result = await self._inner.write(maybe, bulk=bulk)
        if number % 4 == 0:
            raise Unavailable("the link was cut after the commit")
        return result


class Sender:
    """Knows what was answered to whom."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, str] = {}
        self.complaints: list[str] = []

    async def deliver(self, receiver: Receiver, source: Source, said: Said) -> None:
        """One delivery of an event; every third has spaces in its body."""
        content = msgspec.json.encode(said.body())
        if said.sequence % 3 == 0:
            content = msgspec.json.format(content, indent=2)
        try:
            outcome = await receiver.receive(source, headers_of(content), content)
        except Unsigned:
            self.complaints.append(f"refused: {said.event_id} was signed")
        except DomainError:
            pass  # it is sent again
        else:
            self.acknowledged.setdefault(said.event_id, outcome.value)

    async def forge(self, receiver: Receiver, source: Source) -> None:
        """A delivery whose body has another space than the one that was signed."""
        content = b'{"eventId": "forged"}'
        try:
            await receiver.receive(source, headers_of(content), content + b" ")
        except Unsigned:
            return
        except DomainError:
            pass  # it was believed, and failed for another reason
        self.complaints.append("forged: a changed body was taken")


def headers_of(content: bytes) -> dict[bytes, list[bytes]]:
    """The headers of a signed delivery."""
    return {name.encode(): [value.encode()] for name, value in signed(content).items()}


def deliveries() -> tuple[list[Said], list[Said]]:
    """The events, and what is delivered in order of time: with them pairs of ids that differ only in case."""
    traffic = Traffic(7, 25, 4)
    found = [each.said for each in traffic.deliveries()]
    events = list(traffic.events)
    for number in range(1, 4):
        for name in (f"Case/{number}", f"case/{number}"):
            said = Said(name, name, number, "packed", {1: 5})
            events.append(said)
            found.insert(7 * number, said)
    return events, found


def complaints(path: Path, parts: Parts) -> list[str]:
    """What is wrong with a receiver of these parts over an empty database, each beginning with one word;
    nothing: nothing is."""
    with closing(connect(path)) as connection:
        shelf = Shelf(connection)
        for number in range(1, PRODUCTS + 1):
            shelf.product(f"p{number}", stock_milli=PLENTY)
        for statement in parts.before:
            connection.execute(statement)
        events, wave = deliveries()
        sender = Sender()

        async def go() -> None:
            nonlocal wave
            async with AsyncExitStack() as stack:
                databases = [Faulty(await stack.enter_async_context(opened(path))) for _ in range(2)]
                for _ in range(ROUNDS):
                    while wave:
                        await _wave(parts, databases, sender, wave[:WAVE])
                        wave = wave[WAVE:]
                    wave = [each for each in events if each.event_id not in sender.acknowledged]

        run(go(), 120)
        books = Books(connection)
        verdict = judge(events, sender.acknowledged, books, dict.fromkeys(range(1, PRODUCTS + 1), PLENTY))
    found = [f"{kind}: {what}" for kind, whats in verdict._asdict().items() for what in whats]
    found += [f"unacknowledged: {each.event_id}" for each in wave]
    return found + sender.complaints


async def _wave(parts: Parts, databases: list[Any], sender: Sender, wave: list[Said]) -> None:
    """Deliveries at once to two instances, which then die."""
    before = asyncio.all_tasks()
    instances = [parts.commits(parts.inbox(database)) for database in databases]
    clock, source = SystemClock(), Source(STANDARD, parts.scheme)
    receivers = [
        Receiver(each.submit, DeadLetters(database, clock), WebhookCounts(), clock)
        for each, database in zip(instances, databases, strict=True)
    ]
    for each in instances:
        await each.open()
    sends = [sender.deliver(receivers[at % 2], source, said) for at, said in enumerate(wave)]
    sends += [sender.deliver(receivers[at % 2], source, said) for at, said in enumerate(wave[::4])]
    await asyncio.gather(*sends, sender.forge(receivers[0], source))
    for task in asyncio.all_tasks() - before:
        task.cancel()
    for each in instances:
        await each.close()


def altered(event: OrderEvent, **changes: Any) -> OrderEvent:
    """An event with other members."""
    return msgspec.structs.replace(event, **changes)


sound = Parts()


def broken(**parts: Any) -> Parts:
    """Sound parts but for these."""
    return replace(sound, **parts)
