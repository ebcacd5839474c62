"""What a request costs beside others who do the same: Express, nginx, the bare database.

One worker of each on one core, the load on another, MariaDB and Valkey beside them; limiter, metrics and
request ids are on. In every round each workload is sent to each contender in turn, so that all see the same
machine. What counts is the processor time of the server for a good answer, and the ratio within a round.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from bench import page, workloads
from bench.catalogue import DURABLE, catalogue
from bench.contenders import Bare, Field, bare, field
from bench.load import Asked, Load, collect, family, request, send
from bench.processes import cores, environment, leave_when_told
from bench.report import RESULTS, Spread, read, table, write
from bench.workloads import CALLERS, Workload, hot, misses, mix, named, not_modified, places
from tests.support.servers.valkey import Valkey

PRODUCTS = 200_000
ROUNDS = 7
RUN_S = 1.0  # a tick of processor time is 10 ms
WARM_S = 0.5
NAMES = ("hot page", "hot mix", "304", "search", "detail", "facets", "misses", "deep", "webhooks", "tokens")
BARS = {
    ("hot page", "express"): 10.0,
    ("hot page", "nginx"): 0.5,
    ("304", "express"): 10.0,
    ("304", "nginx"): 0.5,
    ("hot mix", "express"): 7.0,
    ("misses", "express"): 2.0,
    ("misses", "bare"): 0.5,
    ("webhooks", "express"): 1.5,
}
"""Least that theirs ÷ ours may be, in processor time."""

Measured = dict[str, dict[str, list[Load]]]
Results = dict[str, Any]


def main() -> None:
    given = _arguments().parse_args()
    if not Path("/proc/self/stat").exists():
        sys.exit("speed: processor time is read from /proc, so this bench needs Linux")
    chosen = given.only.split(",") if given.only else list(NAMES)
    if unknown := set(chosen) - set(NAMES):
        sys.exit(f"speed: no workload {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    leave_when_told()
    run = measure(given.products, given.rounds, given.workers, chosen)
    show(run["results"])
    name = "speed" if given.workers == 1 else f"speed_{given.workers}_workers"
    name += "" if given.products == PRODUCTS else f"_{given.products}"
    write(name, run["parameters"], run["results"])
    (RESULTS / "report.html").write_text(page.of(read(name)), encoding="utf-8")
    print("bench/results/report.html")
    if wrong := _complaints(run["results"]):
        sys.exit("\n".join(wrong))


def _arguments() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--products", type=int, default=PRODUCTS)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    arguments.add_argument("--workers", type=int, default=1)
    arguments.add_argument("--only", help="workloads with commas between them")
    return arguments


def measure(products: int, rounds: int, workers: int, chosen: Iterable[str]) -> Results:
    """Start everyone, ask them, stop them: `parameters` and `results`."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="farmlokal-bench-")))
        filled = stack.enter_context(catalogue(products, environment(folder), DURABLE))
        valkey = stack.enter_context(Valkey())
        ours_core, load_core = cores()  # from here on: the databases keep all
        everyone = os.sched_getaffinity(0)
        if load_core is not None:
            os.sched_setaffinity(0, {load_core})
            stack.callback(os.sched_setaffinity, 0, everyone)
        of = stack.enter_context(field(folder, filled, valkey, ours_core, workers))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            measured, memory = runner.run(_run(of, rounds, list(chosen)))
    parameters = {"products": products, "rounds": rounds, "run_s": RUN_S, "workers": workers}
    parameters |= {"pinned": load_core is not None}
    return {"parameters": parameters, "results": _results(measured, memory)}


async def _run(of: Field, rounds: int, chosen: list[str]) -> tuple[Measured, list[int]]:
    prepared = await _prepared(of, chosen)
    measured: Measured = {name: {} for name in prepared}
    with ExitStack() as stack:
        ceiling: Bare | None = None
        if "misses" in prepared:
            texts = await workloads.statements(of, prepared["misses"])
            ceiling = stack.enter_context(bare(of, workloads.RECORDED, texts))
        for turn in range(-1, rounds):  # the first is for warming up
            _note(f"round {turn + 1} of {rounds}")
            seconds = WARM_S if turn < 0 else RUN_S
            for name, workload in prepared.items():
                loads = {
                    contender: await _sent(of, workload, contender, seconds) for contender in workload.asked
                }
                if name == "misses" and ceiling is not None:
                    loads["bare"] = await ceiling.run(seconds)
                for contender, load in loads.items() if turn >= 0 else ():
                    measured[name].setdefault(contender, []).append(load)
        return measured, [resident_mb(each) for each in family(of.servers["ours"].process.pid)]


async def _sent(of: Field, workload: Workload, contender: str, seconds: float) -> Load:
    port, process = of.servers[contender]
    if workload.warm_s:
        await send(port, workload.asked[contender], workload.warm_s, process.pid, workload.connections)
    return await send(port, workload.asked[contender], seconds, process.pid, workload.connections)


async def _prepared(of: Field, chosen: list[str]) -> dict[str, Workload]:
    categories = await named(of)
    anywhere, deep = places(of, seed=11)
    first = "/api/products?limit=20"
    searches = [f"/api/products?search={word}" for word in workloads.SEARCHES]
    details = [f"/api/products/{place.identity}" for place in anywhere[: workloads.VARIANTS]]
    facets = ["/api/facets?facets=category,organic"]
    mixed, missed = anywhere[:5_000], anywhere[5_000:]
    make: dict[str, Callable[[], Awaitable[Workload]]] = {
        "hot page": lambda: hot(of, [first], "express", "express, no limit", "nginx"),
        "hot mix": lambda: mix(of, mixed, categories),
        "304": lambda: not_modified(of, first, "express", "nginx"),
        "search": lambda: hot(of, searches, "express", "nginx"),
        "detail": lambda: hot(of, details, "express", "nginx"),
        "facets": lambda: hot(of, facets, "nginx"),
        "misses": lambda: misses(of, missed, categories, tuple(workloads.KEYS), 13),
        "deep": lambda: misses(of, deep, [], ("id", "price"), 17),
        "webhooks": _webhooks,
        "tokens": lambda: _tokens(of),
    }
    prepared = {}
    for name in chosen:
        prepared[name] = await make[name]()
        _note(f"{name} is prepared")
    return prepared


def _note(what: str) -> None:
    """How far it is, for whoever waits."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr)


async def _webhooks() -> Workload:
    return Workload({name: workloads.events(name) for name in ("ours", "express")}, CALLERS)


async def _tokens(of: Field) -> Workload:
    """The upstream token: ours for a bearer who may have it, theirs for anyone."""
    identity, secret = of.credentials["client_id"], of.credentials["client_secret"]
    basic = b64encode(f"{identity}:{secret}".encode()).decode()
    headers = f"Authorization: Basic {basic}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    form = b"grant_type=client_credentials"
    port = of.servers["ours"].port
    [answer] = await collect(port, [Asked(request("/oauth/token", headers, "POST", form))], 1)
    token = msgspec.json.decode(answer.body)["access_token"]
    of.express_cache.set("oauth:token", "t" * 43)
    return Workload(
        {
            "ours": [Asked(request("/auth/token", f"Authorization: Bearer {token}\r\n"))],
            "express": [Asked(request("/auth/token"))],
        }
    )


def resident_mb(process: int) -> int:
    """Of one process, as the kernel counts it."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    return 0


def _results(measured: Measured, memory: list[int]) -> Results:
    found: Results = {}
    for name, contenders in measured.items():
        ours = contenders["ours"]
        found[name] = {
            contender: _one(name, contender, ours, loads) for contender, loads in contenders.items()
        }
    found["resident_mb"] = memory
    return found


def _one(name: str, contender: str, ours: list[Load], loads: list[Load]) -> dict[str, Any]:
    wrong = [answer for load in loads for answer in load.wrong]
    told: dict[str, Any] = {"wrong": len(wrong)}
    if wrong:
        told["first_wrong"] = f"{wrong[0].status} {wrong[0].body[:200].decode(errors='replace')}"
    if not all(load.answers for load in (*loads, *ours)):
        return told
    told["cpu_us"] = Spread.of([_cpu_us(load) for load in loads]).rounded(1)
    told["requests_s"] = Spread.of([load.answers / load.seconds for load in loads]).rounded(0)
    if contender != "ours":
        pairs = list(zip(ours, loads, strict=True))
        ratio = Spread.of([_cpu_us(theirs) / _cpu_us(own) for own, theirs in pairs])
        rate = [own.answers / own.seconds / (theirs.answers / theirs.seconds) for own, theirs in pairs]
        told |= {"cpu_to_ours": ratio.rounded(3), "our_rate_to_theirs": round(statistics.median(rate), 2)}
        bar = BARS.get((name, contender))
        if bar is not None:
            told |= {"bar": bar, "met": ratio.median >= bar}
    return told


def _cpu_us(load: Load) -> float:
    return max(load.cpu_s, 0.001) / load.answers * 1e6


def show(results: Results) -> None:
    """Print what was measured."""
    rows = []
    for name, contender, one in entries(results):
        if "cpu_us" not in one:
            rows.append((f"{name}: {contender}", "-", "-", "-", "-", "-"))
            continue
        ratio = one.get("cpu_to_ours")
        bar = f"{one['bar']:g} {'met' if one['met'] else 'missed'}" if "bar" in one else ""
        rows.append(
            (
                f"{name}: {contender}",
                Spread(**one["cpu_us"]).show(),
                Spread(**one["requests_s"]).show(),
                Spread(**ratio).show(2) if ratio else "",
                f"{one['our_rate_to_theirs']:.2f}" if ratio else "",
                bar,
            )
        )
    header = (
        "workload: contender",
        "µs CPU a request",
        "requests/s",
        "CPU, theirs ÷ ours",
        "rate, ours ÷ theirs",
    )
    table((*header, "bar"), rows)
    print("resident, MB, parent and workers:", *results["resident_mb"])


def entries(results: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(workload, contender, what was measured) of a results object."""
    for name, contenders in results.items():
        if isinstance(contenders, dict):
            for contender, one in contenders.items():
                yield name, contender, one


def _complaints(results: Results) -> list[str]:
    return [
        f"{contender}, {name}: {one['wrong']} wrong answers, the first {one.get('first_wrong')}"
        for name, contender, one in entries(results)
        if one["wrong"]
    ]


if __name__ == "__main__":
    main()
