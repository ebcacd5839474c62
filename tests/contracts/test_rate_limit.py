"""What every limiter keeps: the law in every window, whatever comes and however many instances there are.

Time stands still until a test moves it, for the limiters and for the script inside a real Valkey.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmlokal.platform.metrics import LimitCounts
from farmlokal.platform.rate_limit import Caller, Decision, Limiter, MemoryLimiter, Policy, RedisLimiter
from farmlokal.platform.redis import RedisUnavailable, Script
from tests.support.catalogue import run
from tests.support.clock import ManualClock
from tests.support.dated import Dated
from tests.support.quota import Admitted, excess, most
from tests.support.servers.valkey import Valkey

SMALL = Policy("small", 100, 60, 20)
DEFAULT = Policy("default", 600, 60, 60)
LARGE = Policy("large", 60_000, 60, 4000)
ODD = Policy("odd", 7, 3, 50)
"""A unit lasts 428,571.43 microseconds."""

ADAPTERS = ["memory", "redis"]
INSTANCES = {"memory": 1, "redis": 3}
ALICE, BOB = Caller("address", "192.0.2.1"), Caller("address", "192.0.2.2")


class Unsteady(Dated):
    """Connections that a test takes away, as a network does, and gives back."""

    away = False
    loses_next = False
    """Whether the reply of the next call is lost, and that of none after it."""

    async def run_script(self, script: Script, keys: Sequence[str], args: Sequence[Any] = ()) -> Any:
        if self.away:
            raise RedisUnavailable("away")
        reply = await super().run_script(script, keys, args)
        if self.loses_next:
            self.loses_next = False
            raise RedisUnavailable("timeout")
        return reply


@pytest.fixture
def server(valkey: Valkey) -> Valkey:
    """Empty, and well."""
    return valkey


@asynccontextmanager
async def instances(
    adapter: str, policy: Policy, clock: ManualClock, server: Valkey
) -> AsyncIterator[list[Limiter]]:
    """As many limiters as share a quota: one in memory, three over one Valkey that holds nothing."""
    if adapter == "memory":
        yield [MemoryLimiter(policy, clock, LimitCounts())]
    else:
        async with connected(clock, server) as connections:
            yield [RedisLimiter(each, policy, clock, LimitCounts()) for each in connections]


@asynccontextmanager
async def connected(clock: ManualClock, server: Valkey) -> AsyncIterator[list[Unsteady]]:
    """The connections of three instances to one Valkey that holds nothing."""
    server.ask("FLUSHALL")
    async with AsyncExitStack() as stack:
        made: list[Unsteady] = []
        for _ in range(INSTANCES["redis"]):
            made.append(redis := Unsteady(server.url, clock))
            stack.push_async_callback(redis.close)
            await redis.open()
        yield made


async def ask(limiter: Limiter, cost: int) -> Decision:
    """The decision, as the server asks for it: first whether it can be had at once."""
    return limiter.ask_now(ALICE, cost) or await limiter.ask(ALICE, cost)


async def spend(limiters: list[Limiter], clock: ManualClock, units: int, cost: int = 1) -> int:
    """Units admitted of so many asked for at once."""
    answers = [await ask(limiters[at % len(limiters)], cost) for at in range(units // cost)]
    return sum(cost for answer in answers if answer.admitted)


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("policy", [SMALL, DEFAULT, LARGE, ODD], ids=lambda policy: policy.name)
def test_a_burst_is_admitted_and_no_more(
    adapter: str, policy: Policy, clock: ManualClock, server: Valkey
) -> None:
    """A caller who comes fresh may spend the whole burst at once, and the next request is refused."""

    async def go() -> None:
        async with instances(adapter, policy, clock, server) as limiters:
            assert await spend(limiters[:1], clock, policy.burst + 10) == policy.burst

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_no_edge_of_a_window_lets_twice_the_burst_pass(
    adapter: str, clock: ManualClock, server: Valkey
) -> None:
    """However a caller times two bursts around the turn of a minute, the second gets what has grown since."""

    async def go() -> None:
        async with instances(adapter, SMALL, clock, server) as limiters:
            clock.advance(59.9)
            assert await spend(limiters, clock, 40) == 20
            clock.advance(0.2)
            assert await spend(limiters, clock, 40) == 0
            clock.advance(1.0)
            assert await spend(limiters, clock, 40) == 2

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_refused_calls_do_not_lengthen_the_wait(adapter: str, clock: ManualClock, server: Valkey) -> None:
    """Who is told to wait, and asks all the same without end, is admitted when the wait is over."""

    async def go() -> None:
        async with instances(adapter, SMALL, clock, server) as limiters:
            await spend(limiters, clock, 20)
            told = await limiters[0].ask(ALICE, 5)
            assert (told.admitted, told.remaining, told.next_s, told.retry_s) == (False, 0, 1, 3)
            for _ in range(299):
                clock.advance(0.01)
                assert not (await limiters[0].ask(ALICE, 5)).admitted
            clock.advance(0.02)
            assert (await limiters[0].ask(ALICE, 5)).admitted

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_callers_do_not_share(adapter: str, clock: ManualClock, server: Valkey) -> None:
    """One caller's flood is not another's; nor are an address and a client of the same name one caller."""

    async def go() -> None:
        async with instances(adapter, SMALL, clock, server) as limiters:
            await spend(limiters, clock, 40)
            assert (await limiters[0].ask(BOB, 20)).admitted
            assert (await limiters[0].ask(Caller("client", ALICE.name), 20)).admitted

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_what_is_left_is_told(adapter: str, clock: ManualClock, server: Valkey) -> None:
    """Each decision tells the units that are left, never fewer than none, and the seconds until one more."""

    async def go() -> None:
        async with instances(adapter, SMALL, clock, server) as limiters:
            left = [(await limiters[0].ask(ALICE, 3)).remaining for _ in range(8)]
            assert left == [17, 14, 11, 8, 5, 2, 2, 2]
            clock.advance(3600)
            assert (await limiters[0].ask(ALICE, 1)).remaining == 19

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_charges_after_the_fact(adapter: str, clock: ManualClock, server: Valkey) -> None:
    """A charge takes what it says or what is left, and asking for nothing is refused once nothing is left."""

    async def go() -> None:
        async with instances(adapter, SMALL, clock, server) as limiters:
            for expected in (15, 10, 5):
                assert (await limiters[0].ask(ALICE, 0)).admitted
                assert (await limiters[-1].charge(ALICE, 5)).remaining == expected
            clock.advance(0.1)
            assert not (await limiters[-1].charge(ALICE, 50)).admitted
            clock.advance(0.1)
            refusal = await limiters[-1].ask(ALICE, 0)
            assert (refusal.admitted, refusal.remaining, refusal.retry_s) == (False, 0, 1)
            clock.advance(0.5)
            assert (await limiters[0].ask(ALICE, 0)).admitted
            assert (await limiters[0].ask(ALICE, 1)).admitted

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_price_beyond_the_burst_is_the_burst(adapter: str, clock: ManualClock, server: Valkey) -> None:
    """No request is too dear for ever: one that costs more than the burst costs the burst."""

    async def go() -> None:
        async with instances(adapter, SMALL, clock, server) as limiters:
            assert (await limiters[0].ask(ALICE, 1000)).admitted
            refusal = await limiters[0].ask(ALICE, 1000)
            assert (refusal.admitted, refusal.retry_s) == (False, 12)
            clock.advance(12)
            assert (await limiters[0].ask(ALICE, 1000)).admitted

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_many_at_once_are_decided_one_by_one(adapter: str, clock: ManualClock, server: Valkey) -> None:
    """A thousand requests of one caller that wait together spend the burst, no more and no less; those whose
    callers hang up meanwhile disturb nobody."""

    async def go() -> None:
        async with instances(adapter, SMALL, clock, server) as limiters:
            asked = [
                asyncio.ensure_future(limiters[at % len(limiters)].ask(ALICE, 1 + at % 2))
                for at in range(1000)
            ]
            await asyncio.sleep(0)
            for task in asked[500:]:
                task.cancel()
            answers = await asyncio.gather(*asked[:500])
            spent = sum(1 + at % 2 for at, answer in enumerate(answers) if answer.admitted)
            # In memory all were decided before anyone could hang up.
            assert 15 <= spent <= 20
            clock.advance(60)
            assert await spend(limiters[:1], clock, 30) == 20

    async def spend(limiters: list[Limiter], clock: ManualClock, units: int) -> int:
        return sum([(await limiters[0].ask(ALICE, 1)).admitted for _ in range(units)])

    run(go())


STEP = st.tuples(
    st.sampled_from([0, 0, 0, 1, 50, 999, 10_000, 50_001, 300_000, 999_999, 1_000_001, 7_000_000]),
    st.integers(0, 2),
    st.sampled_from([1, 1, 1, 2, 5, 40]),
    st.sampled_from([1, 1, 1, 3, 30]),
)
"""(microseconds that pass, who is asked, cost, how often): pauses, floods, hops between instances."""


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("policy", [SMALL, LARGE, ODD], ids=lambda policy: policy.name)
def test_the_law_in_every_window(adapter: str, policy: Policy, server: Valkey) -> None:
    """In every window of any history, what all instances admit costs at most burst + rate x T."""

    @given(steps=st.lists(STEP, max_size=60))
    @settings(max_examples=40 if adapter == "redis" else 200)
    def holds(steps: list[tuple[int, int, int, int]]) -> None:
        clock, events = ManualClock(), list[Admitted]()

        async def go() -> None:
            async with instances(adapter, policy, clock, server) as limiters:
                for pause_us, at, cost, times in steps:
                    clock.advance(pause_us / 1_000_000)
                    for _ in range(times):
                        answer = await ask(limiters[at % len(limiters)], cost)
                        assert 0 <= answer.remaining <= policy.burst
                        if answer.admitted:
                            events.append((clock.now_us(), min(cost, policy.burst)))

        run(go())
        assert excess(events, policy) <= 0

    holds()


@pytest.mark.parametrize("policy", [SMALL, LARGE, ODD], ids=lambda policy: policy.name)
def test_no_instance_admits_more_than_the_law_whatever_becomes_of_redis(
    policy: Policy, server: Valkey
) -> None:
    """However often Redis fails, comes back or loses everything, and for whom: what each instance admits
    keeps the law in every window, so all together admit instances x limit at most."""

    @given(steps=st.lists(st.tuples(st.sampled_from(["", "", "away", "back", "emptied"]), STEP), max_size=60))
    @settings(max_examples=40)
    def holds(steps: list[tuple[str, tuple[int, int, int, int]]]) -> None:
        clock = ManualClock()
        events: list[list[Admitted]] = [[] for _ in range(INSTANCES["redis"])]

        async def go() -> None:
            async with connected(clock, server) as connections:
                limiters = [RedisLimiter(each, policy, clock, LimitCounts()) for each in connections]
                for fate, (pause_us, at, cost, times) in steps:
                    if fate == "emptied":
                        server.ask("FLUSHALL")
                    elif fate:
                        connections[at].away = fate == "away"
                    clock.advance(pause_us / 1_000_000)
                    for _ in range(times):
                        if (await ask(limiters[at], cost)).admitted:
                            events[at].append((clock.now_us(), min(cost, policy.burst)))

        run(go())
        assert max(excess(each, policy) for each in events) <= 0

    holds()


def test_a_call_that_fails_by_itself_is_no_outage(clock: ManualClock, server: Valkey) -> None:
    """When now and then one reply of Redis is lost, the instances do not begin to limit alone: all together
    keep the law, and the caller loses what the lost calls spent and no more."""
    events: list[Admitted] = []

    async def go() -> int:
        lost = 0
        async with connected(clock, server) as connections:
            counts = LimitCounts()
            limiters = [RedisLimiter(each, SMALL, clock, counts) for each in connections]
            for at in range(6 * SMALL.burst):
                clock.advance(0.001)
                connections[at % 3].loses_next = at % 7 == 0
                if (await limiters[at % 3].ask(ALICE, 1)).admitted:
                    events.append((clock.now_us(), 1))
                lost += at % 7 == 0 and not connections[at % 3].loses_next
            assert counts.by_fallback == 0
        return lost

    lost = run(go())
    assert lost
    assert excess(events, SMALL) <= 0
    assert len(events) >= SMALL.burst - lost


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("policy", [SMALL, DEFAULT, LARGE], ids=lambda policy: policy.name)
def test_the_limit_can_be_used(adapter: str, policy: Policy, clock: ManualClock, server: Valkey) -> None:
    """Callers who ask all the time, of every instance, get at least 95 % of what the law allows."""
    rng = random.Random(7)
    events: list[Admitted] = []

    async def go() -> None:
        async with instances(adapter, policy, clock, server) as limiters:
            pace = max(1, policy.requests // policy.window_s // 100)
            for _ in range(2000):
                clock.advance(0.005)
                for _ in range(rng.randrange(2 * pace + 2)):
                    if (await ask(rng.choice(limiters), 1)).admitted:
                        events.append((clock.now_us(), 1))  # noqa: PERF401  awaits in between

    run(go(), timeout_s=120)
    assert excess(events, policy) <= 0
    assert sum(cost for _, cost in events) >= 0.95 * most(policy, 10_000_000)


@pytest.mark.parametrize("lease_first", [True, False])
@pytest.mark.parametrize(("used_after_s", "flood_after_s"), [(0.9, 0.0), (0.9, 0.1), (0.979, 0.002)])
def test_a_lease_that_is_used_late_is_no_extra(
    lease_first: bool, used_after_s: float, flood_after_s: float, clock: ManualClock, server: Valkey
) -> None:
    """Units that one instance has leased and spends at the last moment leave the others as much less."""
    events: list[Admitted] = []

    async def flood(limiter: Limiter, times: int) -> None:
        for _ in range(times):
            if (await limiter.ask(ALICE, 10)).admitted:
                events.append((clock.now_us(), 10))  # noqa: PERF401  awaits in between

    async def take_all(limiter: Limiter) -> None:
        for cost in range(LARGE.burst, 0, -10):
            if (await limiter.ask(ALICE, cost)).admitted:
                events.append((clock.now_us(), cost))  # noqa: PERF401

    async def go() -> None:
        async with instances("redis", LARGE, clock, server) as limiters:
            await flood(limiters[0], 4)
            clock.advance(0.02)
            await flood(limiters[0], 1)
            assert _leases(server) == 1
            clock.advance(used_after_s)
            if lease_first:
                await flood(limiters[0], 2)
                clock.advance(flood_after_s)
            await take_all(limiters[1])
            await flood(limiters[0], 500)

    run(go())
    assert -60 <= excess(events, LARGE) <= 0


def test_a_clock_that_was_set_back_heals(clock: ManualClock, server: Valkey) -> None:
    """When the clock of Redis itself jumps back an hour, nobody waits longer than for a whole quota."""

    async def go() -> None:
        async with instances("redis", SMALL, clock, server) as limiters:
            assert (await limiters[0].ask(ALICE, 20)).admitted
            clock.advance(-3600)
            assert (await limiters[1].ask(ALICE, 1)).retry_s <= 12
            clock.advance(12)
            assert (await limiters[2].ask(ALICE, 20)).admitted

    run(go())


def _leases(server: Valkey) -> int:
    return int(server.ask("HLEN", f"farmlokal:limit:{LARGE.name}:{ALICE.key}")) - 1


def test_the_check_of_the_law_sees_a_breach() -> None:
    """The window in which one unit too many passes is found, wherever it is."""
    even = [(600_000 * number, 1) for number in range(100)]
    full = [(600_000 * number, 1 + 19 * (number == 50)) for number in range(100)]
    over = [*full, (600_000 * 50 + 599_999, 1)]
    assert excess(even, SMALL) < 0
    assert excess(full, SMALL) <= 0
    assert excess(over, SMALL) > 0
