"""The cache behind Redis: what instances share, and what they do when Redis holds nonsense or nothing."""

import asyncio
import os
import pickle
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from farmlokal.platform.cache import Loaded, Outcome
from farmlokal.platform.cache.shared import LEASE_S
from farmlokal.platform.clock import SystemClock
from tests.support.cache import Source, Start, instances, key, loading
from tests.support.catalogue import run
from tests.support.servers.valkey import Valkey


@pytest.fixture
def server(valkey: Valkey) -> Valkey:
    """Empty, and well."""
    return valkey


def on(server: Valkey, work: Callable[[Start, Source], Awaitable[None]]) -> None:
    """Run the work with instances on the machine's own clock."""

    async def go() -> None:
        source = Source()
        async with instances("redis", server, source, SystemClock()) as start:
            await work(start, source)

    run(go())


def names(server: Valkey, pattern: str) -> list[str]:
    """The keys of the server that look like this."""
    return [name.decode() for name in server.ask("KEYS", pattern)]


def entry(server: Valkey) -> str:
    """The one entry there is."""
    (name,) = names(server, "farmlokal:cache:*")
    return name


def test_instances_share_what_one_has_loaded(server: Valkey) -> None:
    """What one instance has loaded is a hit for the next."""

    async def work(start: Start, source: Source) -> None:
        here, there = await start(), await start()
        assert await here.cache.get_or_load(key(), source.load) == ("one", Outcome.MISS)
        assert await there.cache.get_or_load(key(), source.load) == ("one", Outcome.HIT)
        assert source.loads == 1

    on(server, work)


def test_two_hundred_misses_on_two_instances_are_one_load(server: Valkey) -> None:
    """However many ask two instances for one key at once, the source is asked once."""

    async def work(start: Start, source: Source) -> None:
        here, there = await start(), await start()
        source.gate.clear()
        asked = [
            asyncio.create_task(instance.cache.get_or_load(key(), source.load))
            for instance in (here, there)
            for _ in range(100)
        ]
        await loading(source, 1)
        asyncio.get_running_loop().call_later(0.2, source.gate.set)
        found = await asyncio.gather(*asked)
        assert source.loads == 1
        assert [each.value for each in found] == ["one"] * 200
        assert [each.outcome for each in found].count(Outcome.MISS) == 1

    on(server, work)


def test_a_loader_that_dies_is_waited_for_no_longer_than_its_lease(server: Valkey) -> None:
    """When whoever holds the lease never stores anything, the waiters load themselves once it has ended."""

    async def work(start: Start, source: Source) -> None:
        instance = await start()
        await instance.cache.get_or_load(key(), source.load)
        lease = entry(server).replace("cache:", "lease:")
        server.ask("FLUSHALL")
        other, began = await start(), time.monotonic()
        server.ask("SET", lease, "the dead one", "PX", str(int(LEASE_S * 1000)))
        found = await asyncio.gather(*(other.cache.get_or_load(key(), source.load) for _ in range(50)))
        assert LEASE_S - 0.1 < time.monotonic() - began < 3 * LEASE_S
        assert [each.value for each in found] == ["one"] * 50
        assert source.loads == 2

    on(server, work)


def test_a_loader_that_fails_hands_its_lease_over_at_once(server: Valkey) -> None:
    """When a load fails or is cancelled, another instance that waits loads at once, not after the lease."""

    async def work(start: Start, source: Source) -> None:
        here, there = await start(), await start()
        source.gate.clear()
        first = asyncio.create_task(here.cache.get_or_load(key(), source.load))
        await loading(source, 1)
        waiting = asyncio.create_task(there.cache.get_or_load(key(), source.load))
        await asyncio.sleep(0)
        await here.cache.close()
        with pytest.raises(asyncio.CancelledError):
            await first
        began = time.monotonic()
        source.gate.set()
        assert (await waiting).value == "one"
        assert time.monotonic() - began < LEASE_S

    on(server, work)


class Canary:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def _garbage(good: bytes, folder: Path) -> dict[str, bytes]:
    return {
        "nothing": b"",
        "other": b"\xff" * 40,
        "truncated": good[:-1],
        "header only": good[:32],
        "one bit": good[:-1] + bytes([good[-1] ^ 1]),
        "other layout": b"FLC0" + good[4:],
        "greatest generation": good[:4] + b"9" * 20 + good[24:],
        "no generation": good[:4] + b"x" * 20 + good[24:],
        "pickle": pickle.dumps(Canary(folder / "canary")),
        "a pickle in our layout": good[:32] + pickle.dumps(Canary(folder / "canary")),
    }


def test_garbage_is_a_miss_and_is_repaired(server: Valkey, tmp_path: Path) -> None:
    """Whatever stands in a key, with a time to live or without: it is a miss, and overwritten."""

    async def work(start: Start, source: Source) -> None:
        await (await start()).cache.get_or_load(key(), source.load)
        name = entry(server)
        good = server.ask("GET", name)
        for what, garbage in _garbage(good, tmp_path).items():
            for ending in ((), ("PX", "60000")):
                server.ask("SET", name, garbage, *ending)
                found = await (await start()).cache.get_or_load(key(), source.load)
                assert found == ("one", Outcome.MISS), what
                assert (await (await start()).cache.get_or_load(key(), source.load)).outcome is Outcome.HIT
        for command in (("RPUSH", name, "x"), ("HSET", name, "x", "y")):
            server.ask("DEL", name)
            server.ask(*command)
            assert (await (await start()).cache.get_or_load(key(), source.load)).outcome is Outcome.MISS
            assert (await (await start()).cache.get_or_load(key(), source.load)).outcome is Outcome.HIT
        assert not (tmp_path / "canary").exists()

    on(server, work)


def test_garbage_in_a_lease_blocks_nobody(server: Valkey) -> None:
    """A lease that is none, of another type or without an end, is taken over."""

    async def work(start: Start, source: Source) -> None:
        await (await start()).cache.get_or_load(key(), source.load)
        name = entry(server)
        for command in ("SET {} x", "RPUSH {} x", "SET {} x PX 86400000"):
            server.ask("DEL", name)
            server.ask(*command.format(name.replace("cache:", "lease:")).split())
            began = time.monotonic()
            assert (await (await start()).cache.get_or_load(key(), source.load)).outcome is Outcome.MISS
            assert time.monotonic() - began < LEASE_S

    on(server, work)


def test_an_entry_of_another_key_is_a_miss(server: Valkey) -> None:
    """An entry that somebody has copied to another key is not served under that one."""

    async def work(start: Start, source: Source) -> None:
        instance = await start()
        await instance.cache.get_or_load(key("a"), source.load)
        first = entry(server)
        source.value = "two"
        await instance.cache.get_or_load(key("b"), source.load)
        second = next(name for name in names(server, "farmlokal:cache:*") if name != first)
        server.ask("COPY", first, second, "REPLACE")
        assert (await (await start()).cache.get_or_load(key("b"), source.load)).value == "two"

    on(server, work)


def test_a_late_store_does_not_replace_a_newer_entry(server: Valkey) -> None:
    """A loader that is overtaken by a write and by another loader leaves the newer entry where it is."""

    async def work(start: Start, source: Source) -> None:
        here, there = await start(), await start()
        source.gate.clear()
        slow = asyncio.create_task(here.cache.get_or_load(key(), source.load))
        await loading(source, 1)
        source.write("two")
        await there.generations.refresh()
        (lease,) = names(server, "farmlokal:lease:*")
        server.ask("DEL", lease)  # as when it has ended

        async def load() -> Loaded[str]:
            return Loaded(source.value)

        assert await there.cache.get_or_load(key(), load) == ("two", Outcome.MISS)
        source.gate.set()
        assert (await slow).value == "one"
        assert await (await start()).cache.get_or_load(key(), load) == ("two", Outcome.HIT)

    on(server, work)


def test_an_instance_that_polled_later_is_believed(server: Valkey) -> None:
    """An entry of a generation that this instance has not heard of yet makes it ask, and is a hit."""

    async def work(start: Start, source: Source) -> None:
        here, there = await start(), await start()
        source.write("two")
        await here.generations.refresh()
        await here.cache.get_or_load(key(), source.load)
        assert await there.cache.get_or_load(key(), source.load) == ("two", Outcome.HIT)

    on(server, work)


def test_entries_end_and_leases_are_given_back(server: Valkey) -> None:
    """Every entry has a time to live, no lease outlives its load, and keys say nothing of what they hold."""

    async def work(start: Start, source: Source) -> None:
        instance = await start()
        for number in range(50):
            await instance.cache.get_or_load(key(str(number)), source.load)
        found = names(server, "farmlokal:*")
        entries = [name for name in found if ":cache:" in name]
        assert len(entries) == 50
        assert not [name for name in found if ":lease:" in name]
        assert all(re.fullmatch(r"farmlokal:cache:\{[0-9a-f]{32}\}", name) for name in entries)
        assert all(0 < server.ask("PTTL", name) < 60_000 for name in entries)

    on(server, work)


def test_no_command_grows_with_the_number_of_keys(server: Valkey) -> None:
    """Neither looking up nor a write of the source makes Redis walk its keys."""

    async def work(start: Start, source: Source) -> None:
        instance = await start()
        server.ask("CONFIG", "RESETSTAT")
        for number in range(20):
            await instance.cache.get_or_load(key(str(number)), source.load)
        source.write("two")
        await instance.generations.refresh()
        for number in range(20):
            await instance.cache.get_or_load(key(str(number)), source.load)
        used = {name.removeprefix("cmdstat_") for name in server.ask("INFO", "commandstats")}
        assert "evalsha" in used
        assert not used & {"keys", "scan", "flushall", "flushdb", "del|pattern"}

    on(server, work)


def test_an_emptied_server_costs_a_load_and_no_error(server: Valkey) -> None:
    """FLUSHALL in the midst of it, scripts included: the next lookups load and go on."""

    async def work(start: Start, source: Source) -> None:
        here, there = await start(), await start()
        await here.cache.get_or_load(key(), source.load)
        server.ask("FLUSHALL")
        server.ask("SCRIPT", "FLUSH")
        assert await there.cache.get_or_load(key(), source.load) == ("one", Outcome.MISS)
        assert here.counts.by_name["errors"] == there.counts.by_name["errors"] == 0

    on(server, work)
