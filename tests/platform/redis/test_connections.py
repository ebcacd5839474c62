"""Connections to Redis: a call is quick or fails, and a server that is ill is left alone until it is well."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from structlog.testing import capture_logs

from farmlokal.platform.clock import SystemClock
from farmlokal.platform.redis import RedisConnections, RedisRefused, RedisUnavailable, Script
from farmlokal.platform.redis.connections import CALL_LIMIT_S
from farmlokal.platform.redis.turns import TURNS
from tests.faults.redis_trouble import HIDDEN, NEEDED, TROUBLE
from tests.support.catalogue import run
from tests.support.servers.valkey import PATIENT_S, Valkey


@pytest.fixture
def server() -> Iterator[Valkey]:
    """A server of the test's own."""
    with Valkey(NEEDED) as started:
        yield started


@asynccontextmanager
async def connected(url: str, call_limit_s: float = CALL_LIMIT_S) -> AsyncIterator[RedisConnections]:
    """Open connections."""
    connections = RedisConnections(url, SystemClock(), call_limit_s)
    await connections.open()
    try:
        yield connections
    finally:
        await connections.close()


async def poll(true: Callable[[], bool], limit_s: float) -> float:
    """Wait until it is true; the seconds it took."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() < started + limit_s, f"not within {limit_s} s"
        await asyncio.sleep(0.01)
    return time.monotonic() - started


async def storm(connections: RedisConnections, calls: int = 200) -> tuple[int, float]:
    """(failed, seconds of the slowest) of many writes at once."""

    async def one(number: int) -> tuple[bool, float]:
        started = time.monotonic()
        try:
            await connections.execute("SET", f"k{number}", "v")
        except RedisUnavailable:
            return False, time.monotonic() - started
        return True, time.monotonic() - started

    outcomes = await asyncio.gather(*(one(number) for number in range(calls)))
    return sum(not ok for ok, _ in outcomes), max(took for _, took in outcomes)


async def all_succeed(connections: RedisConnections, limit_s: float) -> None:
    """Within so long 200 writes at once all succeed: no connection is left broken, no place taken."""
    deadline = time.monotonic() + limit_s
    while (failed := (await storm(connections))[0]) != 0:
        assert time.monotonic() < deadline, f"{failed} of 200 fail"


def test_commands_and_scripts_answer_in_bytes(server: Valkey) -> None:
    """A command and a script, known to the server or not, come back with what Redis says."""

    async def work() -> None:
        async with connected(server.url) as connections:
            assert await connections.execute("SET", "k", b"\x00v")
            assert await connections.execute("GET", "k") == b"\x00v"
            script = Script("return {KEYS[1], ARGV[1], 7}")
            for _ in range(2):
                assert await connections.run_script(script, ["k"], ["a"]) == [b"k", b"a", 7]
            server.ask("SCRIPT", "FLUSH")
            assert await connections.run_script(script, ["k"], ["a"]) == [b"k", b"a", 7]

    run(work())


def test_a_refused_command_is_no_reason_to_stop_asking(server: Valkey) -> None:
    """A key of another type is the caller's trouble: Redis stays up however often it refuses."""

    async def work() -> None:
        async with connected(server.url) as connections:
            await connections.execute("RPUSH", "list", "1")
            for _ in range(10):
                with pytest.raises(RedisRefused):
                    await connections.execute("GET", "list")
            assert connections.state().up

    run(work())


@pytest.mark.parametrize("trouble", TROUBLE)
def test_trouble_costs_a_tenth_of_a_second_once(server: Valkey, trouble: str) -> None:
    """Whatever ails Redis: calls fail within the limit, soon at once, and it is used again by itself."""
    begin, end, reason = TROUBLE[trouble]

    async def work() -> None:
        async with connected(server.url) as connections:
            await all_succeed(connections, 5)
            begin(server)
            failed, slowest = await storm(connections)
            assert failed > 100
            assert slowest < 2, "0.1 s, on a machine that may be busy; the driver alone would take a minute"
            await poll(lambda: connections.state().reason == reason, 5)
            sent, spared = connections.state().failed, connections.state().spared
            assert (await storm(connections))[0] == 200
            assert connections.state().spared == spared + 200, "nobody waits for a server that is down"
            assert connections.state().failed == sent
            end(server)
            await poll(lambda: connections.up, 5)
            await all_succeed(connections, 5)

    with capture_logs() as lines:
        run(work())
    events = [line["event"] for line in lines]
    # Once each; an overloaded machine may add a blip before or after, with lines of its own.
    assert events == ["redis is down, going on without it", "redis is back"] * (len(events) // 2)
    assert HIDDEN not in str(lines)


@contextmanager
def busy_loop(turn_s: float) -> Iterator[list[int]]:
    """The loop comes round once in so many seconds; how often it has."""
    loop, turns, over = asyncio.get_running_loop(), [0], False

    def work() -> None:
        turns[0] += 1
        end = time.perf_counter() + turn_s
        while time.perf_counter() < end:
            pass
        if not over:
            loop.call_soon(work)

    loop.call_soon(work)
    try:
        yield turns
    finally:
        over = True


def test_a_loop_that_is_late_is_not_taken_for_a_slow_server(server: Valkey) -> None:
    """A process that is busy for longer than the limit at each turn still gets its replies; a server that
    says nothing is given up after a few turns all the same."""

    async def work() -> None:
        async with connected(server.url) as connections:
            with busy_loop(CALL_LIMIT_S * 1.1) as turns:
                for number in range(5):
                    await connections.execute("SET", f"k{number}", "v")
                server.process.freeze()
                turns[0] = 0
                with pytest.raises(RedisUnavailable, match="timeout"):
                    await connections.execute("GET", "k1")
                assert turns[0] < 3 * TURNS
                server.process.thaw()

    run(work())


def test_a_server_that_is_down_at_the_start_is_used_once_it_is_there(server: Valkey) -> None:
    """The program starts without Redis, and finds it later."""
    server.process.kill()

    async def work() -> None:
        async with connected(server.url) as connections:
            assert not connections.up
            server.process.start()
            await poll(lambda: connections.up, 5)
            assert await connections.execute("SET", "k", "v")

    run(work())


def test_a_cancelled_call_is_cancelled_wherever_it_is(server: Valkey) -> None:
    """However far a call has come, a cancellation ends it: the driver does not swallow it."""

    async def work() -> None:
        async with connected(server.url) as connections:
            for turns in 10 * list(range(12)):
                task = asyncio.create_task(connections.execute("SET", "k", b"v"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                if task.cancel():
                    with pytest.raises(asyncio.CancelledError):
                        await task

    run(work())


def test_a_cancelled_call_gives_its_place_back(server: Valkey) -> None:
    """A thousand callers that leave take neither connections nor places with them."""

    async def work() -> None:
        async with connected(server.url) as connections:
            for _ in range(20):
                tasks = [asyncio.create_task(connections.execute("GET", "k")) for _ in range(50)]
                await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            for number in range(50):
                await connections.execute("SET", f"n{number}", number)
            found = await asyncio.gather(*(connections.execute("GET", f"n{n}") for n in range(50)))
            assert found == [str(number).encode() for number in range(50)], "nobody gets another's reply"

    run(work())


def test_who_leaves_takes_no_reply_of_another_along(server: Valkey) -> None:
    """Callers share a connection: one that leaves before its reply is there costs the others nothing, and
    those who come after it get their own."""

    async def work() -> None:
        async with connected(server.url, PATIENT_S) as connections:
            for number in range(4):
                await connections.execute("SET", f"n{number}", number)
            server.process.freeze()
            early = [asyncio.create_task(connections.execute("GET", f"n{n}")) for n in range(3)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            early[1].cancel()
            await asyncio.gather(early[1], return_exceptions=True)
            late = asyncio.create_task(connections.execute("GET", "n3"))
            server.process.thaw()
            assert [*await asyncio.gather(early[0], early[2], late)] == [b"0", b"2", b"3"]

    run(work())
