"""Several Valkeys that know each other: a primary with replicas, watched by sentinels; and a cluster.

Both are as small as they can be and still vote, and fail over in seconds instead of the half minute that
suits a data centre.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, Self

import redis
from redis.cluster import RedisCluster

from tests.faults.processes import OwnedProcess, wait_until
from tests.support.servers.place import free_port
from tests.support.servers.valkey import ANSWER_S, NO_RETRY, Valkey, wheel_program

DOWN_AFTER_MS = 500
"""How long a silent primary is waited for: well over a pause of a busy test machine that is not a fault."""

FORM_S = 20
"""Longest a group may take to find together."""

SLOTS = 16_384
"""Hash slots of a cluster, by its specification."""


class Replicated(NamedTuple):
    """A primary and its replicas, in step."""

    primary: Valkey
    replicas: list[Valkey]


@contextmanager
def replicated(replicas: int = 1) -> Iterator[Replicated]:
    """A primary and its replicas; a write to a replica is refused with READONLY."""
    with ExitStack() as stack:
        primary = stack.enter_context(Valkey())
        followers = [
            stack.enter_context(Valkey({"replicaof": f"127.0.0.1 {primary.port}"})) for _ in range(replicas)
        ]
        # One that never was in step is never promoted.
        for follower in followers:
            wait_until(lambda: _in_step(follower), "the replica is in step", FORM_S)  # noqa: B023  # at once
        yield Replicated(primary, followers)


class Watched(NamedTuple):
    """A primary and replicas that sentinels watch under a name."""

    name: str
    servers: list[Valkey]
    """The first is the primary at the start."""
    sentinels: list[OwnedProcess]
    sentinel_ports: list[int]

    @property
    def url(self) -> str:
        """How the product names it."""
        places = ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
        return f"redis+sentinel://{places}/{self.name}"

    def primary(self) -> Valkey:
        """The server that the sentinels name now. The first sentinel is asked."""
        _, port = _ask(self.sentinel_ports[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)
        return next(server for server in self.servers if server.port == int(port))


@contextmanager
def watched(name: str = "farm") -> Iterator[Watched]:
    """One primary, two replicas, three sentinels that know them all."""
    with ExitStack() as stack:
        primary, replicas = stack.enter_context(replicated(2))
        ports = [free_port() for _ in range(3)]
        sentinels = [stack.enter_context(_sentinel(port, name, primary)) for port in ports]
        group = Watched(name, [primary, *replicas], sentinels, ports)
        wait_until(lambda: all(_knows_all(port, name) for port in ports), "the sentinels know all", FORM_S)
        yield group


@contextmanager
def _sentinel(port: int, name: str, primary: Valkey) -> Iterator[OwnedProcess]:
    # Its configuration is a file that it writes itself, beside the data of the primary.
    path = primary.folder / f"sentinel-{port}.conf"
    path.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {primary.folder}\n"
        f"sentinel monitor {name} 127.0.0.1 {primary.port} 2\n"
        f"sentinel down-after-milliseconds {name} {DOWN_AFTER_MS}\n"
        f"sentinel failover-timeout {name} 3000\n"
    )
    process = OwnedProcess(
        [wheel_program(), path, "--sentinel"], path.with_suffix(".log"), lambda: _answers(port)
    )
    try:
        process.start()
        yield process
    finally:
        process.kill()


class Cluster(NamedTuple):
    """Servers that share the hash slots, and replicas: the first one of the first server, and so on."""

    servers: list[Valkey]
    replicas: list[Valkey]

    @property
    def url(self) -> str:
        """How the product names it."""
        places = ",".join(f"127.0.0.1:{server.port}" for server in (*self.servers, *self.replicas))
        return f"redis+cluster://{places}"


@contextmanager
def clustered(primaries: int = 3, replicas: int = 0) -> Iterator[Cluster]:
    """A cluster; the replicas are shared out among the primaries. To lose one without is to lose its
    slots."""
    with ExitStack() as stack:
        servers = [stack.enter_context(_member()) for _ in range(primaries + replicas)]
        for number, server in enumerate(servers[:primaries]):
            first, end = SLOTS * number // primaries, SLOTS * (number + 1) // primaries
            server.ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        bus = _ask(servers[0].port, "CONFIG", "GET", "cluster-port")["cluster-port"]
        for server in servers[1:]:
            server.ask("CLUSTER", "MEET", "127.0.0.1", servers[0].port, bus)
        wait_until(lambda: all(_knows(each, len(servers)) for each in servers), "all have met", FORM_S)
        for number, server in enumerate(servers[primaries:]):
            server.ask("CLUSTER", "REPLICATE", _ask(servers[number % primaries].port, "CLUSTER", "MYID"))
        wait_until(lambda: all(map(_complete, servers)), "the cluster covers all slots", FORM_S)
        for server in servers[primaries:]:
            wait_until(lambda: _in_step(server), "the replica is in step", FORM_S)  # noqa: B023  # at once
        yield Cluster(servers[:primaries], servers[primaries:])


class ManyAsOne(Valkey):
    """A cluster where a test wants one Valkey: what is asked without a key is asked of all."""

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            self._cluster = resources.enter_context(clustered())
            self._resources = resources.pop_all()
        return self

    @property
    def url(self) -> str:
        """How the product names it."""
        return self._cluster.url

    def ask(self, *command: str | int | bytes) -> Any:
        """One command: to whoever has its key, or to all, whose answers are then put together."""
        if command[0] in ("FLUSHALL", "KEYS", "EVAL"):
            answers = [server.ask(*command) for server in self._cluster.servers]
            return [each for answer in answers if isinstance(answer, list) for each in answer]
        with RedisCluster(port=self._cluster.servers[0].port, host="127.0.0.1") as client:
            return client.execute_command(*command)


def _member() -> Valkey:
    return Valkey(
        {
            "cluster-enabled": "yes",
            "cluster-node-timeout": 1000,
            "cluster-allow-replica-migration": "no",
            # The default is the port and 10,000, which may be somebody's.
            "cluster-port": free_port(),
        }
    )


def _knows(server: Valkey, members: int) -> bool:
    """Whether a server is connected to so many members, itself included."""
    nodes = str(_ask(server.port, "CLUSTER", "NODES"))
    return nodes.count(" connected") == members


def _complete(server: Valkey) -> bool:
    facts = str(_ask(server.port, "CLUSTER", "INFO")).splitlines()
    return {"cluster_state:ok", f"cluster_slots_ok:{SLOTS}"} <= set(facts)


def _in_step(server: Valkey) -> bool:
    return bool(server.ask("INFO", "replication").get("master_link_status") == "up")


def _knows_all(port: int, name: str) -> bool:
    facts = _ask(port, "SENTINEL", "MASTER", name)
    return (int(facts["num-slaves"]), int(facts["num-other-sentinels"])) == (2, 2)


def _answers(port: int) -> bool:
    try:
        return bool(_ask(port, "PING"))
    except redis.RedisError:
        return False


def _ask(port: int, *command: str | int) -> Any:
    """One command, its answer as text; redis-py makes dictionaries of pairs."""
    with redis.Redis(port=port, socket_timeout=ANSWER_S, retry=NO_RETRY, decode_responses=True) as connection:
        return connection.execute_command(*command)
