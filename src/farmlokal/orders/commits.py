"""Events that come at the same time share a commit: the disk is waited for once, and each caller is answered
after the commit that holds its event.

What is waiting is taken, and nothing is waited for: a lone event is recorded at once. While one batch is
being committed the next one gathers, so the busier it is, the cheaper an event becomes.

A batch-mate is never made to pay: what the batch could not do because of one event, each of them gets alone,
beside the batches that follow. Of one order that is one at a time: an order that somebody holds for long has
one of those places, and not all of them.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Protocol
from weakref import WeakValueDictionary

import structlog

from farmlokal.errors import Unavailable
from farmlokal.orders.inbox import Busy, Outcome, Result
from farmlokal.orders.models import OrderEvent
from farmlokal.platform.database.port import Contended

BATCH = 128
"""Most events of one transaction: past it a commit is cheap enough, and a transaction short enough."""

WAITING = 2_000
"""Most events that wait or are worked on: half a second's worth. Past it the answer is 503."""

ALONE = 4
"""Most transactions of single events beside the batches: they wait for locks, and each has a connection."""

ALONE_WAIT_S = 0.8
"""Longest an event waits to be one of them: with the time that a write may take it is answered within 3 s."""


class Record(Protocol):
    """How events are recorded in one transaction: `Inbox.record`."""

    def __call__(self, events: Sequence[OrderEvent], *, wait: bool) -> Awaitable[list[Result]]: ...


class _Waiting:
    """An event and the caller who waits for it."""

    __slots__ = ("answer", "event")

    def __init__(self, event: OrderEvent) -> None:
        self.event = event
        self.answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def settle(self, result: Outcome | Exception) -> None:
        """Tell the caller, if it is still there: one that left takes nothing back."""
        if self.answer.done():
            return
        if isinstance(result, Exception):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)


class SharedCommits:
    """Takes events one by one and records them together."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._waiting: deque[_Waiting] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._under_way = 0
        self._log = structlog.get_logger("farmlokal.orders")
        self.batches = 0

    async def open(self) -> None:
        """Begin to record."""
        self._arrived = asyncio.Event()
        self._alone = asyncio.Semaphore(ALONE)
        self._begin(self._run())

    async def close(self) -> None:
        """End. Whoever still waits is refused; what is being committed may be there or not."""
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._settle(self._taken(), _CLOSING)

    async def submit(self, event: OrderEvent) -> Outcome:
        """Record an event: what came of it, when that is committed.

        Raises `Mismatched`, `Unappliable`, `Unavailable`, or what a bug of ours raises for this event.
        """
        if not self._tasks:
            raise _CLOSING
        if self._under_way >= WAITING:
            raise Unavailable("more events are waiting than can be recorded")
        waiting = _Waiting(event)
        self._under_way += 1
        try:
            self._waiting.append(waiting)
            self._arrived.set()
            return await waiting.answer
        finally:
            self._under_way -= 1

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                batch = self._taken(BATCH)
                try:
                    await self._commit(batch)
                except asyncio.CancelledError:
                    self._settle(batch, _CLOSING)
                    raise

    async def _commit(self, batch: list[_Waiting]) -> None:
        self.batches += 1
        try:
            results = await self._record([each.event for each in batch], wait=False)
        except Unavailable as refusal:
            if not isinstance(refusal, Contended):
                # The database is away: whoever came meanwhile would only learn the same later.
                batch += self._taken()
            elif len(batch) > 1:
                self._each_alone(batch)
                return
            self._settle(batch, refusal)
        except Exception as bug:  # noqa: BLE001  one of them meets it; which one is seen, and told, alone
            self._log.warning("batch failed", events=len(batch), error=type(bug).__name__)
            self._each_alone(batch)
        else:
            for each, result in zip(batch, results, strict=True):
                if not isinstance(result, Busy):
                    each.settle(result)
            self._each_alone([each for each in batch if not each.answer.done()])

    def _each_alone(self, events: Sequence[_Waiting]) -> None:
        for each in events:
            self._begin(self._record_alone(each))

    async def _record_alone(self, waiting: _Waiting) -> None:
        event = waiting.event
        turn = self._turns.setdefault(event.order_key or event.event_id, asyncio.Lock())
        try:
            async with AsyncExitStack() as place:
                try:
                    async with asyncio.timeout(ALONE_WAIT_S):
                        await place.enter_async_context(turn)
                        await place.enter_async_context(self._alone)
                except TimeoutError:
                    raise Contended("too many events wait for what others hold") from None
                [result] = await self._record([event], wait=True)
            waiting.settle(result)
        except asyncio.CancelledError:
            waiting.settle(_CLOSING)
            raise
        except Exception as error:  # noqa: BLE001  the caller has it
            waiting.settle(error)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _taken(self, most: int = WAITING) -> list[_Waiting]:
        """Who has waited longest, at most so many."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    @staticmethod
    def _settle(events: Sequence[_Waiting], refusal: Unavailable) -> None:
        for each in events:
            each.settle(refusal)


_CLOSING = Unavailable("the server is closing")
