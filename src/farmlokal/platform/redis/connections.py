"""Calls to Redis, each with one time limit, one attempt and a place in a bounded pool.

The driver's own defaults bite: it would wait 5 s and try ten times more, 59.7 s for one GET to a frozen
server. Here the limit spans all of a call, the wait for a connection and its making included. One semaphore
bounds all kinds of servers alike: the driver's blocking pool exists for single ones only.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any, TypeVar

import structlog

from farmlokal.platform.clock import SystemClock
from farmlokal.platform.redis.address import RedisAddress
from farmlokal.platform.redis.drivers import Driver, Value, driver_at, reason_of
from farmlokal.platform.redis.guard import Guard, RedisState
from farmlokal.platform.redis.turns import TurnLimit
from farmlokal.platform.traces import span

CALL_LIMIT_S = 0.1
"""Longest a call may take: Redis answers in well under a millisecond, and the database needs its time too. A
loop that is late itself does not count (`turns.py`)."""

CONNECTIONS = 16
"""Most calls at once. At 0.2 ms a call they carry 80,000 calls a second, far more than one process makes."""

WAITING = 512
"""Most calls that wait for one of those; past it a call fails at once."""

PROBE_EVERY_S = 0.5
PROBE_LIMIT_S = 1.0
"""Longest a probe may take: the first one after a failover asks anew where everything is."""

_PROBE_TTL_MS = 5_000

_T = TypeVar("_T")


class RedisUnavailable(Exception):
    """Redis did not do what was asked: go on without it. The text is a reason of a word or two, no secret."""


class RedisRefused(RedisUnavailable):
    """Redis is well and refuses this command: the key holds another type, a script failed."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script; Redis keeps it under its digest, so only the first call carries the text."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", sha1(self.text.encode(), usedforsecurity=False).hexdigest())


class RedisConnections:
    """The connections of one process to one Redis, cluster or sentinel service, which answer a call within
    `call_limit_s`. Nothing happens before `open()`; a server that is down then is no error."""

    def __init__(self, url: str, clock: SystemClock, call_limit_s: float = CALL_LIMIT_S) -> None:
        self._address = RedisAddress.of(url)
        self._call_limit_s = call_limit_s
        self._log = structlog.get_logger("farmlokal.redis")
        self._guard = Guard(clock, self._log)
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._waiting = 0
        self._driver: Driver | None = None
        self._watch: asyncio.Task[None] | None = None
        self._probe_key = f"farmlokal:probe:{secrets.token_hex(6)}"

    async def open(self) -> None:
        """Connect, or note that Redis is down; then keep watching. Needs the extra `redis` installed."""
        self._driver = driver_at(self._address, CONNECTIONS + 1, self._call_limit_s)
        await self._probe()
        self._watch = asyncio.create_task(self._keep_probing(), name="redis-probe")

    async def close(self) -> None:
        """Stop watching and close every connection, within two seconds."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._driver is not None:
            with suppress(TimeoutError, OSError):
                async with asyncio.timeout(2 * PROBE_LIMIT_S):
                    await self._driver.close()

    @property
    def up(self) -> bool:
        """Whether a call made now would go out."""
        return self._guard.up

    def state(self) -> RedisState:
        """For metrics and readiness. A Redis that is down degrades the service and does not stop it."""
        return self._guard.state()

    async def execute(self, *command: Value) -> Any:
        """One command of one key, in words: ``execute("SET", key, value, "PX", 500)``; the reply is raw
        (bytes, int, list, None). Raises `RedisUnavailable` within the limit of a call, at once while Redis is
        down. A write that failed may have been done all the same."""
        return await self._call(command)

    async def run_script(self, script: Script, keys: Sequence[str], args: Sequence[Value] = ()) -> Any:
        """Run a script on keys of one cluster slot (give them a ``{hash tag}``); raises as `execute` does."""
        rest = (len(keys), *keys, *args)
        try:
            return await self._call(("EVALSHA", script.sha, *rest))
        except RedisRefused as refusal:
            if str(refusal) != "noscript":
                raise
        return await self._call(("EVAL", script.text, *rest))

    async def _call(self, command: Sequence[Value]) -> Any:
        if not self._guard.up or self._waiting >= WAITING:
            self._guard.spare()
            raise RedisUnavailable(self._guard.reason or "too many calls wait")
        assert self._driver is not None, "open() first"
        self._waiting += 1
        placed = False
        try:
            with span(str(command[0]), {"db.system.name": "redis", "db.operation.name": str(command[0])}):
                async with TurnLimit(self._call_limit_s), self._places:
                    placed = True
                    reply = await _cancellable(self._driver.execute(command))
        except Exception as error:  # noqa: BLE001  a bug of the driver's must not become a caller's
            reason, refused = reason_of(error)
            if refused:
                self._guard.succeeded()  # it answered
                raise RedisRefused(reason) from None
            if placed:  # whoever had no turn knows nothing of the server
                self._guard.failed(reason)
            raise RedisUnavailable(reason) from None
        finally:
            self._waiting -= 1
        self._guard.succeeded()
        return reply

    async def _keep_probing(self) -> None:
        while True:
            await asyncio.sleep(PROBE_EVERY_S)
            await self._probe()

    async def _probe(self) -> None:
        """Write something: a full or a read-only server answers every read."""
        assert self._driver is not None, "open() first"
        reason: str | None = None
        try:
            async with asyncio.timeout(PROBE_LIMIT_S):
                await _cancellable(self._driver.ping())
                await _cancellable(self._driver.execute(("SET", self._probe_key, 1, "PX", _PROBE_TTL_MS)))
        except Exception as error:  # noqa: BLE001  it would end the watch
            reason, _ = reason_of(error)
        self._guard.probed(reason)


async def _cancellable(work: Awaitable[_T]) -> _T:
    """The driver's work, ended by a cancellation even where the driver loses it.

    It writes by `asyncio.wait_for`, which before Python 3.12 swallows a cancellation that comes in the moment
    the write is done: a probe would then go on after `close()`, which waits for its end.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        return await work
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError
