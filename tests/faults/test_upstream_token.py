"""Real servers, a real Valkey and a provider over real HTTP: the upstream token from outside."""

import socket
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from farmlokal.oauth.upstream.law import Timing
from farmlokal.suppliers.simulator import Behaviour
from tests.faults.processes import wait_until
from tests.support.catalogue import new_database
from tests.support.provider import Running, simulated
from tests.support.server import Answer, Caller, Server, fleet
from tests.support.servers.valkey import Valkey

TIMES = Timing()

SLACK_S = 20.0
"""What a machine that is busy with other tests may take longer."""


@contextmanager
def instances(folder: Path, provider: Running, **more: str) -> Iterator[tuple[list[Server], Valkey]]:
    """Two instances over one database and one Valkey, and the Valkey."""
    with Valkey() as redis:
        settings = provider.settings | {"FARMLOKAL_REDIS_URL": redis.url} | more
        with fleet(new_database(folder), folder, more=settings) as servers:
            yield servers, redis


def ask(server: Server, path: str = "/auth/token", headers: Mapping[str, str] | None = None) -> Answer:
    """One answer, on a connection of its own."""
    with Caller(server.port, timeout_s=60) as caller:
        return caller.ask(path, headers)


def test_five_hundred_cold_callers_are_one_call(tmp_path: Path) -> None:
    """Five hundred who ask two instances at once that have no token yet all get the same one, from one
    call."""
    callers = 500
    request = b"GET /auth/token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with simulated() as provider, instances(tmp_path, provider) as (servers, _), ExitStack() as stack:
        provider.play(Behaviour(latency_s=1.0))
        wires = []
        for at in range(callers):
            wires.append(socket.create_connection(("127.0.0.1", servers[at % 2].port), 60))
            stack.callback(wires[-1].close)
        for wire in wires:  # all are connected: now they ask
            wire.sendall(request)
        answers = [_whole(wire) for wire in wires]
        assert {answer.split(b" ", 2)[1] for answer in answers} == {b"200"}
        [token] = provider.simulator.provider.issued
        assert all(f'"token":"{token}"'.encode() in answer for answer in answers)
        assert provider.calls == 1


def _whole(wire: socket.socket) -> bytes:
    """All that a server says on a connection that it closes."""
    parts = []
    while part := wire.recv(65_536):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_the_caller_of_the_provider_goes_down(fault: str, tmp_path: Path) -> None:
    """When the instance that calls the provider is killed or frozen, the other one answers after the life
    of a lock and a call; and the frozen one, when it wakes, takes neither the later token nor a lock away."""
    with (
        simulated() as provider,
        instances(tmp_path, provider) as ([one, other], redis),
        ThreadPoolExecutor(2) as callers,
    ):
        provider.play(Behaviour(latency_s=3.0))
        lost = callers.submit(ask, one)
        wait_until(lambda: provider.calls == 1, "the first instance calls", SLACK_S)
        started = time.monotonic()
        waiting = callers.submit(ask, other)
        if fault == "killed":
            one.process.kill()
        else:
            one.process.freeze()
        answer = waiting.result(60)
        took_s = time.monotonic() - started
        assert answer.status == 200
        assert TIMES.lock_s - 1 < took_s < TIMES.lock_s + 3 + 1 + SLACK_S
        assert provider.calls == 2
        token = answer.json()["token"]
        if fault == "frozen":
            one.process.thaw()
            assert lost.result(60).status in (200, 503)
            wait_until(lambda: ask(one).status == 200, "it is itself again", SLACK_S)
            # Both tokens are good. What counts is that the later one is still the one that is shared.
            assert ask(one).json()["token"] in provider.simulator.provider.issued
        [key] = redis.ask("KEYS", "farmlokal:token:*")
        assert redis.ask("HGET", key, "owner") == b""
        assert ask(other).json()["token"] == token
        assert provider.calls == 2


def test_a_provider_in_trouble_is_not_noticed(tmp_path: Path) -> None:
    """While there is a good token, whatever the provider does costs no caller an answer."""
    faults = [
        Behaviour(status=500),
        Behaviour(fault="html"),
        Behaviour(fault="hang"),
        Behaviour(fault="reset"),
    ]
    with simulated() as provider, instances(tmp_path, provider) as (servers, _):
        # Of a life of 35 s the next token is wanted at once.
        provider.play(Behaviour(life_s=35), *faults)
        began = time.monotonic()
        while time.monotonic() < began + 3:
            for server in servers:
                answer = ask(server)
                assert answer.status == 200
                assert 30 <= answer.json()["expires_in"] <= 35
        assert provider.calls >= 2


def test_no_secret_is_told(tmp_path: Path) -> None:
    """Our secret at the provider, its tokens and whatever it sends back are in no log at debug level, metric,
    refusal or command line, and not readable in Redis."""
    secret, token = "canary-of-the-client", "canary-of-the-provider"
    steps = [
        Behaviour(members={"error": secret, "error_description": token}, without=("access_token",)),
        Behaviour(fault="garbage"),
        Behaviour(members={"access_token": token}, life_s=35),
    ]
    with (
        simulated("client", secret) as provider,
        Valkey() as redis,
        fleet(
            new_database(tmp_path),
            tmp_path,
            1,
            {
                "FARMLOKAL_LOG_LEVEL": "debug",
                "FARMLOKAL_REDIS_URL": redis.url,
                "FARMLOKAL_UPSTREAM_TOKEN_URL": f"{provider.token_url}?key=canary-of-the-url",
                "FARMLOKAL_UPSTREAM_CLIENT_ID": "client",
                "FARMLOKAL_UPSTREAM_CLIENT_SECRET": secret,
                "FARMLOKAL_UPSTREAM_AUTH": "client_secret_post",
            },
        ) as [server],
    ):
        provider.play(*steps)
        told: list[bytes] = []

        def given() -> bool:
            answer = ask(server)
            if answer.status != 200:
                told.append(answer.body)
            return answer.status == 200

        wait_until(given, "a token is given", 30 + SLACK_S)
        assert ask(server).json()["token"] == token
        for path, headers in (
            ("/auth/token?token=canary-in-the-query", {}),
            ("/auth/token", {"Host": "elsewhere", "Authorization": "Bearer canary-of-the-caller"}),
            ("/metrics", {}),
            ("/openapi.json", {}),
            ("/readyz", {}),
        ):
            answer = ask(server, path, headers)
            told += [answer.body, str(answer.headers).encode()]
        told += [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in server.process.members()]
        told += [redis.ask("DUMP", key) for key in redis.ask("KEYS", "*")]
        told.append(server.log.read_bytes())
        assert len(told) > 10
        assert b"no upstream token" in told[-1]
        assert b"upstream token given away" in told[-1]
        assert not [text for text in told if b"canary" in text]
