"""What every token store keeps: one caller of the provider at a time, and no token that a better one has
replaced.

Time stands still until a test moves it, for the stores and for the script inside a real Valkey.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmlokal.oauth.upstream import MemoryTokenStore, RedisTokenStore, TokenCounts, law
from farmlokal.oauth.upstream.law import State, Stored, Timing, Verdict, ms
from farmlokal.oauth.upstream.port import Found, Granted, Held, Locked, TokenStore
from farmlokal.oauth.upstream.token import Grant, identity
from farmlokal.platform.redis import Script
from tests.support.catalogue import run
from tests.support.clock import ManualClock
from tests.support.dated import Dated
from tests.support.servers.valkey import Valkey

ADAPTERS = ["memory", "redis"]
KEY = b"0123456789abcdefghijklmnopqrstuvwxyz"
TIMES = Timing()
OLD, NEW = Grant("old", "prices", 3600.0), Grant("new", None, 7200.0)


@asynccontextmanager
async def instances(adapter: str, clock: ManualClock, server: Valkey) -> AsyncIterator[list[TokenStore]]:
    """Two stores that share a token: the same one in memory, two over one Valkey that holds nothing."""
    if adapter == "memory":
        yield [MemoryTokenStore(clock)] * 2
        return
    async with AsyncExitStack() as stack:
        server.ask("FLUSHALL")
        made: list[TokenStore] = []
        for _ in range(2):
            redis = Dated(server.url, clock)
            stack.push_async_callback(redis.close)
            await redis.open()
            made.append(RedisTokenStore(redis, KEY, "provider", clock, TokenCounts()))
        yield made


async def granted(store: TokenStore, owner: str, known: str = "", *, rejected: bool = False) -> Granted:
    """The right to call, which must be there to be had."""
    claim = await store.claim(owner, known, rejected=rejected)
    assert isinstance(claim, Granted), claim
    return claim


async def fetched(store: TokenStore, clock: ManualClock, grant: Grant = OLD, known: str = "") -> str:
    """A token that has just been stored, by its id; the pause after it is over."""
    stored = await store.settle(await granted(store, "first", known), grant)
    assert stored is not None
    clock.advance(TIMES.apart_s)
    return stored.id


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_one_calls_and_the_others_wait(adapter: str, clock: ManualClock, valkey: Valkey) -> None:
    """Of those who have no token one gets the right to call; the others hear how long it may take, and find
    the token when it is there."""

    async def go() -> None:
        async with instances(adapter, clock, valkey) as (one, other):
            right = await granted(one, "one")
            assert await other.claim("other", "") == Locked(TIMES.lock_s)
            clock.advance(2)
            assert await other.claim("other", "") == Locked(TIMES.lock_s - 2)
            stored = await one.settle(right, OLD)
            assert stored is not None
            found = await other.claim("other", "")
            assert isinstance(found, Found)
            assert (found.token.value, found.token.scope) == (OLD.value, OLD.scope)
            # From the claim on, not from when the answer was there.
            assert found.token.left_s(clock.lived_s()) == pytest.approx(OLD.life_s - 2, abs=0.002)

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_claim_may_be_repeated(adapter: str, clock: ManualClock, valkey: Valkey) -> None:
    """Who asks again for a right whose answer was lost still has it, for a whole lock from then on."""

    async def go() -> None:
        async with instances(adapter, clock, valkey) as (one, other):
            await granted(one, "one")
            clock.advance(TIMES.lock_s - 1)
            again = await granted(one, "one")
            clock.advance(TIMES.lock_s - 1)
            assert isinstance(await other.claim("other", ""), Locked)
            await one.abandon(again)
            await granted(other, "other")

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_dead_caller_is_forgiven(adapter: str, clock: ManualClock, valkey: Valkey) -> None:
    """The right of a caller who died ends by itself, after the life of a lock and not before."""

    async def go() -> None:
        async with instances(adapter, clock, valkey) as (one, other):
            await granted(one, "one")
            clock.advance(TIMES.lock_s - 0.001)
            assert isinstance(await other.claim("other", ""), Locked)
            clock.advance(0.001)
            await granted(other, "other")

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_who_outslept_its_right_harms_nobody(adapter: str, clock: ManualClock, valkey: Valkey) -> None:
    """A caller who slept past the end of its lock replaces no later token, and takes no other's lock away."""

    async def go() -> None:
        async with instances(adapter, clock, valkey) as (one, other):
            asleep = await granted(one, "one")
            clock.advance(TIMES.lock_s)
            awake = await granted(other, "other")
            assert await one.fail(asleep, 0) == 0
            await one.abandon(asleep)
            assert isinstance(await one.claim("third", ""), Locked), "the lock is the other's"
            late = await other.settle(awake, OLD)
            assert late is not None
            kept = await one.settle(asleep, NEW._replace(life_s=OLD.life_s))
            assert kept is not None
            assert kept.id == late.id, "it ends sooner than the one that is there"

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_late_token_that_lives_longer_is_welcome(adapter: str, clock: ManualClock, valkey: Valkey) -> None:
    """What a sleeper brings late is kept when it lives longer, and the lock of whoever calls now stays."""

    async def go() -> None:
        async with instances(adapter, clock, valkey) as (one, other):
            asleep = await granted(one, "one")
            clock.advance(TIMES.lock_s)
            awake = await granted(other, "other")
            stored = await one.settle(asleep, NEW)
            assert stored is not None
            assert stored.id == identity(NEW.value)
            assert isinstance(await one.claim("third", stored.id), Locked)
            kept = await other.settle(awake, OLD)
            assert kept is not None
            assert kept.id == stored.id

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_token_is_renewed_by_who_knows_it(adapter: str, clock: ManualClock, valkey: Valkey) -> None:
    """Who has the token that is stored may fetch the next one; who has an older one is given this one."""

    async def go() -> None:
        async with instances(adapter, clock, valkey) as (one, other):
            old = await fetched(one, clock)
            new = await fetched(one, clock, NEW, old)
            found = await other.claim("other", old)
            assert isinstance(found, Found)
            assert found.token.id == new
            await granted(other, "other", new)

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_expired_token_is_not_there(adapter: str, clock: ManualClock, valkey: Valkey) -> None:
    """A token is handed over until the instant of its end, and not at that instant."""

    async def go() -> None:
        async with instances(adapter, clock, valkey) as (one, other):
            await fetched(one, clock)
            clock.advance(OLD.life_s - TIMES.apart_s - 0.001)
            assert isinstance(await other.claim("other", ""), Found)
            clock.advance(0.001)
            await granted(other, "other")

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_failures_hold_everybody_back(adapter: str, clock: ManualClock, valkey: Valkey) -> None:
    """After a failed call nobody calls for a while, twice as long each time, and a minute of failures is
    at most ten calls; what the provider asks for counts up to a minute."""

    async def go() -> None:
        async with instances(adapter, clock, valkey) as stores:
            started, calls = clock.lived_s(), 0
            while clock.lived_s() < started + 60:
                claim = await stores[calls % 2].claim("owner", "")
                if isinstance(claim, Held):
                    assert 0 < claim.wait_s <= TIMES.most_wait_s * 1.2
                    clock.advance(claim.wait_s)
                    continue
                assert isinstance(claim, Granted)
                calls += 1
                await stores[calls % 2].fail(claim, 0)
            assert 6 <= calls <= 10
            clock.advance(60)
            for asked, kept in ((30, 30), (100_000, TIMES.most_retry_after_s)):
                pause = await stores[0].fail(await granted(stores[0], "owner"), asked)
                assert pause == kept
                assert await stores[1].claim("other", "") == Held(kept)
                clock.advance(kept)

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_success_ends_the_pauses(adapter: str, clock: ManualClock, valkey: Valkey) -> None:
    """A call that succeeds forgets the failures before it; between two calls there is a second all the
    same."""

    async def go() -> None:
        async with instances(adapter, clock, valkey) as (one, _):
            for _ in range(4):
                clock.advance(await one.fail(await granted(one, "owner"), 0))
            stored = await one.settle(await granted(one, "owner"), OLD)
            assert stored is not None
            assert await one.claim("owner", stored.id) == Held(TIMES.apart_s)
            clock.advance(TIMES.apart_s)
            assert await one.fail(await granted(one, "owner", stored.id), 0) < 2 * TIMES.apart_s

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_rejected_token_is_replaced_once(adapter: str, clock: ManualClock, valkey: Valkey) -> None:
    """A token that a resource refused is replaced even by one that ends sooner, and at once; the others
    get that one. When it is refused, too, nobody calls for a while."""

    async def go() -> None:
        async with instances(adapter, clock, valkey) as (one, other):
            first = await one.settle(await granted(one, "one"), NEW)
            assert first is not None
            right = await granted(one, "one", first.id, rejected=True)
            assert isinstance(await other.claim("other", first.id, rejected=True), Locked)
            second = await one.settle(right, OLD, first.id)
            assert second is not None
            assert second.id == identity(OLD.value)
            found = await other.claim("other", first.id, rejected=True)
            assert isinstance(found, Found)
            assert found.token.id == second.id
            assert await other.claim("other", second.id, rejected=True) == Held(TIMES.refused_s)
            clock.advance(TIMES.refused_s)
            await granted(other, "other", second.id, rejected=True)

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("rejected", [False, True])
def test_the_same_token_again_is_no_new_one(
    adapter: str, rejected: bool, clock: ManualClock, valkey: Valkey
) -> None:
    """A provider that gives the same token once more, with whatever life, has given nothing: it ends when it
    ends, and the next call waits as after a failure."""

    async def go() -> None:
        async with instances(adapter, clock, valkey) as (one, other):
            known = await fetched(one, clock)
            clock.advance(100)
            claim = await granted(one, "one", known, rejected=rejected)
            kept = await one.settle(claim, OLD, known if rejected else "")
            assert kept is not None
            left_s = OLD.life_s - 100 - TIMES.apart_s
            assert kept.left_s(clock.lived_s()) == pytest.approx(left_s, abs=0.002)
            held = await other.claim("other", known, rejected=True)
            assert isinstance(held, Held)
            assert TIMES.apart_s <= held.wait_s <= 1.2 * TIMES.apart_s

    run(go())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_what_is_over_when_it_arrives_is_not_stored(adapter: str, clock: ManualClock, valkey: Valkey) -> None:
    """A token whose life ended while its caller slept is stored nowhere."""

    async def go() -> None:
        async with instances(adapter, clock, valkey) as (one, other):
            asleep = await granted(one, "one")
            clock.advance(OLD.life_s)
            assert await one.settle(asleep, OLD) is None
            await granted(other, "other")

    run(go())


steps = st.one_of(
    st.tuples(
        st.just("claim"), st.sampled_from("abc"), st.sampled_from(["", "t1", "t2", "t3"]), st.booleans()
    ),
    st.tuples(
        st.just("settle"),
        st.sampled_from("abc"),
        st.sampled_from(["t1", "t2", "t3"]),
        st.integers(-5_000, 90_000),
        st.sampled_from(["", "t1", "t2"]),
        st.integers(0, 199),
    ),
    st.tuples(
        st.just("fail"), st.sampled_from("abc"), st.sampled_from([-1, 0, 500, 30_000]), st.integers(0, 199)
    ),
    st.tuples(st.just("advance"), st.sampled_from([1, 300, 999, 1000, 3000, 7000, 40_000, -500, -90_000])),
)


@settings(max_examples=100)
@given(walk=st.lists(steps, max_size=40))
def test_the_script_is_the_law(walk: list[tuple[Any, ...]], valkey_server: Valkey) -> None:
    """Whatever steps are taken in whatever order, and however the clock is set, the script in Redis
    replies and remembers what the law says that a model checker has searched."""

    async def go() -> None:
        clock = ManualClock()
        redis, state = Dated(valkey_server.url, clock), State()
        await redis.open()
        valkey_server.ask("DEL", "farmlokal:token:test")
        try:
            for step in walk:
                if step[0] == "advance":
                    clock.advance(step[1] / 1000)
                    continue
                now = clock.now_us() // 1000
                said = await _scripted(redis, step, now)
                state, expected = _lawful(state, step, now)
                assert said == expected, step
                kept = dict(valkey_server.ask("HGETALL", "farmlokal:token:test"))
                assert law.sound(_state(kept), now, TIMES) == law.sound(state, now, TIMES), step
        finally:
            await redis.close()

    run(go())


async def _scripted(redis: Dated, step: tuple[Any, ...], now: int) -> list[Any]:
    """The reply of the script to a step."""
    times = (TIMES.lock_s, TIMES.apart_s, TIMES.most_wait_s, TIMES.most_retry_after_s)
    arguments: list[Any] = list(step[:2])
    arguments += [ms(each) for each in (*times, TIMES.refused_s, TIMES.most_life_s)]
    if step[0] == "claim":
        arguments += [step[2], int(step[3])]
    elif step[0] == "settle":
        arguments += [step[2], b"sealed", now + step[3], 60_000, step[4], step[5]]
    else:
        arguments += step[2:]
    reply = await redis.run_script(SCRIPT, ["farmlokal:token:test"], arguments)
    return [part.decode() if isinstance(part, bytes) else part for part in reply]


def _lawful(state: State, step: tuple[Any, ...], now: int) -> tuple[State, list[Any]]:
    """What the law makes of a step, and the reply that says so."""
    if step[0] == "claim":
        state, claim = law.claim(state, now, step[1], step[2], TIMES, rejected=step[3])
        found = _found(state, claim.token, now)
        return state, found if claim.verdict is Verdict.FOUND else [int(claim.verdict), claim.ms]
    if step[0] == "settle":
        token = Stored(step[2], b"sealed", now + step[3], 60_000)
        state, stored = law.settle(state, now, step[1], token, TIMES, rejected=step[4], jitter=step[5])
        return state, _found(state, stored, now)
    state, pause = law.fail(state, now, step[1], step[2], TIMES, jitter=step[3])
    return state, [pause]


def _found(state: State, token: Stored | None, now: int) -> list[Any]:
    if token is None:
        return [0]
    return [1, token.ends - now, token.life, state.gen, token.id, token.sealed.decode()]


def _state(kept: dict[bytes, bytes]) -> State:
    """The state in a hash."""
    fields = {name.decode(): value for name, value in kept.items()}
    if not fields:
        return State()
    token = None
    if fields["id"]:
        token = Stored(fields["id"].decode(), fields["sealed"], int(fields["ends"]), int(fields["life"]))
    names = ("locked", "held", "failures", "refused", "at")
    return State(token, int(fields["gen"]), fields["owner"].decode(), *(int(fields[name]) for name in names))


SCRIPT = Script(Path(law.__file__).with_name("refresh.lua").read_text(encoding="utf-8"))
