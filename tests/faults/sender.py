"""A sender of events, open-loop and without mercy: it sends when a delivery is due, whatever the server does,
and sends again until it is told 2xx.
"""

import asyncio
import base64
import hmac
import threading
import time
from collections.abc import Callable, Sequence, Set
from random import Random

import msgspec

from tests.faults.oracle import AGAIN, GOOD, Record
from tests.faults.traffic import Delivery
from tests.support.orders import SECRET

ANSWER_S = 5.0
"""How long a sender waits for an answer: the tightest known sender's limit."""

PAUSE_S = (0.05, 1.0)
"""Between two tries of one delivery, drawn anew each time."""

CONNECTIONS = 64
"""Most deliveries under way at once; a real sender has as many as it likes."""


class Sender:
    """Sends deliveries to the ports of instances from a thread of its own; `port(number)` chooses one."""

    def __init__(
        self,
        deliveries: Sequence[Delivery],
        port: Callable[[int], int],
        record: Record,
        seed: int,
        again: Set[int] = AGAIN,
    ) -> None:
        self._deliveries, self._port, self._record, self._again = deliveries, port, record, again
        self._random = Random(seed)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="sender")
        self._stopping = self._finishing = False
        self.left = len(deliveries)
        """Deliveries that were not told 2xx yet."""
        self.sent = 0
        self.wrong: list[str] = []
        """Answers that no sender should get."""

    def start(self) -> None:
        """Begin now."""
        self._thread.start()

    def finish(self) -> None:
        """Begin no more deliveries, whatever is due; those that were begun go on."""
        self._finishing = True

    def join(self, within_s: float) -> None:
        """Wait until every delivery was told 2xx; gives up after so long."""
        self._thread.join(within_s)
        self._stopping = True
        self._thread.join(ANSWER_S + 5)

    async def _main(self) -> None:
        start_s, room = time.monotonic(), asyncio.Semaphore(CONNECTIONS)
        async with asyncio.TaskGroup() as group:
            for at, delivery in enumerate(self._deliveries):
                await asyncio.sleep(max(0.0, start_s + delivery.at_s - time.monotonic()))
                if self._finishing:
                    self.left -= len(self._deliveries) - at
                    break
                group.create_task(self._deliver(delivery, room))

    async def _deliver(self, delivery: Delivery, room: asyncio.Semaphore) -> None:
        toss = delivery.toss
        while True:
            async with room:
                if self._stopping:
                    return
                status = await self._try(delivery, self._port(toss))
            if status in GOOD:
                self.left -= 1
                return
            if status is not None and status not in self._again:
                self.wrong.append(f"{status} for {delivery.said.event_id}")
            toss = self._random.randrange(1000)
            await asyncio.sleep(self._random.uniform(*PAUSE_S))

    async def _try(self, delivery: Delivery, port: int) -> int | None:
        """The status; None when there was no answer."""
        name, content = delivery.said.event_id, msgspec.json.encode(delivery.said.body())
        began_s = time.monotonic()
        self._record.note(began_s, "sent", name, port)
        self.sent += 1
        try:
            async with asyncio.timeout(ANSWER_S):
                status, body = await post(port, content)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            self._record.was_cut(time.monotonic(), name, type(error).__name__)
            return None
        now_s = time.monotonic()
        word = msgspec.json.decode(body).get("status") if status == 200 else ""
        self._record.answered(now_s, name, status, word, now_s - began_s)
        return status


def delivery(content: bytes) -> bytes:
    """A signed delivery as a request."""
    timestamp = str(int(time.time())).encode()
    mac = hmac.digest(SECRET, b".".join((b"msg", timestamp, content)), "sha256")
    head = (
        b"POST /webhook/order-update HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\nwebhook-id: msg\r\n"
        b"webhook-timestamp: %s\r\nwebhook-signature: v1,%s\r\n\r\n"
    ) % (len(content), timestamp, base64.b64encode(mac))
    return head + content


async def post(port: int, content: bytes) -> tuple[int, bytes]:
    """One delivery on a connection of its own. `ValueError` for half an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(delivery(content))
        answer = await reader.read(-1)
    finally:
        writer.close()
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        raise ValueError("half an answer")
    return int(head.split(b" ", 2)[1]), body
