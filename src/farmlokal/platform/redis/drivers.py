"""What serves calls for each kind of server, and what its errors mean: one server is spoken to directly, a
cluster and sentinels by redis-py, which needs to be told a few things.

Imported when a connection is opened, not before: without the extra `redis` everything else works.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from ssl import SSLCertVerificationError, SSLContext, create_default_context
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

_ANSWERED = {
    "NOSCRIPT": ("noscript", True),
    "WRONGPASS": ("authentication", False),
    "NOAUTH": ("authentication", False),
    "NOPERM": ("permission", False),
    "LOADING": ("loading", False),
    "READONLY": ("read-only", False),
    "OOM": ("out of memory", False),
    "MAXCLIENTS": ("connection", False),
}
"""What else the first word of an error means."""


class Driver(Protocol):
    """Whoever carries out commands."""

    async def execute(self, command: Sequence[Value]) -> Any:
        """Send one command, once."""

    async def ping(self) -> None:
        """Ask every server that takes writes for a sign of life."""

    async def close(self) -> None:
        """Close every connection."""


def driver_at(address: RedisAddress, connections: int, call_limit_s: float) -> Driver:
    """A client of the servers at an address, with at most so many connections each. No I/O yet.

    The limit of a call is for the caller to set. Raises `Unavailable` when the driver is not installed.
    """
    try:
        from farmlokal.platform.redis.wire import SingleServer
    except ImportError:
        raise Unavailable("FARMLOKAL_REDIS_URL needs the extra `redis`: farmlokal[redis]") from None
    if address.kind in ("redis+cluster", "redis+sentinel"):
        return _of_several(address, connections, max(_NODE_LIMIT_S, call_limit_s))
    greeting: list[tuple[Value, ...]] = []
    if address.password is not None:
        greeting.append(("AUTH", *([address.username] if address.username else []), address.password))
    if address.database:
        greeting.append(("SELECT", address.database))
    return SingleServer(partial(_connect, address), greeting)


async def _connect(address: RedisAddress, protocol: Callable[[], asyncio.Protocol]) -> tuple[Any, Any]:
    loop = asyncio.get_running_loop()
    if address.kind == "unix":
        return await loop.create_unix_connection(protocol, address.path)
    host, port = address.hosts[0]
    tls = _verifying(address.ca_file) if address.kind == "rediss" else None
    return await loop.create_connection(protocol, host, port, ssl=tls)


@lru_cache(maxsize=1)
def _verifying(authorities: str | None) -> SSLContext:
    """Made once: to read the system's certificates takes 25 ms, in which nobody is answered."""
    return create_default_context(cafile=authorities)


def _of_several(address: RedisAddress, connections: int, limit_s: float) -> Driver:
    from redis.asyncio import RedisCluster, Sentinel
    from redis.asyncio.cluster import ClusterNode
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.maint_notifications import MaintNotificationsConfig

    # RESP2 without greetings: a new connection is one round trip, AUTH, and not five.
    asking: dict[str, Any] = {
        "socket_timeout": limit_s,
        "socket_connect_timeout": limit_s,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    wire = {**asking, "username": address.username, "password": address.password}
    wire["max_connections"] = connections
    if address.kind == "redis+cluster":
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        return _Cluster(RedisCluster(startup_nodes=nodes, **wire))
    sentinel = Sentinel(address.hosts, sentinel_kwargs=asking, **wire)  # type: ignore[no-untyped-call]
    return _Sentinels(sentinel.master_for(address.service), sentinel)


class _Sentinels:
    """The server that the sentinels name."""

    def __init__(self, redis: Any, sentinel: Any) -> None:
        self._redis = redis
        self._sentinel = sentinel

    async def execute(self, command: Sequence[Value]) -> Any:
        return await self._redis.execute_command(*command)

    async def ping(self) -> None:
        await self._redis.ping()

    async def close(self) -> None:
        await self._redis.aclose(close_connection_pool=True)
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

    from farmlokal.platform.redis.wire import Refused

    if isinstance(error, Refused):
        return _ANSWERED.get(error.word, (error.word.lower(), error.word not in _AWAY))
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
    if any(
        isinstance(each, SSLCertVerificationError) for each in (error, error.__cause__, error.__context__)
    ):
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
