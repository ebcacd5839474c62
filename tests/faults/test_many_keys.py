"""However many keys Redis holds, no command of ours takes it long, and what we leave there ends."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from farmlokal.platform.clock import SystemClock
from farmlokal.platform.metrics import LimitCounts
from farmlokal.platform.rate_limit import Caller, Policy, RedisLimiter
from farmlokal.platform.redis import RedisConnections
from tests.faults.processes import wait_until
from tests.support.cache import Source, instances, key
from tests.support.catalogue import run
from tests.support.servers.valkey import PATIENT_S, Valkey

KEYS = int(os.environ.get("FARMLOKAL_TEST_KEYS", "100000"))
"""`make keys` fills in a million."""

CALLERS = int(os.environ.get("FARMLOKAL_TEST_CALLERS", "3000"))
"""`make keys` has a million."""

SLOW_US = 10_000
"""A command that takes longer holds up everybody else's."""

ROUNDS = 10
"""One of so many has no slow command: a busy machine makes some slow, and nothing makes a slow one quick."""

FILL = """
for n = ARGV[1], ARGV[2] do
  redis.call('SET', 'farmlokal:cache:{' .. n .. '}', string.rep('x', 100), 'PX', 3600000 + n)
end
"""
QUICK = Policy("quick", 100, 1, 20)


def fill(server: Valkey) -> None:
    """Entries of others, all with a time to live."""
    for first in range(0, KEYS, 1000):
        server.ask("EVAL", FILL, 0, first, first + 999)
    assert server.ask("DBSIZE") == KEYS


@asynccontextmanager
async def connected(server: Valkey) -> AsyncIterator[RedisConnections]:
    """Open connections."""
    connections = RedisConnections(server.url, SystemClock(), PATIENT_S)
    await connections.open()
    try:
        yield connections
    finally:
        await connections.close()


async def ask_of(limiter: RedisLimiter, callers: int) -> None:
    """One request of each of so many callers, some at a time."""
    for first in range(0, callers, 200):
        names = (str(number) for number in range(first, min(first + 200, callers)))
        await asyncio.gather(*(limiter.ask(Caller("address", name), 1) for name in names))


def slow(server: Valkey) -> list[str]:
    """The commands that took too long since the last look."""
    found = server.ask("SLOWLOG", "GET", -1)
    server.ask("SLOWLOG", "RESET")
    return [f"{took_us} us: {words[0].decode()} {words[1][:40]!r}" for _, _, took_us, words, *_ in found]


def test_no_command_takes_long() -> None:
    """Among a million keys, with no memory left for more, lists are looked up, loaded and overtaken by
    writes, and callers limited, with no command over 10 ms."""

    async def work(server: Valkey) -> list[str]:
        source, counts = Source(), LimitCounts()
        async with (
            instances("redis", server, source, SystemClock()) as start,
            connected(server) as connections,
        ):
            here, there = await start(), await start()
            limiter = RedisLimiter(connections, QUICK, SystemClock(), counts)
            found: list[str] = []
            for number in range(ROUNDS):
                for instance in (here, there, here):
                    for name in random.sample(range(200), 100):
                        await instance.cache.get_or_load(key(str(name)), source.load)
                    source.write(f"after {number}")
                    await here.generations.refresh()
                await ask_of(limiter, 200)
                if not (found := slow(server)):
                    break
            assert counts.by_fallback == here.counts.by_name["errors"] == there.counts.by_name["errors"] == 0
        return found

    with Valkey({"maxmemory-policy": "allkeys-lru", "slowlog-log-slower-than": SLOW_US}) as server:
        fill(server)
        server.ask("CONFIG", "SET", "maxmemory", server.ask("INFO", "memory")["used_memory"])
        slow(server)
        assert run(work(server), 600) == []


def test_callers_leave_nothing_behind(valkey: Valkey) -> None:
    """A million callers who never return are gone from Redis when their quotas are whole."""

    async def work() -> None:
        async with connected(valkey) as connections:
            counts = LimitCounts()
            await ask_of(RedisLimiter(connections, QUICK, SystemClock(), counts), CALLERS)
            assert counts.by_fallback == 0

    run(work(), 3600)
    # The probe's key may be there for some seconds more.
    wait_until(lambda: valkey.ask("DBSIZE") <= 1, "all keys have ended")
