"""Calls over real HTTP to someone who does everything wrong."""

import asyncio
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmlokal.platform.http_client import SMALL_BYTES, HttpClient, HttpFailed
from farmlokal.platform.metrics import memory
from farmlokal.suppliers.simulator import FAULTS, Behaviour
from farmlokal.suppliers.simulator.faults import BOMB_BYTES
from tests.faults.processes import wait_until
from tests.support.catalogue import run
from tests.support.provider import Running, simulated
from tests.support.servers.certificates import certificates
from tests.support.servers.place import free_port

LIMIT_S = 1.0
"""Time limit of a call to someone who never ends."""

BUSY_S = 20.0
"""How much longer a call may take on a machine that is busy with other tests."""

REASONS = {
    "hang": "timeout",
    "reset": "connection",
    "close": "protocol",
    "drip": "timeout",
    "drip-head": "timeout",
    "huge-head": "protocol",
    "endless": "too large",
    "too-short": "protocol",
    "huge-body": "too large",
    "empty-blocks": "coding",
    "gzip-bomb": "coding",
    "garbage": "protocol",
}
"""What each fault comes to; the others are whole answers, if odd ones."""

STATUSES = {"redirect": 307, "too-long": 401, "nan": 401}
"""Their statuses; two of them only spoil the body of what would have been said, a refusal."""


@pytest.fixture(scope="module")
def outside() -> Iterator[Running]:
    """Someone to call."""
    with simulated() as running:
        yield running


async def call(url: str, within_s: float = LIMIT_S, body_bytes: int = 65_536) -> tuple[int, bytes]:
    """(status, body) of one call with a client of its own."""
    http = HttpClient(2)
    await http.open()
    try:
        form = {"content-type": "application/x-www-form-urlencoded"}
        answer = await http.call("POST", url, form, b"", within_s=within_s, body_bytes=body_bytes)
        return answer.status, answer.body
    finally:
        await http.close()


def failure(url: str, within_s: float = BUSY_S) -> str:
    """Why a call failed."""
    with pytest.raises(HttpFailed) as failed:
        run(call(url, within_s))
    assert failed.value.__cause__ is None
    return str(failed.value)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_of_the_other_side_ends(outside: Running, fault: str) -> None:
    """Whatever the other side does, a call ends within its limit, with a word of ours or a whole answer."""
    outside.play(Behaviour(fault=fault))
    started = time.monotonic()
    if fault in REASONS:
        limit_s = LIMIT_S if REASONS[fault] == "timeout" else BUSY_S
        assert failure(outside.token_url, limit_s) == REASONS[fault]
    else:
        status, _ = run(call(outside.token_url, BUSY_S))
        assert status == STATUSES.get(fault, 200)
    assert time.monotonic() - started < LIMIT_S + BUSY_S


def test_every_fault_has_a_reason_or_an_answer() -> None:
    """The table of reasons names faults that there are."""
    assert REASONS.keys() < FAULTS.keys()


def test_nobody_is_followed_elsewhere(outside: Running) -> None:
    """A redirect is an answer like any other: where it leads to is not asked."""
    outside.play(Behaviour(fault="redirect"))
    assert run(call(outside.token_url))[0] == 307
    assert outside.simulator.canaries == 0


def test_a_bomb_does_not_go_off(outside: Running) -> None:
    """What unpacks to an eighth of a gigabyte, and what never ends, take no more memory than the limit."""
    for fault in ("gzip-bomb", "endless"):
        outside.play(Behaviour(fault=fault))
        failure(outside.token_url)
        before = memory().rss  # the bomb is made by now, in this very process
        failure(outside.token_url)
        assert memory().rss - before < BOMB_BYTES // 4


def test_nobody_there(outside: Running) -> None:
    """A port where nobody listens, and a name that does not exist, are failures like others."""
    assert failure(f"http://127.0.0.1:{free_port()}/") == "connection"
    assert failure("http://nowhere.invalid/") == "connection"


def test_the_other_side_has_to_show_who_it_is(tmp_path: Path) -> None:
    """A certificate counts where its authority is trusted and its name is the one that was asked for;
    anything else is a failure that says so."""
    files = certificates(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(files.certificate, files.key)
    ours = ssl.create_default_context(cafile=str(files.authority))

    async def status(url: str, tls: ssl.SSLContext | None) -> int:
        http = HttpClient(1, tls=tls)
        await http.open()
        try:
            return (await http.call("GET", url, {}, within_s=BUSY_S, body_bytes=1000)).status
        finally:
            await http.close()

    with simulated(tls=server) as secure:
        url = f"https://localhost:{secure.port}/healthz"
        assert run(status(url, ours)) == 200
        with pytest.raises(HttpFailed, match=r"^certificate$"):
            run(status(url, None))


def test_a_limit_holds_for_all_of_a_call(outside: Running) -> None:
    """A body of exactly the limit is read, one byte more is not."""
    outside.play(Behaviour(body="x" * 1000))
    assert run(call(outside.token_url, body_bytes=1000)) == (200, b"x" * 1000)
    with pytest.raises(HttpFailed, match="too large"):
        run(call(outside.token_url, body_bytes=999))


def test_a_caller_who_gives_up_leaves_nothing_open(outside: Running) -> None:
    """A cancelled call closes its connection, and the client goes on with others."""

    async def go() -> None:
        http = HttpClient(1)
        await http.open()
        try:
            outside.play(Behaviour(fault="hang"), Behaviour())
            calls = outside.calls
            hanging = asyncio.ensure_future(
                http.call("POST", outside.token_url, {}, within_s=60, body_bytes=10)
            )
            await asyncio.to_thread(wait_until, lambda: outside.calls > calls, "the call is there")
            hanging.cancel()
            await asyncio.gather(hanging, return_exceptions=True)
            assert hanging.cancelled()
            answer = await http.call("GET", f"{outside.url}/healthz", {}, within_s=30, body_bytes=100)
            assert answer.status == 200
        finally:
            await http.close()

    run(go())


@pytest.mark.parametrize("members", [1, 30_000])
def test_a_long_body_asks_before_it_grows(outside: Running, members: int) -> None:
    """A body is read to its first 256 kB and then waits until it may grow; a shorter one does not ask."""
    body = json.dumps(["a member"] * members)
    outside.play(Behaviour(body=body))

    async def go() -> None:
        asked, may = asyncio.Event(), asyncio.Event()

        async def grow() -> None:
            asked.set()
            await may.wait()

        http = HttpClient(1)
        await http.open()
        reading = asyncio.create_task(
            http.call("POST", outside.token_url, {}, within_s=BUSY_S, body_bytes=len(body), grow=grow)
        )
        if len(body) > SMALL_BYTES:
            await asyncio.wait_for(asked.wait(), BUSY_S)
            assert not reading.done()
            may.set()
        assert (await reading).body.decode() == body
        assert asked.is_set() == (len(body) > SMALL_BYTES)
        await http.close()

    run(go(), 60)
