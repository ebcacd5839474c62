"""What a second instance adds on one machine, and what binds: 1 → 2 instances over one MariaDB and one
Valkey.

A pair is a run of the same load against one instance and against both, half of the connections each; which is
first alternates. Nothing is pinned: instances, databases and load share the cores as the kernel sees fit,
which is what a machine does that has no more of them. So read the ratio of rates beside the share of the
machine that was busy, and the processor time of an answer: where that stays the same, instances are not in
each other's way, and where the machine is full, it is the machine that binds.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import NamedTuple

import uvloop

from bench.catalogue import DURABLE, Catalogue, catalogue
from bench.contenders import SECRET_KEY, WEBHOOK_SECRET, Contender
from bench.load import Asked, Load, cpu_s, request, send
from bench.processes import environment, free_port, leave_when_told, listening, module, started
from bench.report import Spread, table, write
from bench.workloads import CALLERS, events
from tests.support.servers.valkey import Valkey

PAIRS = 7
RUN_S = 3.0
WARM_S = 2.0
PRODUCTS = 20_000
READERS = 16
PRICES = 20_000
"""Different least prices of a page, in paise."""


class Workload(NamedTuple):
    """Requests that all connections share, and how many of those there are."""

    requests: Callable[[], Iterable[Asked]]
    connections: int


class Run(NamedTuple):
    """Good answers a second; µs of CPU an answer of the instances, of MariaDB and of the load; the share of
    the machine that was busy, and how many cores the busiest instance had."""

    rate: float
    instances_us: float
    database_us: float
    load_us: float
    busy: float
    cores: float


def main() -> None:
    """Measure, print, write."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--pairs", type=int, default=PAIRS)
    arguments.add_argument("--products", type=int, default=PRODUCTS)
    given = arguments.parse_args()
    leave_when_told()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="farmlokal-bench-")))
        filled = stack.enter_context(catalogue(given.products, environment(folder), DURABLE))
        redis = stack.enter_context(Valkey())
        settings = environment(folder) | {
            "FARMLOKAL_DATABASE_URL": filled.url,
            "FARMLOKAL_REDIS_URL": redis.url,
            "FARMLOKAL_PROFILE": "production",
            "FARMLOKAL_SECRET_KEY": SECRET_KEY,
            "FARMLOKAL_WEBHOOK_SECRETS": WEBHOOK_SECRET,
        }
        instances = []
        for number in range(2):
            port = free_port()
            serve = module("farmlokal", "serve", "--port", str(port))
            log = folder / f"instance-{number}.log"
            instances.append(Contender(port, stack.enter_context(started(serve, settings, None, log))))
            asyncio.run(listening(port, instances[-1].process))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            measured = runner.run(_measured(instances, filled, given.pairs))
    _report(measured, given.pairs, given.products)


async def _measured(
    instances: Sequence[Contender], filled: Catalogue, pairs: int
) -> dict[str, list[tuple[Run, Run]]]:
    workloads = {
        "hot page": Workload(lambda: [Asked(request("/api/products?limit=20"))], READERS),
        "pages that nobody asked for": Workload(_misses(), READERS),
        "events": Workload(_events(), CALLERS),
    }
    measured: dict[str, list[tuple[Run, Run]]] = {name: [] for name in workloads}
    for turn in range(-1, pairs):  # the first is for warming up
        for name, workload in workloads.items():
            runs = {}
            for most in (1, 2) if turn % 2 else (2, 1):
                seconds = WARM_S if turn < 0 else RUN_S
                runs[most] = await _run(instances[:most], filled, workload, seconds)
            if turn >= 0:
                measured[name].append((runs[1], runs[2]))
                print(f"{turn + 1}/{pairs} {name}: {runs[2].rate / runs[1].rate:.2f}", file=sys.stderr)
    return measured


async def _run(instances: Sequence[Contender], filled: Catalogue, workload: Workload, seconds: float) -> Run:
    requests = workload.requests()
    database = filled.server.process.pid
    before = (cpu_s(database), time.process_time(), _machine())
    loads: list[Load] = await asyncio.gather(
        *(
            send(each.port, requests, seconds, each.process.pid, workload.connections // len(instances))
            for each in instances
        )
    )
    after = (cpu_s(database), time.process_time(), _machine())
    if wrong := [answer for load in loads for answer in load.wrong]:
        raise SystemExit(f"{len(wrong)} wrong answers, the first {wrong[0].status} {wrong[0].body[:200]!r}")
    answers = sum(load.answers for load in loads)
    (busy, whole), (busy_before, whole_before) = after[2], before[2]
    return Run(
        rate=sum(load.answers / load.seconds for load in loads),
        instances_us=sum(load.cpu_s for load in loads) / answers * 1e6,
        database_us=(after[0] - before[0]) / answers * 1e6,
        load_us=(after[1] - before[1]) / answers * 1e6,
        busy=(busy - busy_before) / (whole - whole_before),
        cores=max(load.cpu_s / load.seconds for load in loads),
    )


def _misses() -> Callable[[], Iterator[Asked]]:
    numbers = count()

    def page(number: int) -> str:
        least, most = number % PRICES, 100_000 + number // PRICES
        return f"/api/products?limit=20&sort=price&minPrice={least / 100:.2f}&maxPrice={most}"

    return lambda: (Asked(request(page(number))) for number in numbers)


def _events() -> Callable[[], Iterator[Asked]]:
    endless = events("scaling")
    return lambda: endless


def _machine() -> tuple[float, float]:
    """Ticks of all cores that were busy, and all ticks: of whatever runs on this machine (proc(5))."""
    fields = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return sum(fields) - idle, sum(fields)


def _report(measured: Mapping[str, Sequence[tuple[Run, Run]]], pairs: int, products: int) -> None:
    rows, results = [], {}
    for name, runs in measured.items():
        ratio = Spread.of([two.rate / one.rate for one, two in runs])
        told: dict[str, object] = {"ratio": ratio.rounded(3)}
        cells = [name, ratio.show(2)]
        for member in Run._fields:
            one, two = (Spread.of([getattr(pair[at], member) for pair in runs]) for at in range(2))
            told[member] = [one.rounded(3), two.rounded(3)]
            digits = 2 if member in ("busy", "cores") else 0
            cells.append(f"{one.median:,.{digits}f} → {two.median:,.{digits}f}")
        rows.append(cells)
        results[name] = told
    table(
        [
            "workload",
            "rate, 2 ÷ 1",
            "answers/s",
            "µs instances",
            "µs MariaDB",
            "µs load",
            "busy",
            "cores of one",
        ],
        rows,
    )
    write("scaling", {"pairs": pairs, "run_s": RUN_S, "products": products, "cores": os.cpu_count()}, results)


if __name__ == "__main__":
    main()
