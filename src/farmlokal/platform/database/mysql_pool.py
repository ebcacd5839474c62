"""A bounded pool of connections that are handed out one caller at a time.

Ours and not the driver's: that one pings before each use, has no wait limit, and takes a connection back
without knowing whether its last answer was read. A connection here is not asked whether it lives; whoever
finds it dead takes a fresh one, which costs nothing while all is well.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from farmlokal.errors import Unavailable
from farmlokal.platform.database.mysql_address import Address
from farmlokal.platform.database.mysql_faults import LEADS_ELSEWHERE, Failed, Kind
from farmlokal.platform.database.mysql_link import READ, Limits, Link
from farmlokal.platform.database.port import Parameters, Row

WAIT_S = 0.5
"""Longest a caller waits for a connection: a third of what a read may take in all."""

RECYCLE_S = 300.0
"""Oldest a connection may be when it is handed out. Proxies drop idle ones after five to ten minutes."""


class Pool:
    """At most `size` connections to one server."""

    def __init__(self, address: Address, size: int) -> None:
        self.address = address
        self.size = size
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Link] = []
        self._good_since_s = 0.0
        self._closed = False

    @asynccontextmanager
    async def lease(self, limits: Limits, *, fresh: bool = False) -> AsyncIterator[Link]:
        """A connection with these limits, idle or new; `fresh` takes none that was used before.

        Raises `Unavailable` when none comes free in time, and `Failed` when the server cannot be reached or
        the connection turns out to be dead (`Kind.LOST`: a fresh one may do better).
        """
        try:
            async with asyncio.timeout(WAIT_S):
                await self._slots.acquire()
        except TimeoutError:
            raise Unavailable("the database has more work than it can do") from None
        try:
            link = self._take(limits, fresh=fresh) or await self._connect()
            try:
                await link.apply(limits)
                yield link
            finally:
                self._put_back(link)
        finally:
            self._slots.release()

    async def read(self, sql: str, parameters: Parameters | None, limit_s: float | None) -> list[Row]:
        """One read; once more on a fresh connection when the first one is dead or dies, or its server has
        left its cluster.

        Raises `Unavailable` and `Failed`.
        """
        try:
            async with self.lease(READ) as link:
                return list((await link.run(link.limited(sql, limit_s), parameters)).rows)
        except Failed as failed:
            if failed.kind not in LEADS_ELSEWHERE:
                raise
        async with self.lease(READ, fresh=True) as link:
            return list((await link.run(link.limited(sql, limit_s), parameters)).rows)

    async def close(self, within_s: float) -> None:
        """Wait this long for what is handed out, then close all."""
        self._closed = True
        try:
            async with asyncio.timeout(within_s):
                for _ in range(self.size):
                    await self._slots.acquire()
        except TimeoutError:
            pass  # whoever still has one closes it when putting it back
        while self._idle:
            await self._idle.pop().close()

    def _take(self, limits: Limits, *, fresh: bool) -> Link | None:
        """The connection used last, being the likeliest to live; with the right limits if there is one."""
        if fresh and self._idle:
            self._idle.pop(0).drop()  # so that all of them together stay within the bound
            return None
        now_s = asyncio.get_running_loop().time()
        while self._idle:
            fitting = [link for link in self._idle if link.limits == limits]
            link = (fitting or self._idle)[-1]
            self._idle.remove(link)
            if self._is_good(link) and now_s - link.opened_s < RECYCLE_S:
                return link
            link.drop()
        return None

    async def _connect(self) -> Link:
        try:
            return await Link.connect(self.address)
        except Failed as failed:
            kind = Kind.UNREACHABLE if failed.kind is Kind.LOST else failed.kind
            raise Failed(kind) from None

    def _put_back(self, link: Link) -> None:
        if link.demoted:
            # The address may lead to another server by now: whatever was connected before is dropped.
            self._good_since_s = asyncio.get_running_loop().time()
            while self._idle:
                self._idle.pop().drop()
        if link.sound and not link.in_transaction and self._is_good(link):
            self._idle.append(link)
        else:
            link.drop()

    def _is_good(self, link: Link) -> bool:
        return not self._closed and not link.demoted and link.opened_s >= self._good_since_s
