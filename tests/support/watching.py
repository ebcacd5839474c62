"""Somebody who looks at the dashboard of a real server: its stream, read as a browser reads it."""

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

SILENCE_S = 10.0
"""Longest that a stream may say nothing before a test gives up."""


class Watcher:
    """One open stream. `alerts` are the names in each event so far."""

    def __init__(self, port: int, cookie: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SILENCE_S)
        self._connection.request("GET", "/ops/stream", headers={"cookie": cookie} if cookie else {})
        self.response = self._connection.getresponse()
        self.alerts: list[set[str]] = []

    def next(self) -> dict[str, Any] | None:
        """The next event; None at the end of the stream."""
        while line := self.response.readline():
            if line.startswith(b"data: "):
                event: dict[str, Any] = msgspec.json.decode(line[6:])
                self.alerts.append({alert["name"] for alert in event["alerts"]})
                return event
        return None

    def until(self, holds: Callable[[dict[str, Any]], bool], what: str, within_s: float) -> dict[str, Any]:
        """The first event of which it holds; `AssertionError` naming `what` when there is none in time."""
        deadline = time.monotonic() + within_s
        while (event := self.next()) is not None:
            if holds(event):
                return event
            if time.monotonic() > deadline:
                break
        raise AssertionError(f"not within {within_s} s: {what}; alerts: {self.alerts}")

    def close(self) -> None:
        """Look no more."""
        self.response.close()
        self._connection.close()


@contextmanager
def watching(port: int, cookie: str = "") -> Iterator[Watcher]:
    """A stream for the length of a block."""
    watcher = Watcher(port, cookie)
    try:
        yield watcher
    finally:
        watcher.close()
