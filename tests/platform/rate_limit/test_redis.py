"""The limiter over Redis when Redis is ill, when it is asked, and what it leaves there."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from farmlokal.platform.clock import SystemClock
from farmlokal.platform.metrics import LimitCounts
from farmlokal.platform.rate_limit import Caller, Policy, RedisLimiter
from farmlokal.platform.redis import RedisConnections, Script
from farmlokal.platform.redis.connections import CALL_LIMIT_S
from tests.faults.redis_trouble import TROUBLE
from tests.support.catalogue import run
from tests.support.servers.valkey import PATIENT_S, Valkey

SLOW = Policy("slow", 100, 86_400, 20)
"""A unit takes a quarter of an hour: what passes in a test is the burst."""

LARGE = Policy("large", 1_000_000, 1, 1_000_000)
ALICE = Caller("address", "192.0.2.1")
KEY = f"farmlokal:limit:slow:{ALICE.key}"


class Counting(RedisConnections):
    """Connections that count the scripts run."""

    scripts = 0

    async def run_script(self, script: Script, keys: Sequence[str], args: Sequence[Any] = ()) -> Any:
        self.scripts += 1
        return await super().run_script(script, keys, args)


class Wrong(SystemClock):
    """The clock of a machine that is set wrongly."""

    def __init__(self, by_s: int) -> None:
        self._by_us = by_s * 1_000_000

    def now_us(self) -> int:
        return super().now_us() + self._by_us


@pytest.fixture
def server() -> Iterator[Valkey]:
    """A server of the test's own."""
    with Valkey() as started:
        yield started


@asynccontextmanager
async def connected(server: Valkey, call_limit_s: float = PATIENT_S) -> AsyncIterator[Counting]:
    """Open connections."""
    redis = Counting(server.url, SystemClock(), call_limit_s)
    await redis.open()
    try:
        yield redis
    finally:
        await redis.close()


@pytest.mark.parametrize("trouble", ["frozen", "killed"])
def test_each_instance_limits_alone_while_redis_is_away(trouble: str, server: Valkey) -> None:
    """Without Redis each instance admits its own burst and no more, no request waits for it, and within five
    seconds of its return Redis decides again."""

    async def go() -> None:
        async with connected(server, CALL_LIMIT_S) as redis, connected(server, CALL_LIMIT_S) as other:
            counts = LimitCounts()
            limiters = [RedisLimiter(each, SLOW, SystemClock(), counts) for each in (redis, other)]
            TROUBLE[trouble].begin(server)
            admitted, slowest = 0, 0.0
            for at in range(100):
                started = time.monotonic()
                admitted += (await limiters[at % 2].ask(ALICE, 1)).admitted
                slowest = max(slowest, time.monotonic() - started)
            assert admitted == 2 * SLOW.burst
            assert counts.by_fallback == 100
            assert slowest < 2, "0.1 s, on a machine that runs other tests"
            TROUBLE[trouble].end(server)
            risen = time.monotonic()
            alone = -1
            while alone != counts.by_fallback:
                assert time.monotonic() < risen + 5
                alone = counts.by_fallback
                for limiter in limiters:
                    await limiter.ask(Caller("address", "192.0.2.2"), 0)
                await asyncio.sleep(0.01)

    run(go())


def test_two_hundred_at_once_while_redis_is_frozen(server: Valkey) -> None:
    """A crowd of different callers at the moment at which Redis freezes is through in a moment."""

    async def go() -> None:
        async with connected(server, CALL_LIMIT_S) as redis:
            limiter = RedisLimiter(redis, SLOW, SystemClock(), LimitCounts())
            server.process.freeze()
            started = time.monotonic()
            callers = [Caller("address", f"192.0.2.{number}") for number in range(200)]
            answers = await asyncio.gather(*(limiter.ask(caller, 1) for caller in callers))
            assert all(answer.admitted for answer in answers)
            assert time.monotonic() - started < 2, "one after the other: 20 s"

    run(go())


def test_two_calls_that_fail_decide_all_who_wait(server: Valkey) -> None:
    """When Redis freezes under a crowd of requests of one caller, they are decided after two failed calls,
    however many they are."""

    async def go() -> None:
        async with connected(server, CALL_LIMIT_S) as redis:
            counts = LimitCounts()
            limiter = RedisLimiter(redis, SLOW, SystemClock(), counts)
            server.process.freeze()
            answers = await asyncio.gather(*(limiter.ask(ALICE, 1) for _ in range(1000)))
            assert sum(answer.admitted for answer in answers) == 20
            assert (redis.scripts, counts.by_fallback) == (2, 1000)

    run(go())


@pytest.mark.parametrize("by_s", [3600, -3600])
def test_a_wrong_clock_changes_nothing(by_s: int, server: Valkey) -> None:
    """An instance whose clock is an hour off spends the same quota as the others, and no other."""

    async def go() -> None:
        async with connected(server) as redis:
            limiters = [
                RedisLimiter(redis, SLOW, clock, LimitCounts()) for clock in (SystemClock(), Wrong(by_s))
            ]
            answers = [await limiters[at % 2].ask(ALICE, 1) for at in range(60)]
            assert [answer.admitted for answer in answers] == [True] * 20 + [False] * 40

    run(go())


def test_keys_end_by_themselves(server: Valkey) -> None:
    """A caller's key lasts as long as its quota takes to grow whole, and is gone then."""

    async def go() -> None:
        async with connected(server) as redis:
            await RedisLimiter(redis, SLOW, SystemClock(), LimitCounts()).ask(ALICE, 3)
            assert 3 * 863 < int(server.ask("TTL", KEY)) <= 3 * 864
            quick = RedisLimiter(redis, Policy("quick", 100, 1, 20), SystemClock(), LimitCounts())
            for number in range(1000):
                await quick.ask(Caller("address", str(number)), 1)
            deadline = time.monotonic() + 5
            while server.ask("DBSIZE") not in (1, 2):  # ours, and the probe's
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)

    run(go())


@pytest.mark.parametrize(
    "garbage",
    [
        ("SET", KEY, "x"),
        ("RPUSH", KEY, "x"),
        ("HSET", KEY, "t", "tomorrow", "lease", "x", "other", "5:", "more", "9:99999999999999999"),
        ("HSET", KEY, "t", "9e300"),
        ("HSET", KEY, "t", "-1"),
    ],
    ids=lambda garbage: " ".join((garbage[0], *garbage[2:]))[:20],
)
def test_garbage_in_a_key_does_no_harm(garbage: tuple[str, ...], server: Valkey) -> None:
    """Whatever stands under a caller's key, the caller has at most a whole quota, and a bounded wait."""

    async def go() -> None:
        server.ask(*garbage)
        async with connected(server) as redis:
            counts = LimitCounts()
            limiter = RedisLimiter(redis, SLOW, SystemClock(), counts)
            answers = [await limiter.ask(ALICE, 1) for _ in range(30)]
            assert sum(answer.admitted for answer in answers) <= 20
            assert answers[-1].retry_s <= 20 * 864
            assert counts.by_fallback == 0

    run(go())


def test_a_quick_caller_costs_few_calls(server: Valkey) -> None:
    """Leases make ten thousand requests of a large limit some dozen calls, and concurrency makes them no
    more; of a small limit every request that may be admitted is a call."""

    async def go() -> None:
        async with connected(server) as redis:
            large = RedisLimiter(redis, LARGE, SystemClock(), LimitCounts())
            for _ in range(50):
                answers = await asyncio.gather(*(large.ask(ALICE, 1) for _ in range(200)))
                assert all(answer.admitted for answer in answers)
            assert redis.scripts < 100
            redis.scripts = 0
            small = RedisLimiter(redis, SLOW, SystemClock(), LimitCounts())
            for _ in range(20):
                await small.ask(ALICE, 1)
            assert redis.scripts == 20

    run(go())


def test_refusals_are_repeated_without_asking(server: Valkey) -> None:
    """A caller who hammers after a refusal costs at most some ten calls a second."""

    async def go() -> None:
        async with connected(server) as redis:
            small = RedisLimiter(redis, SLOW, SystemClock(), LimitCounts())
            await small.ask(ALICE, 20)
            started = time.monotonic()
            for _ in range(2000):
                assert not (await small.ask(ALICE, 1)).admitted
            assert redis.scripts <= 3 + 10 * (time.monotonic() - started)

    run(go())
