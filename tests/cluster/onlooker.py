"""Somebody who looks at the dashboard of an instance all the while, and looks again when it is back."""

import http.client
import threading
import time
from contextlib import suppress

from tests.support.watching import Watcher

AGAIN_S = 0.2
"""Until it looks again at an instance that is away."""


class Onlooker:
    """Notes what `/ops` says is wrong, once a second; enter it to begin."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._seen: list[tuple[float, str]] = []
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._look, name="onlooker")

    def __enter__(self) -> "Onlooker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    def between(self, start_s: float, end_s: float) -> list[str]:
        """The names of the alerts that it saw then, each once."""
        return list(dict.fromkeys(name for at_s, name in self._seen if start_s <= at_s <= end_s))

    def _look(self) -> None:
        while not self._left.wait(AGAIN_S):
            with suppress(OSError, http.client.HTTPException):
                watcher = Watcher(self._port)
                try:
                    while not self._left.is_set() and (event := watcher.next()) is not None:
                        self._seen += [(time.monotonic(), alert["name"]) for alert in event["alerts"]]
                finally:
                    watcher.close()
