"""Two real servers over one real Valkey, and threads that ask without pause: the law from outside."""

import http.client
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path

import pytest

from farmlokal.platform.rate_limit import Policy
from tests.faults.processes import wait_until
from tests.support.catalogue import new_database
from tests.support.quota import most
from tests.support.server import Server, serving
from tests.support.servers.valkey import Valkey

SECONDS = float(os.environ.get("FARMLOKAL_TEST_LIMITS_SECONDS", "3"))
"""`make limits` asks for 180."""

THREADS = int(os.environ.get("FARMLOKAL_TEST_LIMITS_THREADS", "16"))
"""`make limits` has 200."""

POLICIES = [Policy("default", 100, 60, 20), Policy("default", 6000, 60, 300)]
"""One so small that each request asks Redis, one that is leased."""

PRICED = "/api/products/999"
"""One unit, and a 404 that is cheap to make."""


@contextmanager
def fleet(folder: Path, policy: Policy, server: Valkey, **more: str) -> Iterator[list[Server]]:
    """Two instances over one database and one Valkey."""
    settings = {
        "FARMLOKAL_RATE_LIMIT": f"{policy.requests}/{policy.window_s}s;burst={policy.burst}",
        "FARMLOKAL_REDIS_URL": server.url,
    }
    database = new_database(folder)
    with ExitStack() as stack:
        yield [
            stack.enter_context(serving(database, folder / f"{number}.log", settings | more))
            for number in range(2)
        ]


def asking(port: int, headers: dict[str, str] | None = None, source: str = "127.0.0.1") -> int:
    """The status of one request from this address."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(source, 0))
    try:
        connection.request("GET", PRICED, headers=headers or {})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{policy.requests}-a-minute")
def test_the_law_over_two_servers(policy: Policy, tmp_path: Path) -> None:
    """Whatever two instances are asked at once, they admit at most burst + rate x T in every window, and at
    least 95 % of it."""
    admitted: list[tuple[float, float]] = []
    statuses: set[int] = set()

    def hammer(servers: list[Server], until: float) -> None:
        with ExitStack() as stack:
            for caller in cycle([stack.enter_context(server.caller()) for server in servers]):
                sent = time.monotonic()
                if sent > until:
                    return
                status = caller.ask(PRICED).status
                statuses.add(status)
                if status != 429:
                    admitted.append((sent, time.monotonic()))

    with Valkey() as server, fleet(tmp_path, policy, server) as servers:
        started = time.monotonic()
        threads = [
            threading.Thread(
                target=hammer, args=(servers[number % 2 :] + servers[: number % 2], started + SECONDS)
            )
            for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lasted = time.monotonic() - started
    assert statuses == {404, 429}
    over = _excess(admitted, policy)
    share = len(admitted) / most(policy, int(lasted * 1_000_000))
    print(f"{len(admitted)} admitted in {lasted:.1f} s: worst window {over:+.2f}, {share:.1%} used")  # noqa: T201
    assert over <= 0
    # One unit that has just grown may be unspent when the time is up.
    assert share >= 0.95 or len(admitted) >= most(policy, int(lasted * 1_000_000)) - 2


def _excess(admitted: list[tuple[float, float]], policy: Policy) -> float:
    """As `tests.support.quota.excess`, for events known to lie between sending and receiving: a window counts
    those that were both sent and answered in it."""
    rate, worst = policy.requests / policy.window_s, -float(policy.burst)
    for start in {sent for sent, _ in admitted}:
        ends = sorted(received for sent, received in admitted if sent >= start)
        for number, end in enumerate(ends, 1):
            worst = max(worst, number - policy.burst - rate * (end - start))
    return worst


def test_a_stranger_is_not_who_he_says(tmp_path: Path) -> None:
    """A thousand forwarded addresses from a peer that is not trusted are one caller, though the servers trust
    the loopback address beside it; from the trusted peer each is a caller of its own."""
    policy = Policy("default", 20, 86_400, 20)
    with (
        Valkey() as server,
        fleet(tmp_path, policy, server, FARMLOKAL_TRUSTED_PROXIES="127.0.0.1/32") as servers,
    ):
        claims = [{"X-Forwarded-For": f"198.51.{number // 250}.{number % 250}"} for number in range(1000)]
        answers = [asking(servers[at % 2].port, claim, source="127.0.0.2") for at, claim in enumerate(claims)]
        assert answers.count(404) == 20
        assert answers.count(429) == 980
        assert {asking(servers[0].port, claim) for claim in claims[:50]} == {404}


def test_servers_go_on_without_redis(tmp_path: Path) -> None:
    """While Redis is away each server limits alone and answers quickly, and takes it up again by itself."""
    policy = Policy("default", 20, 86_400, 20)
    with Valkey() as server, fleet(tmp_path, policy, server) as servers:
        server.process.freeze()
        answers, slowest = [], 0.0
        for at in range(100):
            started = time.monotonic()
            answers.append(asking(servers[at % 2].port))
            slowest = max(slowest, time.monotonic() - started)
        assert (answers.count(404), answers.count(429)) == (40, 60)
        assert slowest < 3
        server.process.thaw()
        wait_until(lambda: all(redis_is_up(each) for each in servers), "Redis is used again", 5)
        # What was admitted meanwhile is not forgotten, and who comes now has one quota at both.
        assert {asking(each.port) for each in servers} == {429}
        answers = [asking(servers[at % 2].port, source="127.0.0.2") for at in range(40)]
        assert (answers.count(404), answers.count(429)) == (20, 20)


def redis_is_up(server: Server) -> bool:
    """Whether the server uses Redis."""
    with server.caller() as caller:
        return bool(caller.ask("/readyz").json()["status"] == "ready")
