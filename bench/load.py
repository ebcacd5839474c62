"""A closed-loop load generator: keep-alive connections, one request at a time on each, every body compared.

Our own, because what counts here is the server's processor time per good answer: only a 2xx (or the status
that is asked for) whose body is the expected one counts, and one wrong answer fails the run. It says nothing
about latency under load: that is `farmlokal loadtest`.
"""

import asyncio
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import NamedTuple, cast

CONNECTIONS = 16

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_WITHOUT_BODY = (b"204", b"304")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Asked(NamedTuple):
    """A request as bytes, and what a good answer is: this body, if one is expected; this status, or 2xx."""

    request: bytes
    body: bytes | None = None
    status: int | None = None


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
    """Sends the next of the requests that it shares with others, until it is told to stop or there is none
    left; keeps what came back wrong, and all answers if it is asked to."""

    def __init__(self, requests: Iterator[Asked], keep: list[tuple[Asked, Answer]] | None = None) -> None:
        self._requests = requests
        self._keep = keep
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._end = -1
        self._start = 0
        self._asked = Asked(b"")
        self.running = True
        self.answers = 0
        self.wrong: list[Answer] = []
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by their class
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._end < 0:
            head = self._received.find(b"\r\n\r\n")
            if head < 0:
                return
            self._start = head + 4
            self._end = self._start + self._length(head)
        if len(self._received) >= self._end:
            self._take()

    def connection_lost(self, error: Exception | None) -> None:
        if self.running:
            self.wrong.append(Answer(0, b"", b"the connection was lost"))
        if not self.closed.done():
            self.closed.set_result(error)

    def _length(self, head: int) -> int:
        if self._received[9:12] in _WITHOUT_BODY:
            return 0
        length = _LENGTH.search(self._received, 0, head + 2)
        if length is None:
            raise ConnectionError("an answer without content-length")
        return int(length[1])

    def _take(self) -> None:
        received = bytes(self._received)
        status, body, asked = int(received[9:12]), received[self._start :], self._asked
        good = 200 <= status < 300 if asked.status is None else status == asked.status
        if good and (asked.body is None or body == asked.body):
            self.answers += 1
        else:
            self.wrong.append(Answer(status, received[: self._start], body))
        if self._keep is not None:
            self._keep.append((asked, Answer(status, received[: self._start], body)))
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
        self._asked = following
        self._transport.write(following.request)


def request(target: str, headers: str = "", method: str = "GET", body: bytes = b"") -> bytes:
    """A request for `target` as bytes; `headers` are whole lines."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n{length}{headers}\r\n"
    )
    return head.encode() + body


async def ask(port: int, target: str, headers: str = "") -> Answer:
    """One request on a connection of its own, whatever comes back."""
    [answer] = await collect(port, [Asked(request(target, headers))], 1)
    return answer


async def collect(port: int, requests: Sequence[Asked], connections: int = CONNECTIONS) -> list[Answer]:
    """The answer to each of these requests, in their order."""
    loop, kept = asyncio.get_running_loop(), list[tuple[Asked, Answer]]()
    shared = iter(requests)
    opened = [
        (await loop.create_connection(lambda: _Connection(shared, kept), "127.0.0.1", port))[1]
        for _ in range(min(connections, len(requests)))
    ]
    await asyncio.gather(*(connection.closed for connection in opened))
    answers = {id(asked): answer for asked, answer in kept}
    if len(answers) < len(requests):
        raise ConnectionError(f"{len(requests)} requests had {len(answers)} answers")
    return [answers[id(asked)] for asked in requests]


async def drive(port: int, expected: Mapping[str, bytes], seconds: float, server: int) -> Load:
    """Ask for the targets in turn for so many seconds; `server` is the process whose time is taken."""
    return await send(
        port, [Asked(request(target), body) for target, body in expected.items()], seconds, server
    )


async def send(
    port: int, requests: Iterable[Asked], seconds: float, server: int, connections: int = CONNECTIONS
) -> Load:
    """Send these requests for so many seconds over so many connections, each asking for the next when it
    has its answer. A sequence is sent round and round, an iterator goes on where it was."""
    loop = asyncio.get_running_loop()
    shared = requests if isinstance(requests, Iterator) else cycle(requests)
    cpu_before, before = cpu_s(server), loop.time()
    opened = [
        (await loop.create_connection(lambda: _Connection(shared), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    for connection in opened:
        connection.running = False
    await asyncio.wait_for(asyncio.gather(*(connection.closed for connection in opened)), 10)
    return Load(
        sum(connection.answers for connection in opened),
        [answer for connection in opened for answer in connection.wrong],
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
