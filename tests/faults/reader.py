"""Readers, open-loop: a request goes out when it is due, on a connection that stays open where there is one.

A reader does not try again: what it is not told at once counts as failed.
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle
from typing import NamedTuple

import msgspec

ANSWER_S = 5.0
"""How long a reader waits for an answer."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Failure(NamedTuple):
    """A read that had no good answer, and when it was due."""

    at_s: float
    target: str
    why: str


def _said(body: bytes) -> str:
    """Our own words for a refusal, or those of whoever else answered."""
    try:
        return str(msgspec.json.decode(body)["detail"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return " ".join(body[:60].decode(errors="replace").split())


class Reader:
    """Asks for the targets in turn, `rate` times a second, from a thread of its own, until it is stopped."""

    def __init__(self, targets: Sequence[str], rate: float, port: int) -> None:
        self._requests = cycle(
            [(each, f"GET {each} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()) for each in targets]
        )
        self._rate, self._port = rate, port
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="reader")
        self._idle: list[Connection] = []
        self._stopping = threading.Event()
        self.asked_s: list[float] = []
        """When each read was due."""
        self.seconds: list[float] = []
        """From then to its good answer."""
        self.failures: list[Failure] = []

    def start(self) -> None:
        """Begin now."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the answers that are due."""
        self._stopping.set()
        self._thread.join(2 * ANSWER_S)

    async def _main(self) -> None:
        due_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            while not self._stopping.is_set():
                target, request = next(self._requests)
                group.create_task(self._read(due_s, target, request))
                due_s += 1 / self._rate
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        while self._idle:
            self._idle.pop()[1].close()

    async def _read(self, due_s: float, target: str, request: bytes) -> None:
        self.asked_s.append(due_s)
        why = ""
        try:
            async with asyncio.timeout(ANSWER_S):
                status, body = await self._ask(request)
            why = "" if status == 200 else f"{status} {_said(body)}"
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            why = type(error).__name__
        if why:
            self.failures.append(Failure(due_s, target, why))
        else:
            self.seconds.append(time.monotonic() - due_s)

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body."""
        connection, head = await self._answered(request)
        reader, writer = connection
        fields = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:-2])
        try:
            body = await reader.readexactly(int(fields["content-length"]))
        except BaseException:
            writer.close()
            raise
        if fields.get("connection") == "close":
            writer.close()
        else:
            self._idle.append(connection)
        return int(head.split(b" ", 2)[1]), body

    async def _answered(self, request: bytes) -> tuple[Connection, bytes]:
        while self._idle:
            connection = self._idle.pop()
            # One that was closed while it lay idle is no failure: every browser takes another.
            with suppress(OSError, asyncio.IncompleteReadError):
                return connection, await self._head(connection, request)
        connection = await asyncio.open_connection("127.0.0.1", self._port)
        return connection, await self._head(connection, request)

    async def _head(self, connection: Connection, request: bytes) -> bytes:
        reader, writer = connection
        try:
            writer.write(request)
            return await reader.readuntil(b"\r\n\r\n")
        except BaseException:
            writer.close()
            raise
