"""Valkeys in groups, and behind TLS, behave as in production: they refuse, redirect and fail over."""

from pathlib import Path

import pytest
import redis
from redis.cluster import RedisCluster

from tests.faults.processes import wait_until
from tests.support.engines import unavailable
from tests.support.servers.certificates import certificates
from tests.support.servers.groups import clustered, replicated, watched
from tests.support.servers.place import Missing
from tests.support.servers.valkey import NO_RETRY, Valkey, tls_program


def test_a_replica_refuses_writes() -> None:
    """What is written to the primary is read from the replica, which takes no writes itself."""
    with replicated() as (primary, [replica]):
        primary.ask("SET", "a", 1)
        wait_until(lambda: replica.ask("GET", "a") == b"1", "the write arrives", within_s=5)
        with pytest.raises(redis.ReadOnlyError):
            replica.ask("SET", "a", 2)


def test_sentinels_promote_a_replica() -> None:
    """When the primary is killed, the sentinels name another, which takes writes."""
    with watched() as group:
        old = group.primary()
        assert old is group.servers[0]
        old.process.kill()
        wait_until(lambda: group.primary() is not old, "another primary is named", within_s=20)
        group.primary().ask("SET", "a", 1)


def test_a_cluster_covers_every_key() -> None:
    """Three servers share the keys; a client that follows redirections reaches each."""
    with clustered() as group:
        startup = group.servers[0]
        with RedisCluster(host="127.0.0.1", port=startup.port) as client:
            for number in range(60):
                client.set(f"k{number}", number)
        kept = [server.ask("DBSIZE") for server in group.servers]
        assert sum(kept) == 60
        assert all(kept)


def test_valkey_behind_tls(tmp_path: Path) -> None:
    """With certificates a server speaks TLS only, and only to those who trust its authority."""
    try:
        tls_program()
    except Missing as missing:
        unavailable(missing)
    with Valkey(certificates=certificates(tmp_path), password="secret") as server:
        assert server.url.startswith("rediss://:secret@")
        assert server.ask("SET", "a", 1)
        with (
            redis.Redis.from_url(server.url, retry=NO_RETRY) as stranger,
            pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            stranger.ping()
