"""The contract of a cache: one suite for the one in the process and for the one behind Redis."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from farmlokal.errors import NotFound, Unavailable
from farmlokal.platform.cache import Cache, Loaded, Outcome
from farmlokal.platform.cache.generations import UNPOLLED_S, VISIBLE_S
from farmlokal.platform.cache.memory import EMPTY_FRESH_S, FRESH_S, GRACE_S, JITTER
from tests.support.cache import Source, Start, instances, key, loading
from tests.support.catalogue import run
from tests.support.clock import ManualClock
from tests.support.servers.valkey import Valkey


@pytest.fixture
def server(valkey: Valkey) -> Valkey:
    """Empty, and well."""
    return valkey


@pytest.fixture(params=["memory", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the two."""
    return str(request.param)


LEFT_MS = """
local left = {}
for _, key in ipairs(redis.call('KEYS', 'farmlokal:cache:*')) do left[#left + 1] = redis.call('PTTL', key) end
return left
"""

Work = Callable[[Start, Source, ManualClock], Awaitable[None]]


def on(kind: str, server: Valkey, work: Work) -> None:
    """Run the work with an opener of instances, a source and a clock that only the test moves."""

    async def go() -> None:
        source, clock = Source(), ManualClock()
        async with instances(kind, server, source, clock) as start:
            await work(start, source, clock)

    run(go())


async def settle(cache: Cache[str], source: Source, outcome: Outcome) -> str:
    """Look the key up until the outcome is this one; the value that came with it."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = await cache.get_or_load(key(), source.load)
        if found.outcome is outcome:
            return found.value
        await asyncio.sleep(0.005)
    raise AssertionError(f"never a {outcome}")


def test_a_value_is_loaded_once(kind: str, server: Valkey) -> None:
    """The first lookup is a miss, the next is a hit with the same value, and other keys have other values."""

    async def work(start: Start, source: Source, _clock: ManualClock) -> None:
        cache = (await start()).cache
        assert await cache.get_or_load(key(), source.load) == ("one", Outcome.MISS)
        assert await cache.get_or_load(key(), source.load) == ("one", Outcome.HIT)
        source.value = "two"
        assert await cache.get_or_load(key("other"), source.load) == ("two", Outcome.MISS)
        assert source.loads == 2

    on(kind, server, work)


def test_a_write_is_seen_after_a_poll(kind: str, server: Valkey) -> None:
    """Once the generation has moved, the old value is served while the new one is loaded, then no more."""

    async def work(start: Start, source: Source, _clock: ManualClock) -> None:
        here = await start()
        await here.cache.get_or_load(key(), source.load)
        source.write("two")
        assert await here.cache.get_or_load(key(), source.load) == ("one", Outcome.HIT), "not polled yet"
        await here.generations.refresh()
        assert await here.cache.get_or_load(key(), source.load) == ("one", Outcome.STALE)
        assert await settle(here.cache, source, Outcome.HIT) == "two"
        assert source.loads == 2

    on(kind, server, work)


def test_an_overtaken_value_is_not_served_past_the_promise(kind: str, server: Valkey) -> None:
    """A value that a write has overtaken is not served, even as stale, when the promised second ends."""

    async def work(start: Start, source: Source, clock: ManualClock) -> None:
        here = await start()
        await here.cache.get_or_load(key(), source.load)
        source.write("two")
        clock.advance(VISIBLE_S + 0.01)
        await here.generations.refresh()
        assert await here.cache.get_or_load(key(), source.load) == ("two", Outcome.MISS)

    on(kind, server, work)


def test_a_late_store_of_an_old_value_is_never_served(kind: str, server: Valkey) -> None:
    """A value that was read before a write and comes after it is not kept, however late it comes."""

    async def work(start: Start, source: Source, clock: ManualClock) -> None:
        here, there = await start(), await start()
        source.gate.clear()
        slow = asyncio.create_task(here.cache.get_or_load(key(), source.load))
        await loading(source, 1)
        source.write("two")
        clock.advance(VISIBLE_S + 3)  # its lease is over, too
        for instance in (here, there):
            await instance.generations.refresh()
        fast = asyncio.create_task(there.cache.get_or_load(key(), source.load))
        await loading(source, 2)
        source.gate.set()
        assert (await fast).value == "two"
        assert (await slow).value == "one", "its caller asked before the write"
        for instance in (here, there):
            assert (await instance.cache.get_or_load(key(), source.load)).value == "two"

    on(kind, server, work)


def test_nobody_who_knows_of_a_write_joins_an_older_load(kind: str, server: Valkey) -> None:
    """A load that began before a write is not shared with callers who come after the poll that saw it."""

    async def work(start: Start, source: Source, _clock: ManualClock) -> None:
        here = await start()
        source.gate.clear()
        early = asyncio.create_task(here.cache.get_or_load(key(), source.load))
        await loading(source, 1)
        source.write("two")
        await here.generations.refresh()
        late = asyncio.create_task(here.cache.get_or_load(key(), source.load))
        await asyncio.sleep(0)
        source.gate.set()
        assert ((await early).value, (await late).value) == ("one", "two")

    on(kind, server, work)


def test_many_callers_of_one_key_load_once(kind: str, server: Valkey) -> None:
    """Two hundred lookups at once are one load: one is the miss, the others are coalesced."""

    async def work(start: Start, source: Source, _clock: ManualClock) -> None:
        cache = (await start()).cache
        found = await asyncio.gather(*(cache.get_or_load(key(), source.load) for _ in range(200)))
        assert source.loads == 1
        assert sorted(each.outcome for each in found) == [Outcome.COALESCED] * 199 + [Outcome.MISS]

    on(kind, server, work)


def test_a_caller_who_leaves_takes_nothing_along(kind: str, server: Valkey) -> None:
    """When the first caller is cancelled, the others still get the value, of the one load there is."""

    async def work(start: Start, source: Source, _clock: ManualClock) -> None:
        cache = (await start()).cache
        source.gate.clear()
        first = asyncio.create_task(cache.get_or_load(key(), source.load))
        await asyncio.sleep(0)
        others = [asyncio.create_task(cache.get_or_load(key(), source.load)) for _ in range(5)]
        await loading(source, 1)
        first.cancel()
        await asyncio.sleep(0)
        source.gate.set()
        assert [(await other).value for other in others] == ["one"] * 5
        assert source.loads == 1

    on(kind, server, work)


def test_an_error_is_shared_and_not_kept(kind: str, server: Valkey) -> None:
    """All who wait get the error; who comes after it asks again."""

    async def work(start: Start, source: Source, _clock: ManualClock) -> None:
        cache = (await start()).cache

        async def fails() -> Loaded[str]:
            source.loads += 1
            raise NotFound("none")

        outcomes = await asyncio.gather(
            *(cache.get_or_load(key(), fails) for _ in range(20)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [NotFound] * 20
        assert source.loads == 1
        assert await cache.get_or_load(key(), source.load) == ("one", Outcome.MISS)

    on(kind, server, work)


def test_a_value_is_loaded_anew_in_the_background_when_it_is_old(kind: str, server: Valkey) -> None:
    """Past its freshness a value is served once more while it is loaded anew, past its grace never."""

    async def work(start: Start, source: Source, clock: ManualClock) -> None:
        here = await start()
        await here.cache.get_or_load(key(), source.load)
        source.value = "two"  # written past us: no generation
        clock.advance(FRESH_S * (1 + JITTER))
        await here.generations.refresh()
        server.ask("FLUSHALL")  # its clock cannot be moved
        assert await here.cache.get_or_load(key(), source.load) == ("one", Outcome.STALE)
        assert await settle(here.cache, source, Outcome.HIT) == "two"
        source.value = "three"
        clock.advance(FRESH_S * (1 + JITTER) + GRACE_S)
        await here.generations.refresh()
        server.ask("FLUSHALL")
        assert await here.cache.get_or_load(key(), source.load) == ("three", Outcome.MISS)

    on(kind, server, work)


def test_an_old_value_of_a_hot_key_blocks_nobody(kind: str, server: Valkey) -> None:
    """However long it takes to load it anew, everybody is answered at once meanwhile, at every instance; and
    one of the instances loads it, or where they share no Redis each of them once."""

    async def work(start: Start, source: Source, clock: ManualClock) -> None:
        both = [await start(), await start()]
        for each in both:
            await each.cache.get_or_load(key(), source.load)
        before = source.loads
        source.value = "two"  # written past us: no generation
        clock.advance(FRESH_S * (1 + JITTER))
        for each in both:
            await each.generations.refresh()
        server.ask("FLUSHALL")  # its clock cannot be moved
        source.gate.clear()
        found = await asyncio.gather(
            *(each.cache.get_or_load(key(), source.load) for _ in range(500) for each in both)
        )
        assert set(found) == {("one", Outcome.STALE)}
        await loading(source, before + (1 if kind == "redis" else 2))
        source.gate.set()
        for each in both:
            assert await settle(each.cache, source, Outcome.HIT) == "two"
        assert source.loads == before + (1 if kind == "redis" else 2)

    on(kind, server, work)


def test_an_empty_result_is_kept_for_seconds(kind: str, server: Valkey) -> None:
    """An empty result is a hit for at least five seconds and is loaded anew before thirty."""
    assert EMPTY_FRESH_S * (1 - JITTER) >= 5
    assert EMPTY_FRESH_S * (1 + JITTER) + GRACE_S <= 30

    async def work(start: Start, source: Source, clock: ManualClock) -> None:
        here = await start()
        source.value = ""
        await here.cache.get_or_load(key(), source.load)
        for seconds, outcome in ((5, Outcome.HIT), (4, Outcome.STALE)):
            clock.advance(seconds)
            await here.generations.refresh()
            assert (await here.cache.get_or_load(key(), source.load)).outcome is outcome

    on(kind, server, work)


def test_values_loaded_together_do_not_age_together(kind: str, server: Valkey) -> None:
    """The freshness of a thousand values filled at once is spread over a tenth of it, both ways."""

    async def work(start: Start, source: Source, clock: ManualClock) -> None:
        here = await start()
        for number in range(1000):
            await here.cache.get_or_load(key(str(number)), source.load)
        if kind == "redis":
            left = sorted(server.ask("EVAL", LEFT_MS, "0"))
            assert len(left) == 1000
            assert left[0] > 0
            assert left[900] - left[100] > 1.4 * JITTER * FRESH_S * 1000
        clock.advance(FRESH_S)
        await here.generations.refresh()
        before = here.counts.by_name[Outcome.HIT]
        for number in range(1000):
            await here.cache.get_or_load(key(str(number)), source.load)
        assert 300 < here.counts.by_name[Outcome.HIT] - before < 700, "about half are still fresh"

    on(kind, server, work)


def test_values_are_served_for_a_while_when_the_source_is_away(kind: str, server: Valkey) -> None:
    """When the generation cannot be asked, values are served as stale for a stated time; then the source
    decides, and its error is what the caller gets."""

    async def work(start: Start, source: Source, clock: ManualClock) -> None:
        here = await start()
        await here.cache.get_or_load(key(), source.load)
        source.away = True
        clock.advance(VISIBLE_S + 0.01)
        assert await here.cache.get_or_load(key(), source.load) == ("one", Outcome.STALE)
        clock.advance(UNPOLLED_S)
        with pytest.raises(Unavailable):
            await here.cache.get_or_load(key(), source.load)
        source.away = False
        assert await here.cache.get_or_load(key(), source.load) == ("one", Outcome.MISS)

    on(kind, server, work)


def test_nothing_is_kept_whose_generation_is_not_known(kind: str, server: Valkey) -> None:
    """While the generation cannot be asked and values can be loaded, each lookup loads and none is kept."""

    async def work(start: Start, source: Source, clock: ManualClock) -> None:
        here = await start()
        clock.advance(VISIBLE_S + UNPOLLED_S)
        source.away = True  # for the poll that may come meanwhile

        async def load() -> Loaded[str]:
            source.loads += 1
            return Loaded("loaded")

        for _ in range(3):
            assert await here.cache.get_or_load(key(), load) == ("loaded", Outcome.MISS)
        assert source.loads == 3

    on(kind, server, work)


def test_what_is_read_at_another_server_is_not_kept(kind: str, server: Valkey) -> None:
    """When reads move to another server, whose generation may be another, what was loaded there is not kept
    under the number of this one: not when they move before a load, nor in its midst, nor amidst a poll."""

    async def work(start: Start, source: Source, _clock: ManualClock) -> None:
        here = await start()

        async def load() -> Loaded[str]:
            return Loaded(source.value)

        async def move() -> Loaded[str]:
            source.place += 1
            return Loaded(source.value)

        source.away = True  # for the polls that may come meanwhile
        for value in ("older", "older still"):
            source.place += value == "older"
            source.value = value
            assert await here.cache.get_or_load(key(), load) == (value, Outcome.MISS)
        source.away = False
        await here.generations.refresh()
        source.away = True
        assert (await here.cache.get_or_load(key(), move)).outcome is Outcome.MISS
        assert (await here.cache.get_or_load(key(), load)).outcome is Outcome.MISS
        source.away = False
        await here.generations.refresh()
        for outcome in (Outcome.MISS, Outcome.HIT):
            assert (await here.cache.get_or_load(key(), load)).outcome is outcome

    on(kind, server, work)


def test_a_restored_database_is_believed(kind: str, server: Valkey) -> None:
    """A generation that goes down is one, too: what was loaded under the greater one is served no more."""

    async def work(start: Start, source: Source, clock: ManualClock) -> None:
        source.generation = 9
        here = await start()
        await here.cache.get_or_load(key(), source.load)
        source.generation, source.value = 5, "restored"
        clock.advance(VISIBLE_S + 0.01)
        await here.generations.refresh()
        assert (await here.cache.get_or_load(key(), source.load)).value == "restored"
        assert await here.cache.get_or_load(key(), source.load) == ("restored", Outcome.HIT)

    on(kind, server, work)


def test_a_cache_that_closes_leaves_nobody_waiting(kind: str, server: Valkey) -> None:
    """At the shutdown what is being loaded is cancelled, and so are those who wait for it."""

    async def work(start: Start, source: Source, _clock: ManualClock) -> None:
        cache = (await start()).cache
        source.gate.clear()
        waiting = asyncio.create_task(cache.get_or_load(key(), source.load))
        await loading(source, 1)
        await cache.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    on(kind, server, work)
