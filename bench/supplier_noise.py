"""What `/api/products` costs beside a supplier that is slow, dead or hostile.

Two servers on one core, each with a simulated supplier of its own, the load on the other core. A pair is a
run of each, with the same callers: many of one hot page, and a few of `/external/products`, each with a
question of its own. The supplier of one is well, that of the other is not; whose turn is first alternates.
Two servers, and not one whose supplier falls ill and recovers: its circuit would still be open when it is
measured as well. In the first row both are well, so it tells how far two equal servers are apart.

A run has two parts. Callers who come as fast as they are answered tell the processor time of a page; callers
at a rate far below that tell how long a page takes, each from the moment when it was due. The suppliers get
only the time that the load leaves: they are another company's machines, and packing a bomb is not our delay.
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
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.load import CONNECTIONS, Asked, Load, ask, family, request, send
from bench.processes import cores, environment, free_port, listening, module, started
from bench.report import Spread, table, write
from farmlokal.outside import settings_for

PAIRS = 9
RUN_S = 2.0
TIMED_S = 4.0
CALLERS_S = 20  # calls of /external/products a second
TIMED_RATE = 500  # pages a second in the part that is timed
PRODUCTS = 5000
PAGE = "/api/products?limit=20"
TROUBLES: dict[str, list[dict[str, object]]] = {
    "well": [],
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
    peak_mb: float


class Side(NamedTuple):
    """A server and its supplier."""

    port: int
    outside: int
    server: "subprocess.Popen[bytes]"


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
    with tempfile.TemporaryDirectory(prefix="farmlokal-bench-") as name:
        settings = environment(Path(name)) | {"FARMLOKAL_SUPPLIER_SYNC_HOURS": "0"}
        for command in (["migrate"], ["seed", "--products", str(PRODUCTS)]):
            subprocess.run(
                [sys.executable, "-m", "farmlokal", *command],
                env=settings,
                stdout=subprocess.DEVNULL,
                check=True,
                timeout=120,
            )
        for trouble, steps in TROUBLES.items():
            # Fresh ones for each: what one trouble leaves behind is no other's.
            with ExitStack() as stack:
                well, ill = (_side(stack, settings, ours_core, load_core) for _ in range(2))
                measured[trouble] = asyncio.run(_pairs(well, ill, steps, given.pairs))
    _report(measured, load_core is not None)


def _side(stack: ExitStack, settings: dict[str, str], ours_core: int | None, load_core: int | None) -> Side:
    outside, port = free_port(), free_port()
    simulate = ["farmlokal", "simulator", "--port", str(outside)]
    supplier = stack.enter_context(started(module(*simulate), settings, load_core))
    os.setpriority(os.PRIO_PROCESS, supplier.pid, 19)
    serve = ["farmlokal", "serve", "--port", str(port)]
    server = stack.enter_context(started(module(*serve), settings | settings_for(outside), ours_core))
    return Side(port, outside, server)


async def _pairs(well: Side, ill: Side, steps: list[dict[str, object]], pairs: int) -> list[tuple[Run, Run]]:
    numbers, found = count(), []
    for side in (well, ill):
        for port in (side.outside, side.port):
            await listening(port, side.server)
        await _run(side, numbers)  # warms up
    await _play(ill.outside, steps)
    for turn in range(pairs):
        first, second = (well, ill) if turn % 2 else (ill, well)
        runs = {first: await _run(first, numbers), second: await _run(second, numbers)}
        found.append((runs[well], runs[ill]))
    return found


async def _run(side: Side, skip: "count[int]") -> Run:
    ended = asyncio.Event()
    callers = asyncio.create_task(_callers(side.port, ended, skip))
    load: Load = await send(side.port, [Asked(request(PAGE))], RUN_S, side.server.pid)
    begin = time.perf_counter() + 0.1
    timed = await asyncio.gather(
        *(_timed(side.port, begin + number / TIMED_RATE, begin + TIMED_S) for number in range(CONNECTIONS))
    )
    ended.set()
    await callers
    if load.wrong:
        sys.exit(f"{len(load.wrong)} wrong answers, the first {load.wrong[0].status}")
    peak = max(_peak_mb(each) for each in family(side.server.pid))
    p99 = statistics.quantiles(chain.from_iterable(timed), n=100)[98]
    return Run(load.cpu_s / load.answers * 1e6, p99 * 1e3, peak)


async def _callers(port: int, ended: asyncio.Event, skip: "count[int]") -> None:
    """Callers of the supplier who come at a rate, whether or not those before them were answered."""
    asked = []
    while not ended.is_set():
        asked.append(asyncio.create_task(ask(port, f"/external/products?limit=1&skip={next(skip)}")))
        await asyncio.sleep(1 / CALLERS_S)
    for each in asked:  # who is not answered yet leaves
        each.cancel()
    await asyncio.gather(*asked, return_exceptions=True)


async def _timed(port: int, due: float, until: float) -> list[float]:
    """Seconds from when each page was due to its last byte, on one of the connections that share the rate."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times = []
    while due < until:
        await asyncio.sleep(due - time.perf_counter())
        writer.write(request(PAGE))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        times.append(time.perf_counter() - due)
        due += CONNECTIONS / TIMED_RATE
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


def _peak_mb(process: int) -> float:
    """The most memory that a process ever had."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def _report(measured: dict[str, list[tuple[Run, Run]]], pinned: bool) -> None:
    rows, results = [], {}
    for trouble, pairs in measured.items():
        cpu = Spread.of([bad.cpu_us / good.cpu_us for good, bad in pairs])
        p99 = Spread.of([bad.p99_ms / good.p99_ms for good, bad in pairs])
        more_mb = pairs[-1][1].peak_mb - pairs[-1][0].peak_mb
        rows.append([trouble, cpu.show(2), p99.show(2), f"{more_mb:+.1f}"])
        results[trouble] = {
            "cpu_ratio": cpu.rounded(3),
            "p99_ratio": p99.rounded(3),
            "more_mb": round(more_mb, 1),
            "well_cpu_us": round(statistics.median(good.cpu_us for good, _ in pairs), 1),
            "well_p99_ms": round(statistics.median(good.p99_ms for good, _ in pairs), 2),
        }
    table(["supplier", "x CPU an answer", "x p99", "MB more"], rows)
    parameters = {
        "pairs": len(next(iter(measured.values()))),
        "run_s": RUN_S,
        "timed_s": TIMED_S,
        "pinned": pinned,
    }
    write(
        "supplier_noise",
        {**parameters, "connections": CONNECTIONS, "callers_s": CALLERS_S, "timed_rate": TIMED_RATE},
        results,
    )


if __name__ == "__main__":
    main()
