"""The stream of a real server: once a second, for a bounded number of readers, and no longer than it may."""

import socket
import time
from pathlib import Path

import httpx2
import pytest

from farmlokal.ops.dashboard.live import STREAMS
from tests.faults.processes import wait_until
from tests.support.catalogue import run
from tests.support.oauth import PRODUCTION, PRODUCTION_KEYS, register, with_clients
from tests.support.server import Caller, serving
from tests.support.watching import Watcher, watching


def test_numbers_come_once_a_second_and_end_with_the_server(database_path: Path, tmp_path: Path) -> None:
    """Readers get the same events once a second, with what was asked meanwhile; one too many is refused; a
    reader that left makes room; and SIGTERM ends the streams at once, so the drain waits for nobody."""
    with (
        serving(database_path, tmp_path / "log") as server,
        watching(server.port) as one,
        watching(server.port) as other,
        Caller(server.port) as caller,
    ):
        assert one.response.headers["content-type"].startswith("text/event-stream")
        assert one.response.headers["cache-control"] == "no-store"
        for _ in range(20):
            assert caller.ask("/api/categories").status == 200
        event = one.until(lambda event: event["rate"] > 1, "the requests are counted", 5)
        [route] = [each for each in event["routes"] if each["route"] == "/api/categories"]
        assert route["times"]["p99"] > 0
        seen = one.next()
        assert seen is not None
        assert seen["at"] - event["at"] == pytest.approx(1, abs=0.5)
        assert other.until(lambda each: each["at"] == seen["at"], "both see the same", 5) == seen
        more = [Watcher(server.port) for _ in range(STREAMS - 2)]
        assert caller.ask("/ops/stream").status == 503
        more.pop().close()

        def again() -> bool:
            with watching(server.port) as late:
                return late.response.status == 200

        wait_until(again, "there is room again", 5)
        began = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began < 5
        while one.next() is not None:
            pass
        for each in more:
            each.close()


def test_a_stream_ends_with_its_client_and_a_frozen_reader_costs_nobody(
    database_path: Path, tmp_path: Path
) -> None:
    """A client that is disabled sees no more within seconds; whoever reads nothing holds up nobody."""
    url = f"sqlite:///{database_path}"
    known = run(register(url, ("ops:read",), PRODUCTION_KEYS))
    with serving(database_path, tmp_path / "log", PRODUCTION) as server, Caller(server.port) as caller:
        form = f"client_id={known.client_id}&client_secret={known.secret}"
        cookie = _logged_in(server.port, form)
        assert caller.ask("/ops/stream").status == 401
        idle = socket.create_connection(("127.0.0.1", server.port))
        idle.sendall(f"GET /ops/stream HTTP/1.1\r\nhost: x\r\ncookie: {cookie}\r\n\r\n".encode())
        with watching(server.port, cookie) as watcher:
            assert watcher.next() is not None
            run(with_clients(url, lambda clients: clients.disable(known.client_id), PRODUCTION_KEYS))
            began = time.monotonic()
            while watcher.next() is not None:
                assert time.monotonic() - began < 5
        idle.close()
    assert known.secret not in (tmp_path / "log").read_text()


def _logged_in(port: int, form: str) -> str:
    answer = httpx2.post(
        f"http://127.0.0.1:{port}/ops/login",
        content=form,
        headers={"origin": "https://shop.example", "content-type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 303
    return str(answer.headers["set-cookie"].partition(";")[0])
