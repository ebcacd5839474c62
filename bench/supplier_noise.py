"""What `/api/products` costs beside a supplier that is slow, dead or hostile.

One server on one core, the load on the other. A pair is two runs with the same callers: many of one hot
page, and a few of `/external/products`, each with a question of its own. In one run the supplier is well, in
the other it is not; which comes first alternates. Reported are the ratio of the processor time an answer and
that of the 99th percentile of a prober, each pair on its own, and the memory of the worker.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.load import CONNECTIONS, Asked, Load, ask, family, request, send
from bench.processes import cores, environment, free_port, listening, module, started
from bench.report import Spread, table, write
from farmlokal.outside import settings_for

PAIRS = 9
RUN_S = 2.0
CALLERS_S = 20  # calls of /external/products a second
PROBE_S = 0.01
PRODUCTS = 5000
PAGE = "/api/products?limit=20"
WELL: list[dict[str, object]] = []
TROUBLES: dict[str, list[dict[str, object]]] = {
    "slow (3 s)": [{"latencyS": 3}],
    "dead (hangs)": [{"fault": "hang"}],
    "resets": [{"fault": "reset"}],
    "gzip bomb": [{"fault": "gzip-bomb"}],
    "a gigabyte": [{"fault": "huge-body"}],
}


class Run(NamedTuple):
    """One half of a pair."""

    cpu_us: float
    p99_ms: float
    rss_mb: float


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--pairs", type=int, default=PAIRS)
    given = arguments.parse_args()
    if not Path("/proc/self/stat").exists():
        sys.exit("supplier_noise: processor time is read from /proc, so this bench needs Linux")
    ours_core, load_core = cores()
    if load_core is not None:
        os.sched_setaffinity(0, {load_core})
    measured: dict[str, list[tuple[Run, Run]]] = {}
    with tempfile.TemporaryDirectory(prefix="farmlokal-bench-") as name, ExitStack() as stack:
        settings = environment(Path(name)) | {"FARMLOKAL_SUPPLIER_SYNC_HOURS": "0"}
        outside = free_port()
        settings |= settings_for(outside)
        for command in (["migrate"], ["seed", "--products", str(PRODUCTS)]):
            subprocess.run(
                [sys.executable, "-m", "farmlokal", *command],
                env=settings,
                stdout=subprocess.DEVNULL,
                check=True,
                timeout=120,
            )
        stack.enter_context(
            started(module("farmlokal", "simulator", "--port", str(outside)), settings, load_core)
        )
        for trouble in TROUBLES:
            # A server for each: what one trouble leaves behind is no other's.
            with ExitStack() as one:
                port = free_port()
                serve = ["farmlokal", "serve", "--port", str(port)]
                server = one.enter_context(started(module(*serve), settings, ours_core))
                measured[trouble] = asyncio.run(_pairs(port, outside, server, trouble, given.pairs))
    _report(measured, load_core is not None)


async def _pairs(
    port: int, outside: int, server: "subprocess.Popen[bytes]", trouble: str, pairs: int
) -> list[tuple[Run, Run]]:
    await listening(port, server)
    await _run(port, outside, server, WELL, count())  # warms up
    found, numbers = [], count(1)
    for turn in range(pairs):
        both = {}
        for well in (True, False) if turn % 2 else (False, True):
            steps = WELL if well else TROUBLES[trouble]
            both[well] = await _run(port, outside, server, steps, numbers)
        found.append((both[True], both[False]))
    return found


async def _run(
    port: int,
    outside: int,
    server: "subprocess.Popen[bytes]",
    steps: list[dict[str, object]],
    skip: "count[int]",
) -> Run:
    await _play(outside, steps)
    ended = asyncio.Event()
    callers = asyncio.create_task(_callers(port, ended, skip))
    prober = asyncio.create_task(_probe(port, ended))
    load: Load = await send(port, [Asked(request(PAGE))], RUN_S, server.pid)
    ended.set()
    times = await prober
    await callers
    if load.wrong:
        sys.exit(f"{len(load.wrong)} wrong answers, the first {load.wrong[0].status}")
    rss = max(_rss_mb(each) for each in family(server.pid))
    return Run(load.cpu_s / load.answers * 1e6, statistics.quantiles(times, n=100)[98] * 1e3, rss)


async def _callers(port: int, ended: asyncio.Event, skip: "count[int]") -> None:
    """Callers of the supplier who come at a rate, whether or not those before them were answered."""
    asked = []
    while not ended.is_set():
        asked.append(asyncio.create_task(ask(port, f"/external/products?limit=1&skip={next(skip)}")))
        await asyncio.sleep(1 / CALLERS_S)
    await asyncio.gather(*asked, return_exceptions=True)


async def _probe(port: int, ended: asyncio.Event) -> list[float]:
    """Seconds that the page takes on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times = []
    while not ended.is_set():
        begun = time.perf_counter()
        writer.write(request(PAGE))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        times.append(time.perf_counter() - begun)
        await asyncio.sleep(PROBE_S)
    writer.close()
    return times


async def _play(outside: int, steps: list[dict[str, object]]) -> None:
    body = msgspec.json.encode(steps)
    reader, writer = await asyncio.open_connection("127.0.0.1", outside)
    head = f"PUT /control/dummyjson HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    status = await reader.readline()
    writer.close()
    if b" 200 " not in status:
        sys.exit(f"the simulator said {status!r}")


def _rss_mb(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _report(measured: dict[str, list[tuple[Run, Run]]], pinned: bool) -> None:
    rows, results = [], {}
    for trouble, pairs in measured.items():
        cpu = Spread.of([bad.cpu_us / good.cpu_us for good, bad in pairs])
        p99 = Spread.of([bad.p99_ms / good.p99_ms for good, bad in pairs])
        more_mb = max(bad.rss_mb for _, bad in pairs) - pairs[0][0].rss_mb
        rows.append([trouble, cpu.show(2), p99.show(2), f"{more_mb:+.1f}"])
        results[trouble] = {
            "cpu_ratio": cpu.rounded(3),
            "p99_ratio": p99.rounded(3),
            "more_mb": round(more_mb, 1),
            "well_cpu_us": round(statistics.median(good.cpu_us for good, _ in pairs), 1),
            "well_p99_ms": round(statistics.median(good.p99_ms for good, _ in pairs), 2),
        }
    table(["supplier", "x CPU an answer", "x p99", "MB more"], rows)
    parameters = {"pairs": len(next(iter(measured.values()))), "run_s": RUN_S, "pinned": pinned}
    write("supplier_noise", {**parameters, "connections": CONNECTIONS, "callers_s": CALLERS_S}, results)


if __name__ == "__main__":
    main()
