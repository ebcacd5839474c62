"""What callers of a token source see, in a process and over Redis, on clocks that a test moves."""

import asyncio
import time

import pytest

from farmlokal.errors import Unavailable
from farmlokal.oauth.upstream import TokenSource, UpstreamToken
from farmlokal.oauth.upstream.law import Timing
from farmlokal.oauth.upstream.source import WAITING
from tests.support.catalogue import run
from tests.support.clock import ManualClock
from tests.support.servers.valkey import Valkey
from tests.support.upstream import ScriptedProvider, eventually, sources

ADAPTERS = ["memory", "redis"]
TIMES = Timing()


async def value(source: TokenSource) -> str:
    """The token that a caller is given."""
    return (await source.get()).value


async def refused(source: TokenSource, rejected: UpstreamToken | None = None) -> int:
    """When a caller, who is refused, is told to come back."""
    with pytest.raises(Unavailable) as refusal:
        await (source.get() if rejected is None else source.replace(rejected))
    assert refusal.value.retry_after_s >= 1
    return refusal.value.retry_after_s


async def becomes(source: TokenSource, clock: ManualClock, expected: str) -> None:
    """Ask once a second until the caller is given this token."""
    deadline = time.monotonic() + 30
    while await value(source) != expected:
        assert time.monotonic() < deadline, f"never given {expected}"
        clock.advance(1)
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_many_callers_are_one_call(adapter: str, clock: ManualClock, valkey: Valkey) -> None:
    """However many ask at once, in however many instances, the provider is called once, and all have the same
    token."""

    async def go() -> None:
        provider = ScriptedProvider()
        async with sources(adapter, provider, [clock] * 3, valkey, clock) as instances:
            values = await asyncio.gather(*(value(instances[at % 3]) for at in range(300)))
            assert set(values) == {"token-1"}
            assert provider.calls == 1

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_nobody_waits_for_an_early_refresh(adapter: str, clock: ManualClock, valkey: Valkey) -> None:
    """When its end comes near, one caller's process fetches the next token, once for all instances, while
    everyone is given the old one without waiting; then all have the new one."""

    async def go() -> None:
        provider = ScriptedProvider()
        async with sources(adapter, provider, [clock] * 2, valkey, clock) as instances:
            assert [await value(each) for each in instances] == ["token-1"] * 2
            clock.advance(3600 - 331)  # before the window, however it is jittered
            assert [await value(each) for each in instances] == ["token-1"] * 2
            assert provider.calls == 1
            provider.answering.clear()
            clock.advance(62)  # within it
            assert await value(instances[0]) == "token-1"
            await eventually(lambda: provider.calls == 2)
            assert [await value(each) for each in instances * 50] == ["token-1"] * 100
            provider.answering.set()
            for each in instances:
                await becomes(each, clock, "token-2")
            assert provider.calls == 2

    run(go())


def test_a_caller_who_leaves_takes_nothing_along(clock: ManualClock, valkey: Valkey) -> None:
    """The first of many callers may hang up while the provider thinks: the others are answered all the
    same."""

    async def go() -> None:
        provider = ScriptedProvider()
        provider.answering.clear()
        async with sources("redis", provider, [clock], valkey, clock) as [source]:
            callers = [asyncio.ensure_future(value(source)) for _ in range(10)]
            await eventually(lambda: provider.calls == 1)
            callers[0].cancel()
            provider.answering.set()
            assert await asyncio.gather(*callers[1:]) == ["token-1"] * 9
            assert callers[0].cancelled()

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_provider_that_fails_early_is_not_noticed(adapter: str, clock: ManualClock, valkey: Valkey) -> None:
    """While a token is good, a provider that fails for a minute is called ten times at most and costs
    nobody an answer; once it is over everyone hears when to come back, and soon after the provider is well
    all is."""

    async def go() -> None:
        provider = ScriptedProvider()
        async with sources(adapter, provider, [clock] * 2, valkey, clock) as instances:
            await asyncio.gather(*map(value, instances))
            clock.advance(3600 - 200)
            provider.failure = "status 500"
            begun_s = clock.lived_s()
            while clock.lived_s() < begun_s + 60:
                assert [await value(each) for each in instances] == ["token-1"] * 2
                await asyncio.sleep(0.001)  # for what is under way in the background
                clock.advance(0.1)
            assert 5 <= provider.calls - 1 <= 10
            clock.advance(140)
            calls = provider.calls
            for at in range(100):
                assert await refused(instances[at % 2]) <= 12
            assert provider.calls <= calls + 1
            provider.failure = None
            clock.advance(12)
            assert {await value(each) for each in instances} == {f"token-{provider.calls}"}

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("life_s", [1, 5, 29])
def test_tokens_that_live_too_short(adapter: str, life_s: int, clock: ManualClock, valkey: Valkey) -> None:
    """A provider whose tokens live for less than 30 s serves nobody who needs 30, and is called once a
    second at most, however many ask."""

    async def go() -> None:
        provider = ScriptedProvider(life_s)
        async with sources(adapter, provider, [clock] * 2, valkey, clock) as instances:
            for at in range(600):
                await refused(instances[at % 2])
                clock.advance(0.1)
            assert 2 <= provider.calls <= 61
            token = await instances[0].get(least_s=0.4)
            assert 0.4 <= token.left_s(clock.lived_s()) <= life_s

    run(go())


@pytest.mark.parametrize("life_s", [31, 40, 60, 100, 1000, 86_400])
def test_tokens_that_live_long_enough(life_s: int, clock: ManualClock, valkey: Valkey) -> None:
    """Whatever life longer than 30 s tokens have, who asks for 30 s of life has them, and the provider is
    called no more than once a second, and not before the last fifth of a life where that is enough."""

    async def go() -> None:
        provider = ScriptedProvider(life_s)
        async with sources("memory", provider, [clock], valkey, clock) as [source]:
            step = life_s / 200
            for _ in range(1000):
                token = await source.get()
                assert token.left_s(clock.lived_s()) >= 30
                await asyncio.sleep(0)
                clock.advance(step)
            used_s = 5 * life_s / (provider.calls - 1)
            early_s = min(life_s / 5, 300)
            assert used_s >= max(1, life_s - max(early_s * 1.1, 30 + early_s * 0.55) - 2 * step) * 0.8

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_two_hundred_rejections_are_one_refresh(adapter: str, clock: ManualClock, valkey: Valkey) -> None:
    """However many callers see a token rejected, and in however many instances, one call replaces it; when
    its successor is rejected, too, nobody is called for a while."""

    async def go() -> None:
        provider = ScriptedProvider()
        async with sources(adapter, provider, [clock] * 2, valkey, clock) as instances:
            tokens = [await each.get() for each in instances]
            storm = (instances[at % 2].replace(tokens[at % 2]) for at in range(200))
            assert {token.value for token in await asyncio.gather(*storm)} == {"token-2"}
            assert {await value(each) for each in instances} == {"token-2"}
            second = await instances[0].get()
            for at in range(200):
                await refused(instances[at % 2], second)
            assert provider.calls == 2
            clock.advance(TIMES.refused_s)
            assert (await instances[1].replace(second)).value == "token-3"

    run(go())


def test_a_rejection_that_comes_late_is_answered(clock: ManualClock, valkey: Valkey) -> None:
    """Who was refused with a token that has been replaced meanwhile is given its successor, without a
    call."""

    async def go() -> None:
        provider = ScriptedProvider()
        async with sources("redis", provider, [clock] * 2, valkey, clock) as (one, other):
            old, same = await one.get(), await other.get()
            await one.replace(old)
            assert (await one.replace(old)).value == "token-2"
            assert await value(other) == "token-1"
            assert (await other.replace(same)).value == "token-2"
            assert provider.calls == 2

    run(go())


def test_a_provider_that_gives_the_rejected_token_again(clock: ManualClock, valkey: Valkey) -> None:
    """A provider that has nothing but the rejected token is not asked again and again: whoever needs
    another one is refused, and who does not know better is given it while it lives."""

    async def go() -> None:
        provider = ScriptedProvider()
        provider.always = "the only one"
        async with sources("redis", provider, [clock], valkey, clock) as [source]:
            token = await source.get()
            for _ in range(100):
                await refused(source, token)
                clock.advance(0.1)
            assert provider.calls <= 6
            assert await value(source) == "the only one"

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_life_begins_before_the_request(adapter: str, clock: ManualClock, valkey: Valkey) -> None:
    """However long the answer takes, and whoever adopts it, the life of a token is counted from before it was
    asked for."""

    async def go() -> None:
        provider = ScriptedProvider()
        provider.meanwhile = lambda: clock.advance(4)
        async with sources(adapter, provider, [clock] * 2, valkey, clock) as instances:
            for each in instances:
                assert (await each.get()).left_s(clock.lived_s()) == pytest.approx(3596, abs=0.01)

    run(go())


def test_who_slept_through_its_right_does_not_call(clock: ManualClock, valkey: Valkey) -> None:
    """A process that was asleep between the right to call and the call leaves it: the right may be
    another's."""

    class Sleepy(ManualClock):
        asleep_at = -1

        def lived_s(self) -> float:
            self.asleep_at -= 1
            if self.asleep_at == 0:
                self.advance(3600)
            return super().lived_s()

    async def go() -> None:
        for moment in range(2, 8):
            provider, sleepy = ScriptedProvider(), Sleepy()
            async with sources("redis", provider, [sleepy], valkey, clock) as [source]:
                sleepy.asleep_at = moment
                try:
                    token = await source.get()
                except Unavailable:
                    continue
                assert token.left_s(sleepy.lived_s()) >= 30

    run(go())


class SetClock(ManualClock):
    """A clock whose time of day is wrong by `off_s`; what is never set goes on."""

    off_s = 0.0

    def now_us(self) -> int:
        return super().now_us() + round(self.off_s * 1_000_000)

    def monotonic_s(self) -> float:
        return super().now_us() / 1_000_000


def test_an_instance_whose_clock_is_set(clock: ManualClock, valkey: Valkey) -> None:
    """A time of day that jumps by an hour, forth or back, in one instance, makes no call and no token
    older."""

    async def go() -> None:
        provider, wrong = ScriptedProvider(), SetClock()
        async with sources("redis", provider, [wrong, clock], valkey, clock) as (one, other):
            for wrong.off_s in (0, 3600, -3600, 86_400):
                for instance, at in ((one, wrong), (other, clock)):
                    token = await instance.get()
                    assert token.value == "token-1"
                    assert token.left_s(at.lived_s()) == pytest.approx(3600, abs=0.01)
            assert provider.calls == 1

    run(go())


@pytest.mark.parametrize("back_s", [10, 3600, 1_000_000])
def test_a_redis_whose_clock_is_set_back(back_s: int, clock: ManualClock, valkey: Valkey) -> None:
    """When the clock of Redis is set back, the token there is given to nobody as if it were younger, and
    no lock stays for longer than a lock lives: it costs a call."""

    async def go() -> None:
        provider, redis = ScriptedProvider(), ManualClock()
        async with sources("redis", provider, [clock] * 2, valkey, redis) as (one, other):
            assert await value(one) == "token-1"
            redis.advance(-back_s)
            assert (await other.get()).left_s(clock.lived_s()) <= 3600
            assert await value(one) == "token-1"
            assert provider.calls == 2

    run(go())


def test_the_hall_is_not_endless(clock: ManualClock, valkey: Valkey) -> None:
    """While the provider thinks, so many callers wait in a process; those beyond are refused at once."""

    async def go() -> None:
        provider = ScriptedProvider()
        provider.answering.clear()
        async with sources("memory", provider, [clock], valkey, clock) as [source]:
            waiting = [asyncio.ensure_future(value(source)) for _ in range(WAITING)]
            await eventually(lambda: provider.calls == 1)
            assert await refused(source) == 1
            provider.answering.set()
            assert set(await asyncio.gather(*waiting)) == {"token-1"}

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_who_is_shut_down_lets_the_others_know(adapter: str, clock: ManualClock, valkey: Valkey) -> None:
    """An instance that is closed while it calls gives its right back: the others need not wait for its
    end."""

    async def go() -> None:
        provider = ScriptedProvider()
        provider.answering.clear()
        async with sources(adapter, provider, [clock] * 2, valkey, clock) as (one, other):
            waiting = asyncio.ensure_future(value(one))
            await eventually(lambda: provider.calls == 1)
            await one.close()
            await asyncio.gather(waiting, return_exceptions=True)
            provider.answering.set()
            assert await value(other) == "token-2"

    run(go())
