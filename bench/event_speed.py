"""Durable events a second over HTTP, at 1, 16 and 64 callers: shared commits, a transaction each, and a
server that only asks Valkey (`event_servers`). Every event is new, changes its order, and is answered 200, or
the run fails.

Each server runs on one core and the load on the other, beside MariaDB and Valkey. In every round each of them
is measured in turn, so that all see the same machine.
"""

import argparse
import asyncio
import base64
import hmac
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.load import cpu_s
from bench.processes import cores, environment, free_port, module, started
from bench.report import Spread, table, write
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.valkey import Valkey

ROUNDS, RUN_S, WARM_S = 5, 3.0, 0.5
CALLERS = (1, 16, 64)
SERVERS = {"shared commits": "shared", "a transaction each": "one_each", "SETNX only": "setnx"}
SECRET = b"a-secret-of-the-bench-0123456789"
ORDERS = 5000


class Run(NamedTuple):
    """Events answered 200, in how many seconds, and the server's processor time."""

    events: int
    seconds: float
    cpu_s: float


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    given = arguments.parse_args()
    if not Path("/proc/self/stat").exists():
        sys.exit("event_speed: processor time is read from /proc, so this bench needs Linux")
    server_core, load_core = cores()
    with tempfile.TemporaryDirectory(prefix="farmlokal-bench-") as name, ExitStack() as stack:
        valkey = stack.enter_context(Valkey())
        mariadb = stack.enter_context(MariaDb())
        database = stack.enter_context(mariadb.migrated())
        if load_core is not None:
            os.sched_setaffinity(0, {load_core})
        settings = environment(Path(name)) | {
            "FARMLOKAL_DATABASE_URL": database.url,
            "BENCH_REDIS_URL": valkey.url,
            "BENCH_SECRET": SECRET.decode(),
        }
        ports, processes = {}, {}
        for label, factory in SERVERS.items():
            ports[label] = free_port()
            command = ["uvicorn", "--no-access-log", "--factory", "--port", str(ports[label])]
            command.append(f"bench.event_servers:{factory}")
            processes[label] = stack.enter_context(started(module(*command), settings, server_core))
        measured = asyncio.run(
            _measured(ports, {name: each.pid for name, each in processes.items()}, given.rounds)
        )
    _report(measured, given.rounds, load_core is not None)


async def _measured(
    ports: dict[str, int], pids: dict[str, int], rounds: int
) -> dict[tuple[str, int], list[Run]]:
    """By server and number of callers."""
    measured: dict[tuple[str, int], list[Run]] = {}
    numbers = itertools.count()
    for port in ports.values():
        await _up(port)
    for turn in range(-1, rounds):  # the first is for warming up
        for callers in CALLERS:
            for label, port in ports.items():
                run = await _run(port, pids[label], callers, WARM_S if turn < 0 else RUN_S, numbers)
                if turn >= 0:
                    measured.setdefault((label, callers), []).append(run)
    return measured


async def _up(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


async def _run(port: int, pid: int, callers: int, seconds: float, numbers: Iterator[int]) -> Run:
    """Callers that each send one event after another."""
    before_s, began_s = cpu_s(pid), time.monotonic()
    done = await asyncio.gather(*(_caller(port, began_s + seconds, numbers) for _ in range(callers)))
    return Run(sum(done), time.monotonic() - began_s, cpu_s(pid) - before_s)


async def _caller(port: int, until_s: float, numbers: Iterator[int]) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    done = 0
    try:
        while time.monotonic() < until_s:
            writer.write(_request(next(numbers)))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            if not head.startswith(b"HTTP/1.1 200") or body != b'{"status":"processed"}':
                raise SystemExit(f"answered {head[:12]!r} {body[:200]!r}")
            done += 1
    finally:
        writer.close()
    return done


def _request(number: int) -> bytes:
    """A signed event that is new and the greatest of its order."""
    said = {
        "eventId": f"event-{number}",
        "orderId": f"order-{number % ORDERS}",
        "sequence": number,
        "status": "packed" if number % 2 else "accepted",
        "occurredAt": "2026-07-24T06:30:00Z",
    }
    body, at = msgspec.json.encode(said), str(int(time.time())).encode()
    identity = f"event-{number}".encode()
    mac = base64.b64encode(hmac.digest(SECRET, b".".join((identity, at, body)), "sha256"))
    head = (
        b"POST /webhook/order-update HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\nwebhook-id: %s\r\nwebhook-timestamp: %s\r\nwebhook-signature: v1,%s\r\n\r\n"
    )
    return head % (len(body), identity, at, mac) + body


def _report(measured: dict[tuple[str, int], list[Run]], rounds: int, pinned: bool) -> None:
    rates = {key: Spread.of([run.events / run.seconds for run in runs]) for key, runs in measured.items()}
    costs = {key: Spread.of([run.cpu_s / run.events * 1e6 for run in runs]) for key, runs in measured.items()}
    rows = []
    for callers in CALLERS:
        each = rates["a transaction each", callers].median
        for label in SERVERS:
            rate = rates[label, callers]
            rows.append(
                [
                    f"{callers} callers, {label}",
                    rate.show(),
                    costs[label, callers].show(),
                    f"{rate.median / each:.2f}",
                ]
            )
    table(["callers", "events/s", "CPU us an event", "x a transaction each"], rows)
    write(
        "event_speed",
        {"rounds": rounds, "run_s": RUN_S, "orders": ORDERS, "pinned": pinned},
        {
            f"{label}, {callers} callers": {
                "events_s": rate.rounded(1),
                "cpu_us": costs[label, callers].rounded(1),
            }
            for (label, callers), rate in rates.items()
        },
    )


if __name__ == "__main__":
    main()
