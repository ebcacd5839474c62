"""To know at once that this process has been told to end.

The server drains before it ends the application's lifespan: it waits for every answer, and an answer that
lasts as long as somebody looks would have it wait in vain. So the signal is heard here, too, and passed on.
"""

import signal
import threading
from asyncio import get_running_loop
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Draining:
    """Calls `begin` in the event loop at the first signal. Where this is not the main thread, which alone
    hears signals, it never does."""

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        self._before: dict[int, Any] = {}

    async def open(self) -> None:
        """Listen from now on."""
        if threading.current_thread() is not threading.main_thread():
            return
        loop = get_running_loop()

        def heard(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._begin)
            before = self._before.get(number)
            if callable(before):
                before(number, frame)

        for number in _SIGNALS:
            # Only where somebody acts on it: the default, to die at once, stays.
            if callable(signal.getsignal(number)):
                self._before[number] = signal.signal(number, heard)

    async def close(self) -> None:
        """Listen no more."""
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before.clear()
