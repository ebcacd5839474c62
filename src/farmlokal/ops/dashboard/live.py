"""The numbers once a second for everybody who looks, as server-sent events (WHATWG HTML, 9.2).

Nobody looks most of the time: then nothing is done. A reader holds no queue, only the number of the event it
was sent last: whoever is slow misses some, and whoever takes nothing for a while is dropped.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog

from farmlokal.errors import Unavailable
from farmlokal.ops.alerts import WINDOW_S, alerts
from farmlokal.ops.change import Change
from farmlokal.ops.snapshot import snapshot
from farmlokal.platform.draining import Draining
from farmlokal.platform.exposition import Family

EVERY_S = 1.0

RATES_S = 5.0
"""Rates and quantiles are over so long: over one second they jump, over many they hide."""

STREAMS = 20
"""Most who look at once, of one worker."""

LIFE_S = 600.0
"""Longest a stream lasts; browsers then come again by themselves, and are asked again who they are."""

SEND_S = 5.0
"""Longest that an event may take to be sent."""

_HEAD = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would keep events until it has some kilobytes
]
_RETRY = b"retry: 1000\n\n"


class Live:
    """What is looked at. `read` gives the numbers of all workers."""

    def __init__(self, read: Callable[[], Sequence[Family]]) -> None:
        self._read = read
        self._draining = Draining(self._end)
        self._ended = asyncio.Event()
        self._came = asyncio.Event()
        self._event = b""
        self._past: deque[Sequence[Family]] = deque(maxlen=round(WINDOW_S / EVERY_S) + 1)
        self._looking: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("farmlokal.ops")
        self.readers = 0

    async def open(self) -> None:
        """Listen for the end."""
        await self._draining.open()

    async def close(self) -> None:
        """End every stream."""
        self._end()
        await self._draining.close()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    def stream(self, still: Callable[[], Any]) -> "EventStream":
        """One reader's. `still` is awaited now and then: whether it may look any more. Raises `Unavailable`
        where too many look."""
        if self.readers >= STREAMS:
            raise Unavailable(f"{STREAMS} look already, which is the most.", retry_after_s=10)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="ops-live")
        return EventStream(self, still)

    @property
    def ended(self) -> bool:
        """Whether the process is about to end."""
        return self._ended.is_set()

    async def next(self) -> bytes:
        """The next event."""
        await self._came.wait()
        return self._event

    def _end(self) -> None:
        self._ended.set()
        self._came.set()

    async def _look(self) -> None:
        self._past.clear()
        while not self.ended:
            try:
                self._take()
            except Exception:  # noqa: BLE001  one look that fails must not end the looking
                self._log.exception("bug")
            await asyncio.sleep(EVERY_S)
            if not self.readers:
                return

    def _take(self) -> None:
        """One look, and everybody is woken."""
        now = self._read()
        self._past.append(now)
        recent = self._past[max(0, len(self._past) - 1 - round(RATES_S / EVERY_S))]
        wrong = alerts(Change(self._past[0], now))
        shown = msgspec.json.encode(snapshot(Change(recent, now), wrong))
        self._event = b"data: " + shown + b"\n\n"
        self._came.set()
        self._came = asyncio.Event()


class EventStream:
    """An answer that lasts: an ASGI application for one request."""

    def __init__(self, live: Live, still: Callable[[], Any]) -> None:
        self._live = live
        self._still = still

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEAD})
        if scope["method"] != "HEAD":
            self._live.readers += 1
            gone = asyncio.ensure_future(_gone(receive))
            try:
                async with asyncio.timeout(LIFE_S):
                    await self._tell(send, gone)
            except (TimeoutError, OSError):  # its time is over, it is too slow, or it is gone
                pass
            finally:
                self._live.readers -= 1
                gone.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, send: Any, gone: "asyncio.Future[None]") -> None:
        event = _RETRY
        while not (self._live.ended or gone.done()):
            async with asyncio.timeout(SEND_S):
                await send({"type": "http.response.body", "body": event, "more_body": True})
            coming = asyncio.ensure_future(self._live.next())
            await asyncio.wait((coming, gone), return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                return
            event = coming.result()
            if not await self._still():
                return


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
