"""What it costs a hot page of `/api/products` that everything is counted.

Two servers on one core, one that keeps all metrics and one that keeps none (`metrics_server.py`), the load on
the other core. A pair is a run of each with the same callers; whose turn is first alternates. In the first
row both keep them, so it tells how far two equal servers are apart. A hot page is answered by the fast lane;
the last row has it switched off, so the long way is measured, too.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import timeit
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from bench.load import CONNECTIONS, Asked, request, send
from bench.metrics_server import REMAINS, nothing
from bench.processes import (
    cores,
    environment,
    farmlokal,
    free_port,
    leave_when_told,
    listening,
    module,
    started,
)
from bench.report import Spread, table, write

PAIRS = 11
RUN_S = 2.0  # a tick of processor time is 10 ms
PRODUCTS = 5000
PAGE = "/api/products?limit=20"
BAR = 1.05
ROWS = {
    "both count": ("on", "on", "on"),
    "hot page": ("on", "off", "on"),
    "hot page, the long way": ("on", "off", "off"),
}
"""What is compared: the metrics of the one, of the other, and the fast lane of both."""


class Side(NamedTuple):
    """One of the two."""

    port: int
    server: "subprocess.Popen[bytes]"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--pairs", type=int, default=PAIRS)
    given = arguments.parse_args()
    if not Path("/proc/self/stat").exists():
        sys.exit("metrics_cost: processor time is read from /proc, so this bench needs Linux")
    leave_when_told()
    ours_core, load_core = cores()
    if load_core is not None:
        os.sched_setaffinity(0, {load_core})
    measured: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="farmlokal-bench-") as name:
        settings = environment(Path(name))
        farmlokal(settings, "migrate")
        farmlokal(settings, "seed", "--products", str(PRODUCTS))
        for row, (one, other, lane) in ROWS.items():
            own = settings | {"FARMLOKAL_FAST_LANE": lane}
            with ExitStack() as stack:
                counted, bare = (_side(stack, own, kept, ours_core) for kept in (one, other))
                measured[row] = asyncio.run(_pairs(counted, bare, given.pairs))
    _report(measured, load_core is not None)


def _side(stack: ExitStack, settings: dict[str, str], kept: str, core: int | None) -> Side:
    port = free_port()
    command = module("bench.metrics_server", str(port), kept)
    return Side(port, stack.enter_context(started(command, settings, core)))


async def _pairs(counted: Side, bare: Side, pairs: int) -> list[tuple[float, float]]:
    """Microseconds of processor time a request, of both."""
    for side in (counted, bare):
        await listening(side.port, side.server)
        await _run(side)  # warms up
    found = []
    for turn in range(pairs):
        first, second = (counted, bare) if turn % 2 else (bare, counted)
        runs = {first: await _run(first), second: await _run(second)}
        found.append((runs[counted], runs[bare]))
    return found


async def _run(side: Side) -> float:
    load = await send(side.port, [Asked(request(PAGE))], RUN_S, side.server.pid)
    if load.wrong:
        sys.exit(f"{len(load.wrong)} wrong answers, the first {load.wrong[0].status}")
    return load.cpu_s / load.answers * 1e6


def _report(measured: dict[str, list[tuple[float, float]]], pinned: bool) -> None:
    remains_us = _remains_us()
    rows, results = [], dict[str, dict[str, Any]]()
    for row, pairs in measured.items():
        without_us = remains_us if ROWS[row][1] == "off" else 0
        ratio = Spread.of([counted / (bare - without_us) for counted, bare in pairs])
        counted_us, bare_us = (statistics.median(each) for each in zip(*pairs, strict=True))
        rows.append([row, f"{counted_us:.1f}", f"{bare_us:.1f}", ratio.show(3)])
        results[row] = {
            "ratio": ratio.rounded(),
            "counted_us": round(counted_us, 2),
            "bare_us": round(bare_us, 2),
        }
    table(["", "counted, CPU us", "bare, CPU us", "counted / bare"], rows)
    print(f"Of the bare ones {remains_us:.2f} us are taken off, which metrics take there, too.")
    parameters = {"pairs": len(next(iter(measured.values()))), "run_s": RUN_S, "pinned": pinned}
    parameters |= {"connections": CONNECTIONS, "remains_us": round(remains_us, 3)}
    write("metrics_cost", parameters, results)
    if results["hot page"]["ratio"]["median"] > BAR:
        sys.exit(f"metrics_cost: over the bar of {BAR}")


def _remains_us() -> float:
    """What metrics cost a request of the server that keeps none."""
    given = {"perf_counter": perf_counter, "counts": Counter(hit=0), "nothing": nothing}
    return min(timeit.repeat(REMAINS, globals=given, repeat=5, number=100_000)) * 10


if __name__ == "__main__":
    main()
