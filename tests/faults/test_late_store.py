"""A store that Redis gets late, when its sender has long given up: readers see what was written meanwhile."""

import asyncio

import pytest

from farmlokal.platform.cache import CacheCounts, Generations, Outcome, RedisCache
from farmlokal.platform.cache.shared import LEASE_S
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.redis import RedisConnections
from tests.faults.processes import wait_until
from tests.faults.proxy import Proxy
from tests.support.cache import NAMESPACE, Source, Start, TextCodec, instances, key, loading
from tests.support.catalogue import run
from tests.support.servers.valkey import Valkey

LATE_S = LEASE_S + 1
"""Longer than a lease lasts: by then another may have loaded."""


def scripts(server: Valkey) -> int:
    """How many scripts the server has run to their end."""
    facts = server.ask("INFO", "commandstats")["cmdstat_evalsha"]
    return int(facts["calls"] - facts["failed_calls"])


def entries(server: Valkey) -> int:
    """How many values are stored."""
    return len(server.ask("KEYS", "farmlokal:cache:*"))


@pytest.mark.parametrize("read_meanwhile", [True, False], ids=["after another", "before another"])
def test_a_late_store_is_not_seen(valkey: Valkey, *, read_meanwhile: bool) -> None:
    """A value that was loaded before a write, and reaches Redis two seconds after it, is served to nobody:
    neither where a newer one is there by then, nor where it is the first."""

    async def go(proxy: Proxy) -> None:
        source, clock = Source(), SystemClock()
        slow = RedisConnections(valkey.url_at(proxy.port), clock)
        generations = Generations(source.read_generation, clock)
        leader = RedisCache(slow, NAMESPACE, generations, TextCodec(), clock, CacheCounts())
        async with instances("redis", valkey, source, clock) as start:
            await slow.open()
            await leader.open()
            try:
                # Scripts are known by then: one that is not would be sent again, by nobody.
                await leader.get_or_load(key("first"), source.load)
                valkey.ask("FLUSHDB")
                source.gate.clear()
                leading = asyncio.create_task(leader.get_or_load(key(), source.load))
                await loading(source, 2)
                proxy.delay(to_server_s=LATE_S)
                source.gate.set()
                assert (await leading).value == "one"
                assert entries(valkey) == 0
                source.write("two")
                await check(start, source)
            finally:
                proxy.delay()
                await leader.close()
                await slow.close()

    async def check(start: Start, source: Source) -> None:
        if read_meanwhile:
            assert (await (await start()).cache.get_or_load(key(), source.load)).value == "two"
            assert entries(valkey) == 1
            before = scripts(valkey)
            await asyncio.to_thread(wait_until, lambda: scripts(valkey) > before, "it lands")
        else:
            await asyncio.to_thread(wait_until, lambda: entries(valkey) == 1, "it lands")
        for outcome in (Outcome.HIT, Outcome.HIT) if read_meanwhile else (Outcome.MISS, Outcome.HIT):
            assert await (await start()).cache.get_or_load(key(), source.load) == ("two", outcome)

    with Proxy(valkey.port) as proxy:
        run(go(proxy), 60)
