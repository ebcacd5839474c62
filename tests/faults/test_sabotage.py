"""Receivers that are built wrongly, one mistake each: the oracle or the sender notices every one of them."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from farmlokal.errors import Unavailable
from farmlokal.orders.commits import Record, SharedCommits
from farmlokal.orders.inbox import Inbox, Outcome, Result
from farmlokal.orders.models import OrderEvent
from farmlokal.orders.signature import Headers, StandardWebhooks
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import Database, Transaction
from tests.faults.trial import Parts, altered, broken, complaints, sound
from tests.support.catalogue import new_database
from tests.support.orders import SECRET

NO_KEY = ("DROP INDEX uq_order_events_event",)


class EarlyAnswer(SharedCommits):
    """Answers when it has the event, and records it after that."""

    async def submit(self, event: OrderEvent) -> Outcome:
        self._kept = asyncio.ensure_future(super().submit(event))
        self._kept.add_done_callback(lambda task: task.cancelled() or task.exception())
        return Outcome.PROCESSED


class GoodNewsOnly(SharedCommits):
    """Says 200 where the database could not tell."""

    async def submit(self, event: OrderEvent) -> Outcome:
        try:
            return await super().submit(event)
        except Unavailable:
            return Outcome.PROCESSED


class WorkAfterTheAnswer(SharedCommits):
    """Claims the event, answers, and changes the order in the background."""

    async def submit(self, event: OrderEvent) -> Outcome:
        outcome = await super().submit(altered(event, order_key=None))
        if outcome is Outcome.PROCESSED:
            effect = altered(event, event_id=event.event_id + b" effect")
            self._later = asyncio.ensure_future(super().submit(effect))
            self._later.add_done_callback(lambda task: task.cancelled() or task.exception())
        return outcome


def recording(change: Callable[[OrderEvent], OrderEvent]) -> Callable[[Database], Record]:
    """An inbox that changes events before it records them."""

    def make(database: Database) -> Record:
        inbox = Inbox(database, SystemClock())

        async def record(events: Sequence[OrderEvent], *, wait: bool) -> list[Result]:
            return await inbox.record([change(each) for each in events], wait=wait)

        return record

    return make


def claiming_first(database: Database) -> Record:
    """The claim has a transaction of its own, before the one of the order."""
    inbox = Inbox(database, SystemClock())

    async def record(events: Sequence[OrderEvent], *, wait: bool) -> list[Result]:
        results = await inbox.record([altered(each, order_key=None) for each in events], wait=wait)
        effects = [
            altered(event, event_id=event.event_id + b" effect")
            for event, result in zip(events, results, strict=True)
            if result is Outcome.PROCESSED
        ]
        await inbox.record(effects, wait=wait)
        return results

    return record


class Forgetful(dict[Any, Any]):
    """Remembers nothing."""

    def get(self, _key: Any, _default: Any = None) -> Any:
        return None


class ForgetsItsBatch(Inbox):
    """Looks up what is recorded, and not what stands before an event in its own batch."""

    async def _look(self, *given: Any, **more: Any) -> Any:
        batch, ids = await super()._look(*given, **more)
        batch.claimed = Forgetful()
        return batch, ids


class KnowsWhatItSaw(Inbox):
    """Tells duplicates by its own memory, which other instances do not have and a restart forgets."""

    def __init__(self, database: Database, clock: SystemClock) -> None:
        super().__init__(database, clock)
        self._seen: dict[tuple[str, bytes], bytes] = {}
        self._ledger.digests = self._remembered  # type: ignore[method-assign]  # the mistake itself

    async def _remembered(
        self, tx: Transaction, keys: Iterable[tuple[str, bytes]]
    ) -> dict[tuple[str, bytes], bytes]:
        return {key: self._seen[key] for key in keys if key in self._seen}

    async def record(self, events: Sequence[OrderEvent], *, wait: bool) -> list[Result]:
        results = await super().record(events, wait=wait)
        self._seen.update((each.key, each.digest) for each in events)
        return results


class StockAside(Inbox):
    """Moves the stock in a transaction of its own, after that of the order."""

    def __init__(self, database: Database, clock: SystemClock) -> None:
        super().__init__(database, clock)
        self._moves: list[tuple[Mapping[int, int], int]] = []
        self._really = self._stock.set
        self._stock.set = self._aside  # type: ignore[method-assign,assignment]  # the mistake itself

    async def _aside(self, _tx: Transaction, levels: Mapping[int, int], now_us: int) -> None:
        self._moves = [(levels, now_us)]

    async def record(self, events: Sequence[OrderEvent], *, wait: bool) -> list[Result]:
        results = await super().record(events, wait=wait)
        for levels, now_us in self._moves:
            await self._database.write(lambda tx: self._really(tx, levels, now_us))  # noqa: B023
        return results


class ReadsBeforeItVerifies(StandardWebhooks):
    """Verifies what it makes of the body, and not the body."""

    def verify(self, headers: Headers, body: bytes, now_s: int) -> None:
        super().verify(headers, msgspec.json.encode(msgspec.json.decode(body)), now_s)


class LooksAtNoBody(StandardWebhooks):
    """Trims the body first."""

    def verify(self, headers: Headers, body: bytes, now_s: int) -> None:
        super().verify(headers, body.rstrip(), now_s)


arrivals = count(1)


def of(inbox: type[Inbox]) -> Callable[[Database], Record]:
    """An inbox of this class."""
    return lambda database: inbox(database, SystemClock()).record


SABOTAGE: dict[str, tuple[Parts, str]] = {
    "answers before the commit": (broken(commits=EarlyAnswer), "lost"),
    "answers 200 where the database failed": (broken(commits=GoodNewsOnly), "lost"),
    "works after the answer": (broken(commits=WorkAfterTheAnswer), "lost"),
    "claims in a transaction of its own": (broken(inbox=claiming_first), "lost"),
    "no unique key, and duplicates in a batch not told apart": (
        broken(inbox=of(ForgetsItsBatch), before=NO_KEY),
        "doubled",
    ),
    "no unique key, and each instance knows its own events": (
        broken(inbox=of(KnowsWhatItSaw), before=NO_KEY),
        "doubled",
    ),
    "stock outside the transaction": (broken(inbox=of(StockAside)), "doubled"),
    "ids without case": (
        broken(inbox=recording(lambda each: altered(each, event_id=each.event_id.lower()))),
        "unacknowledged",
    ),
    "ids are cut": (
        broken(inbox=recording(lambda each: altered(each, event_id=each.event_id[:7]))),
        "unacknowledged",
    ),
    "stale by time of receipt": (
        broken(inbox=recording(lambda each: altered(each, sequence=next(arrivals)))),
        "regressed",
    ),
    "verifies a body that was written anew": (broken(scheme=ReadsBeforeItVerifies([SECRET])), "refused"),
    "verifies a body that was trimmed": (broken(scheme=LooksAtNoBody([SECRET])), "forged"),
}


def test_a_sound_receiver(tmp_path: Path) -> None:
    """Of a receiver without a mistake there is nothing to complain about."""
    assert complaints(new_database(tmp_path), sound) == []


@pytest.mark.parametrize("mistake", SABOTAGE)
def test_every_mistake_is_noticed(tmp_path: Path, mistake: str) -> None:
    """Each mistake shows as what it is: something lost, doubled, turned back, refused, taken or never
    answered."""
    parts, kind = SABOTAGE[mistake]
    found = complaints(new_database(tmp_path), parts)
    assert kind in {each.partition(":")[0] for each in found}, found[:10]
