"""The shared store where Redis is sick, strange or gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from farmlokal.oauth.seal import SIGNING_KEYS, UPSTREAM_TOKEN, Seal
from farmlokal.oauth.upstream import RedisTokenStore, TokenCounts, TokenSource
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.redis import RedisConnections, RedisUnavailable
from tests.faults.redis_trouble import NEEDED, TROUBLE
from tests.support.catalogue import run
from tests.support.servers.valkey import PATIENT_S, Valkey
from tests.support.upstream import KEY, ScriptedProvider


@asynccontextmanager
async def instance(
    provider: ScriptedProvider,
    server: Valkey,
    key: bytes = KEY,
    whose: str = "provider",
    limit_s: float = PATIENT_S,
) -> AsyncIterator[TokenSource]:
    """One source over this server."""
    clock, counts = SystemClock(), TokenCounts()
    redis = RedisConnections(server.url, clock, limit_s)
    await redis.open()
    source = TokenSource(provider, RedisTokenStore(redis, key, whose, clock, counts), clock, counts)
    try:
        yield source
    finally:
        await source.close()
        await redis.close()


async def value(source: TokenSource) -> str:
    """The token that a caller is given."""
    return (await source.get()).value


def test_a_dump_of_redis_holds_no_token(valkey: Valkey) -> None:
    """What lies in Redis gives neither the token nor who we are at the provider away, and ends by itself."""

    async def go() -> None:
        provider = ScriptedProvider()
        provider.always = "canary-token"
        async with instance(provider, valkey, whose="https://canary.example\ncanary-id") as source:
            assert await value(source) == "canary-token"
        [key] = [key for key in valkey.ask("KEYS", "*") if b"token" in key]
        assert b"canary" not in key
        assert b"canary" not in valkey.ask("DUMP", key)
        assert b"canary" not in b"".join(dict(valkey.ask("HGETALL", key)).values())
        assert 0 < valkey.ask("PTTL", key) <= 3_660_000

    run(go())


def test_others_have_tokens_of_their_own(valkey: Valkey) -> None:
    """Another provider, client, scope or secret key is another token."""

    async def go() -> None:
        provider = ScriptedProvider()
        async with (
            instance(provider, valkey) as one,
            instance(provider, valkey, whose="another") as two,
            instance(provider, valkey, key=KEY[::-1]) as three,
            instance(provider, valkey) as same,
        ):
            values = [await value(each) for each in (one, two, three, same)]
            assert values == ["token-1", "token-2", "token-3", "token-1"]

    run(go())


def test_a_seal_holds() -> None:
    """What was sealed elsewhere, under another key, or changed in one bit, cannot be opened."""
    seal = Seal([KEY], UPSTREAM_TOKEN)
    sealed = seal.seal(b"content", "here")
    assert seal.open(sealed, "here") == b"content"
    assert Seal([KEY[::-1], KEY], UPSTREAM_TOKEN).open(sealed, "here") == b"content"
    assert seal.seal(b"content", "here") != sealed
    wrong = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
    wrong += [b"", sealed[:12], sealed[:-1], sealed + b"\0"]
    for each in wrong:
        with pytest.raises(ValueError, match=r"not sealed|Nonce"):
            seal.open(each, "here")
    others = (seal, "there"), (Seal([KEY[::-1]], UPSTREAM_TOKEN), "here"), (Seal([KEY], SIGNING_KEYS), "here")
    for stranger, place in others:
        with pytest.raises(ValueError, match="not sealed"):
            stranger.open(sealed, place)


GARBAGE: list[tuple[str, ...]] = [
    ("SET", "{key}", "garbage"),
    ("LPUSH", "{key}", "garbage"),
    ("HSET", "{key}", "sealed", "garbage"),
    ("HSET", "{key}", "id", "\xff"),
    ("HSET", "{key}", "ends", "999999999999999"),
    ("HSET", "{key}", "ends", "soon"),
    ("HSET", "{key}", "life", "0"),
    ("HSET", "{key}", "gen", "-7", "failures", "many", "at", ""),
    ("HSET", "{key}", "locked", "999999999999999", "owner", "nobody", "id", ""),
    ("HSET", "{key}", "held", "999999999999999", "id", ""),
    ("DEL", "{key}"),
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda words: " ".join(words[:1] + words[2:]))
def test_garbage_is_repaired(garbage: tuple[str, ...], valkey: Valkey) -> None:
    """Whatever else stands in the key, or in one field of it, costs a call at most: the next instance has a
    token, and so have those after it, the same one."""

    async def go() -> None:
        provider = ScriptedProvider()
        async with instance(provider, valkey) as one:
            assert await value(one) == "token-1"
        [key] = [key for key in valkey.ask("KEYS", "*") if b"token" in key]
        if garbage[0] == "HSET":
            valkey.ask("HSET", key, "held", "0")  # the second between two calls is over
        else:
            valkey.ask("DEL", key)
        valkey.ask(*(word.replace("{key}", key.decode()).encode("latin-1") for word in garbage))
        async with instance(provider, valkey) as two, instance(provider, valkey) as three:
            given = [await value(two), await value(three)]
            assert given[0] == given[1]
            assert provider.calls <= 2

    run(go())


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_sick_redis_is_gone_around(trouble: str) -> None:
    """While Redis is frozen, gone, full, read-only, loading or has another password, an instance goes on with
    the token that it has, and one that has none gets one of its own, once."""
    begin, end, _ = TROUBLE[trouble]

    async def go() -> None:
        provider = ScriptedProvider()
        with Valkey(NEEDED) as server:
            async with instance(provider, server) as one:
                assert await value(one) == "token-1"
                await asyncio.to_thread(begin, server)
                assert await value(one) == "token-1"
                async with instance(provider, server, limit_s=0.1) as two:
                    assert {await value(two) for _ in range(50)} <= {"token-1", "token-2"}
                    assert provider.calls <= 2
                    await asyncio.to_thread(end, server)
                    assert await value(one) == "token-1"
                    assert provider.calls <= 2

    run(go())


def test_one_slow_moment_of_redis_is_no_reason_to_call(valkey: Valkey) -> None:
    """A call to Redis that fails is made again before anyone goes to the provider alone: the right may
    have been given, and its answer lost."""

    class Losing(RedisConnections):
        lost = 0

        async def run_script(self, *args: object, **more: object) -> object:
            reply = await super().run_script(*args, **more)  # type: ignore[arg-type]
            self.lost += 1
            if self.lost % 3:
                raise RedisUnavailable("timeout")
            return reply

    async def go() -> None:
        provider, clock, counts = ScriptedProvider(), SystemClock(), TokenCounts()
        redis = Losing(valkey.url, clock, PATIENT_S)
        await redis.open()
        source = TokenSource(provider, RedisTokenStore(redis, KEY, "provider", clock, counts), clock, counts)
        try:
            assert await value(source) == "token-1"
            assert counts.by_name["alone"] == 0
            async with instance(provider, valkey) as other:
                assert await value(other) == "token-1"
        finally:
            await source.close()
            await redis.close()

    run(go())
