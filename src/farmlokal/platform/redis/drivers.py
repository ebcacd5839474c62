"""What redis-py needs to be told for each kind of server, and what its errors mean.

Imported when a connection is opened, not before: without the extra `redis` everything else works.
"""

import re
from collections.abc import Sequence
from ssl import SSLCertVerificationError
from typing import Any, Protocol

from farmlokal.errors import Unavailable
from farmlokal.platform.redis.address import RedisAddress

Value = str | bytes | int | float

_NODE_LIMIT_S = 0.4
"""For one of several servers, before the next one is asked, unless a call may take longer; only probes have
the time for two."""

_AWAY = {"MISCONF", "BUSY", "NOREPLICAS", "MASTERDOWN", "UNKILLABLE", "NOAUTH", "READONLY", "OOM"}
"""First words of errors that speak of the server's state and not of the command (valkey.io/topics/protocol);
the driver has classes of its own for most."""


class Driver(Protocol):
    """One client of redis-py."""

    async def execute(self, command: Sequence[Value]) -> Any:
        """Send one command, once."""

    async def ping(self) -> None:
        """Ask every server that takes writes for a sign of life."""

    async def close(self) -> None:
        """Close every connection."""


def driver_at(address: RedisAddress, connections: int, call_limit_s: float) -> Driver:
    """A client of the servers at an address, with at most so many connections each. No I/O yet.

    One server is waited for without end: the limit is for the caller to set. Raises `Unavailable` when the
    driver is not installed.
    """
    try:
        from redis.asyncio import Redis, RedisCluster, Sentinel
        from redis.asyncio.cluster import ClusterNode
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.maint_notifications import MaintNotificationsConfig
    except ImportError:
        raise Unavailable("FARMLOKAL_REDIS_URL needs the extra `redis`: farmlokal[redis]") from None
    # RESP2 without greetings: a new connection is one round trip, AUTH, and not five.
    several = address.kind in ("redis+cluster", "redis+sentinel")
    limit_s = max(_NODE_LIMIT_S, call_limit_s) if several else None
    wire: dict[str, Any] = {
        "username": address.username,
        "password": address.password,
        "socket_timeout": limit_s,
        "socket_connect_timeout": limit_s,
        "protocol": 2,
        "driver_info": None,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    once = Retry(NoBackoff(), 0)
    if address.kind == "redis+cluster":
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        cluster = RedisCluster(startup_nodes=nodes, max_connections=connections, retry=once, **wire)
        return _Cluster(cluster)
    wire |= {"retry": once, "max_connections": connections}
    if address.kind == "redis+sentinel":
        asking = {
            "socket_timeout": limit_s,
            "socket_connect_timeout": limit_s,
            "retry": once,
            "protocol": 2,
            "driver_info": None,
            "maint_notifications_config": wire["maint_notifications_config"],
        }
        sentinel = Sentinel(address.hosts, sentinel_kwargs=asking, **wire)  # type: ignore[no-untyped-call]
        return _Single(sentinel.master_for(address.service), sentinel)
    if address.kind == "unix":
        return _Single(Redis(unix_socket_path=address.path, db=address.database, **wire))
    host, port = address.hosts[0]
    tls: dict[str, Any] = {"ssl": True, "ssl_ca_certs": address.ca_file} if address.kind == "rediss" else {}
    return _Single(Redis(host=host, port=port, db=address.database, **tls, **wire))


class _Single:
    """One server, or the one that the sentinels name."""

    def __init__(self, redis: Any, sentinel: Any = None) -> None:
        self._redis = redis
        self._sentinel = sentinel

    async def execute(self, command: Sequence[Value]) -> Any:
        return await self._redis.execute_command(*command)

    async def ping(self) -> None:
        await self._redis.ping()

    async def close(self) -> None:
        await self._redis.aclose(close_connection_pool=True)
        if self._sentinel is not None:
            await self._sentinel.aclose()


class _Cluster:
    """All primaries of a cluster. Redirections (MOVED, ASK) are followed inside the driver."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster

    async def execute(self, command: Sequence[Value]) -> Any:
        return await self._cluster.execute_command(*command)

    async def ping(self) -> None:
        await self._cluster.ping(target_nodes=self._cluster.PRIMARIES)

    async def close(self) -> None:
        await self._cluster.aclose()


def reason_of(error: Exception) -> tuple[str, bool]:
    """(reason, whether Redis answered and only refused the command) of an error of the driver's.

    A reason is a word or two of ours: what the server wrote may quote what it was sent. Of an error that is
    none of the driver's own it is the class.
    """
    from redis import exceptions as e

    refusals = (e.NoScriptError, e.ClusterCrossSlotError)
    named: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
        ((TimeoutError, e.TimeoutError), "timeout"),
        (e.AuthenticationError, "authentication"),
        (e.NoPermissionError, "permission"),
        (e.BusyLoadingError, "loading"),
        (e.ReadOnlyError, "read-only"),
        (e.OutOfMemoryError, "out of memory"),
        (e.ClusterDownError, "cluster down"),
        ((e.AskError, e.TryAgainError), "moved"),
        ((e.ConnectionError, OSError), "connection"),
        (e.RedisClusterException, "cluster"),
    )
    if isinstance(error, e.RedisClusterException) and "same key slot" in str(error):
        return "slots", True  # the caller's mistake, which the driver sees before any server does
    if isinstance(error.__cause__ or error.__context__, SSLCertVerificationError):
        return "certificate", False
    for kinds, reason in named:
        if isinstance(error, kinds):
            return reason, False
    if isinstance(error, refusals):
        return ("noscript" if isinstance(error, e.NoScriptError) else "slots"), True
    if isinstance(error, e.ResponseError):
        word = re.match(r"[A-Z]+", str(error))
        code = word[0] if word else "ERR"
        return code.lower(), code not in _AWAY
    return f"driver: {type(error).__name__}", False
