"""The kinds of servers: a socket file, a cluster and a service behind sentinels, with a primary that dies."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from farmlokal.platform.clock import SystemClock
from farmlokal.platform.redis import RedisConnections, RedisRefused, RedisUnavailable, Script
from tests.faults.processes import wait_until
from tests.support.catalogue import run
from tests.support.servers.groups import clustered, watched
from tests.support.servers.valkey import Valkey

FAILOVER_S = 15
"""Longest the servers themselves may take to agree on a new primary, on a busy machine."""

BOTH = Script("redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[2])")


def used(url: str, work: Callable[[RedisConnections], Awaitable[None]]) -> None:
    """Run the work with open connections."""

    async def go() -> None:
        connections = RedisConnections(url, SystemClock())
        await connections.open()
        try:
            await work(connections)
        finally:
            await connections.close()

    run(go())


async def write_until_it_works(connections: RedisConnections, limit_s: float) -> float:
    """Write a key until that succeeds; the seconds it took."""
    began = time.monotonic()
    while time.monotonic() < began + limit_s:
        try:
            await connections.execute("SET", "after", "1")
            return time.monotonic() - began
        except RedisUnavailable:
            await asyncio.sleep(0.02)
    raise AssertionError(f"no write within {limit_s} s: {connections.state()}")


def promoted(server: Valkey) -> bool:
    """Whether a replica has become a primary."""
    return bool(server.ask("INFO", "replication")["role"] == "master")


def test_a_socket_file_is_a_server(tmp_path: Path) -> None:
    """`unix://` reaches a server that listens on a socket file."""
    path = tmp_path / "redis.sock"

    async def work(connections: RedisConnections) -> None:
        await connections.execute("SET", "k", "v")
        assert await connections.execute("GET", "k") == b"v"

    with Valkey({"unixsocket": str(path)}):
        used(f"unix://{path}", work)


def test_a_cluster_is_used_by_slot_and_survives_a_primary() -> None:
    """Keys go to the server that has their slot, scripts to that of their hash tag; when a primary dies,
    calls fail quickly and its replica is used once the cluster has chosen it."""
    with clustered(replicas=1) as group:
        nodes = [*group.servers, *group.replicas]

        async def work(connections: RedisConnections) -> None:
            for number in range(60):
                await connections.execute("SET", f"k{number}", number, "PX", 60_000)
            assert all([await connections.execute("GET", f"k{n}") == str(n).encode() for n in range(60)])
            assert all(int(node.ask("DBSIZE")) > 5 for node in nodes)
            assert await connections.run_script(BOTH, ["a:{t}", "a:{t}"], ["v"]) == b"v"
            with pytest.raises(RedisRefused):
                await connections.run_script(BOTH, ["a", "b", "c"], ["v"])
            nodes[0].process.kill()
            slowest = 0.0
            for number in range(60):
                began = time.monotonic()
                try:
                    await connections.execute("GET", f"k{number}")
                except RedisUnavailable:
                    slowest = max(slowest, time.monotonic() - began)
            assert slowest < 2, "0.1 s, on a machine that runs other tests"
            await asyncio.to_thread(wait_until, lambda: promoted(nodes[-1]), "a new primary", FAILOVER_S)
            for number in range(60):
                await write_until_it_works(connections, 5)
                began = time.monotonic()
                while time.monotonic() < began + 5:
                    try:
                        assert await connections.execute("GET", f"k{number}") == str(number).encode()
                        break
                    except RedisUnavailable:
                        await asyncio.sleep(0.02)
            assert connections.up

        used(group.url, work)


def test_sentinels_name_the_primary_and_the_next_one() -> None:
    """The primary that the sentinels name is written to; when it dies, the one that they name then."""
    with watched() as group:
        first = group.primary()

        async def work(connections: RedisConnections) -> None:
            await connections.execute("SET", "before", "1")
            assert first.ask("GET", "before") == b"1"
            first.process.kill()
            await asyncio.to_thread(
                wait_until, lambda: group.primary() is not first, "a new primary", FAILOVER_S
            )
            second = group.primary()
            await asyncio.to_thread(wait_until, lambda: promoted(second), "it takes writes", FAILOVER_S)
            assert await write_until_it_works(connections, 5) < 5
            assert second.ask("GET", "after") == b"1"

        used(group.url, work)
