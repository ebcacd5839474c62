"""A load test against servers: ours, and one that stands still on command."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from random import Random

import msgspec
import pytest

from farmlokal.errors import Unavailable
from farmlokal.loadtest import Credentials, Plan, Tally, run
from farmlokal.loadtest.arrivals import poisson
from tests.support.catalogue import Shelf
from tests.support.orders import SECRET
from tests.support.server import command, environment, free_port, serving

KNOWN = {
    "data": [{"id": 1, "name": "Tomato", "price": "10.00", "products": 1}],
    "nextCursor": None,
}


@asynccontextmanager
async def _answering(
    stands_from: int, stands_s: float, statuses: tuple[int, ...] = (200,)
) -> AsyncIterator[int]:
    """The port of a server that answers at once, but from one request on nothing for a while, all together;
    statuses in turn, once the load has learned what to ask."""
    count, free, writers = 0, asyncio.Event(), list[asyncio.StreamWriter]()
    free.set()
    body = msgspec.json.encode(KNOWN)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        writers.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                count += 1
                if count == stands_from:
                    free.clear()
                    asyncio.get_running_loop().call_later(stands_s, free.set)
                await free.wait()
                status = statuses[count % len(statuses)] if count > 3 else 200
                writer.write(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
        except (asyncio.IncompleteReadError, ConnectionError):
            return

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for writer in writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


def _load(port: int, rate: float, seconds: float, connections: int) -> Plan:
    return Plan(f"http://127.0.0.1:{port}", [rate], seconds, connections, {"browse": 1})


def _standing(connections: int) -> Tally:
    """2 s at 200/s on a server that stands for the second half of the first one."""

    async def work() -> Tally:
        async with _answering(stands_from=103, stands_s=0.5) as port:
            return await run(_load(port, 200, 2, connections), Credentials())

    return asyncio.run(work())


def test_who_arrives_while_the_server_stands_still_is_counted_with_the_wait() -> None:
    """A server that stands for half a second delays all who arrive meanwhile, a quarter of two seconds'
    callers. A loop that waits for its answers would see one slow request for each of its connections."""
    tally = _standing(connections=2)
    assert tally.total.outcomes["good"] == tally.total.arrivals > 300
    delayed = 1 - next(p for p in range(1, 101) if tally.total.durations.percentile_us(p) > 200_000) / 100
    assert 0.08 < delayed < 0.3
    assert tally.total.durations.greatest_us > 400_000


def test_outcomes_are_told_apart() -> None:
    """200, 429, 503 and 404 in turn are a quarter each, and only the first is a success."""

    async def work() -> Tally:
        async with _answering(10**9, 0, (200, 429, 503, 404)) as port:
            return await run(_load(port, 400, 1, 16), Credentials())

    tally = asyncio.run(work())
    quarter = tally.total.arrivals / 4
    for outcome in ("good", "refused", "failed", "other"):
        assert abs(tally.total.outcomes[outcome] - quarter) <= 2
    assert tally.statuses.keys() == {"429", "503", "404"}


def test_a_server_that_is_not_there_is_said_before_the_load() -> None:
    """Where nobody answers, nothing is measured."""
    with pytest.raises(Unavailable):
        asyncio.run(run(_load(free_port(), 1, 1, 1), Credentials()))


def test_arrivals_are_a_poisson_process_at_the_given_rates() -> None:
    """Each rate has its part of the time; gaps are exponential, so that their mean is their deviation."""
    due = list(poisson([100, 1000], 40, Random(3)))
    first, second = [each for each in due if each < 20], [each for each in due if each >= 20]
    assert abs(len(first) - 2_000) < 200
    assert abs(len(second) - 20_000) < 600
    gaps = [later - earlier for earlier, later in pairwise(second)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert 0.95 < deviation / mean < 1.05
    assert due == sorted(due)


def test_a_shop_day_on_a_real_server(database_path: Path, shelf: Shelf, tmp_path: Path) -> None:
    """`farmlokal loadtest` browses, searches, turns pages, opens, writes and sends events: all are answered
    well, the page is written, and the exit code is that of the goals."""
    for _ in range(60):
        shelf.product()
    settings = environment(database_path)
    made = subprocess.run(
        command("clients", "create", "load", "--scope", "catalog:write"),
        env=settings, capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = dict(line.split("=", 1) for line in made.stdout.splitlines() if "=" in line)
    own = settings | {
        "LOADTEST_CLIENT_ID": told["client_id"],
        "LOADTEST_CLIENT_SECRET": told["client_secret"],
        "LOADTEST_WEBHOOK_SECRET": SECRET.decode(),
    }
    page = tmp_path / "page.html"
    mix = "browse=1,page=1,search=1,open=1,write=1,webhook=1"
    with serving(database_path, tmp_path / "log", {"FARMLOKAL_WEBHOOK_SECRETS": SECRET.decode()}) as server:
        words = (
            "loadtest",
            f"http://127.0.0.1:{server.port}",
            "--rate",
            "60",
            "--seconds",
            "2",
            "--mix",
            mix,
        )

        def load(*more: str) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                command(*words, *more), env=own, capture_output=True, text=True, timeout=60, check=False
            )

        good = load("--goal", "errors=0%", "--report", str(page))
        assert good.returncode == 0, good.stdout + good.stderr + (tmp_path / "log").read_text()
        for kind in ("browse", "page", "search", "open", "write", "webhook"):
            assert kind in good.stdout
        assert "<svg" in page.read_text(encoding="utf-8")
        assert told["client_secret"] not in good.stdout + good.stderr + page.read_text(encoding="utf-8")
        missed = load("--goal", "goodput=1000")
        assert missed.returncode == 1
        assert "goal goodput=1000" in missed.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("http://192.0.2.1:3000",),
        ("http://farm.example",),
        ("ftp://127.0.0.1",),
        ("http://user:password@127.0.0.1",),
        ("--rate", "0"),
        ("--rate", "5,x"),
        ("--rate", "nan"),
        ("--seconds", "100000"),
        ("--connections", "100000"),
    ],
)
def test_loads_are_bounded_and_stay_on_this_machine(words: tuple[str, ...]) -> None:
    """Another machine is refused without `--anywhere`, and so is what is out of bounds."""
    from click.testing import CliRunner

    from farmlokal.cli_loadtest import loadtest

    result = CliRunner().invoke(loadtest, words)
    assert result.exit_code != 0
    assert result.exception is not None
