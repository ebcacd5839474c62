"""A closed-loop load generator: keep-alive connections, one request at a time on each, every body compared.

Our own, because what counts here is the server's processor time per good answer: only a 200 whose body is
the expected one counts, and one wrong answer fails the run. It says nothing about latency under load.
"""

import asyncio
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

CONNECTIONS = 16

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Answer(NamedTuple):
    """One answer, whole."""

    status: int
    head: bytes
    body: bytes


class Load(NamedTuple):
    """What a run saw: good answers, the others, and the processor time that the server used for all."""

    answers: int
    wrong: list[Answer]
    seconds: float
    cpu_s: float


class _Connection(asyncio.Protocol):
    """Sends its requests round and round until it is told to stop; keeps what came back wrong."""

    def __init__(self, requests: Iterator[tuple[bytes, bytes | None]]) -> None:
        self._requests = requests
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._end = -1
        self._start = 0
        self._expected: bytes | None = None
        self.running = True
        self.answers = 0
        self.wrong: list[Answer] = []
        self.last: Answer | None = None
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._end < 0:
            head = self._received.find(b"\r\n\r\n")
            if head < 0:
                return
            length = _LENGTH.search(self._received, 0, head + 2)
            if length is None:
                raise ConnectionError("an answer without content-length")
            self._start = head + 4
            self._end = self._start + int(length[1])
        if len(self._received) >= self._end:
            self._take()

    def connection_lost(self, error: Exception | None) -> None:
        if self.running:
            self.wrong.append(Answer(0, b"", b"the connection was lost"))
        if not self.closed.done():
            self.closed.set_result(error)

    def _take(self) -> None:
        received = bytes(self._received)
        status, body = int(received[9:12]), received[self._start :]
        self.last = Answer(status, received[: self._start], body)
        if 200 <= status < 300 and (self._expected is None or body == self._expected):
            self.answers += 1
        else:
            self.wrong.append(self.last)
        self._received.clear()
        self._end = -1
        self._next()

    def _next(self) -> None:
        assert self._transport is not None
        following = next(self._requests, None) if self.running else None
        if following is None:
            self.running = False
            self._transport.close()
            return
        request, self._expected = following
        self._transport.write(request)


def request(target: str) -> bytes:
    """A GET of `target`, as bytes."""
    return f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n".encode()


async def ask(port: int, target: str) -> Answer:
    """One request on a connection of its own."""
    loop = asyncio.get_running_loop()
    once = iter([(request(target), None)])
    _, connection = await loop.create_connection(lambda: _Connection(once), "127.0.0.1", port)
    await asyncio.wait_for(connection.closed, 10)
    if connection.last is None:
        raise ConnectionError(f"no answer to {target}")
    return connection.last


async def drive(port: int, expected: Mapping[str, bytes], seconds: float, server: int) -> Load:
    """Ask for the targets in turn for so many seconds; `server` is the process whose time is taken."""
    return await send(port, [(request(target), body) for target, body in expected.items()], seconds, server)


async def send(
    port: int, requests: Sequence[tuple[bytes, bytes | None]], seconds: float, server: int
) -> Load:
    """Send these requests in turn; of one without an expected body any good answer counts."""
    loop = asyncio.get_running_loop()

    def turns(first: int) -> Iterator[tuple[bytes, bytes | None]]:
        return islice(cycle(requests), first % len(requests), None)

    cpu_before, before = cpu_s(server), loop.time()
    connections: list[_Connection] = []
    for number in range(CONNECTIONS):
        _, connection = await loop.create_connection(
            lambda number=number: _Connection(turns(number)),  # type: ignore[misc]  # bound early on purpose
            "127.0.0.1",
            port,
        )
        connections.append(connection)
    await asyncio.sleep(seconds)
    for connection in connections:
        connection.running = False
    await asyncio.wait_for(asyncio.gather(*(connection.closed for connection in connections)), 10)
    return Load(
        sum(connection.answers for connection in connections),
        [answer for connection in connections for answer in connection.wrong],
        loop.time() - before,
        cpu_s(server) - cpu_before,
    )


def cpu_s(process: int) -> float:
    """Processor seconds that a process and all below it have used (Linux: /proc/PID/stat)."""
    return sum(_used_s(each) for each in family(process))


def family(process: int) -> Sequence[int]:
    """A process and all processes below it that live."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(_fields(stat)[1])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
    found = [process]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def _used_s(process: int) -> float:
    user, system = _fields(Path(f"/proc/{process}/stat"))[11:13]
    return (int(user) + int(system)) * _TICK_S


def _fields(stat: Path) -> list[str]:
    """The fields after the command's name, which may hold spaces: state, parent, …"""
    return stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
