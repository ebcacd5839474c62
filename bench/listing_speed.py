"""How much processor time a page of the listing costs, beside the same bytes from a dictionary.

`farmlokal serve` runs on one core and the load on another. In every round each workload is asked of the
application and of the ceiling (`ceiling.py`), one after the other, so that both see the same machine.
"""

import argparse
import asyncio
import os
import pickle
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from bench.ceiling import Answers
from bench.load import CONNECTIONS, Answer, Load, ask, drive
from bench.report import ROOT, Spread, table, write

PRODUCTS = 100_000
ROUNDS = 5
RUN_S = 2.0  # long enough that a tick of 10 ms of processor time is half a percent
WARM_S = 0.5
START_S = 20
VARIANTS = 8  # different pages a workload, so that no single one is warm everywhere
SEARCHES = ("banana", "tomato", "onion", "rice", "mango", "potato", "chilli", "coconut")
SETTINGS = ("FARMLOKAL_", "DB_", "REDIS_URL", "PORT")  # what the caller's environment may have set
DEPTH = 0.9  # of the catalogue lies before a deep page

Workloads = dict[str, dict[str, bytes]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    arguments.add_argument("--products", type=int, default=PRODUCTS)
    given = arguments.parse_args()
    if not Path("/proc/self/stat").exists():
        sys.exit("listing_speed: processor time is read from /proc, so this bench needs Linux")
    ours_core, load_core = _cores()
    if load_core is not None:
        os.sched_setaffinity(0, {load_core})
    with tempfile.TemporaryDirectory(prefix="farmlokal-bench-") as name:
        folder = Path(name)
        environment = _environment(folder)
        _fill(environment, given.products)
        measured, pages = asyncio.run(_run(folder, environment, ours_core, given.products, given.rounds))
    pinned = load_core is not None
    _report(measured, pages, {"products": given.products, "connections": CONNECTIONS, "pinned": pinned})
    if complaints := list(_complaints(measured)):
        sys.exit("\n".join(complaints))


def _fill(environment: dict[str, str], products: int) -> None:
    """A database with a generated catalogue."""
    for command in (["migrate"], ["seed", "--products", str(products)]):
        subprocess.run(
            [sys.executable, "-m", "farmlokal", *command],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=170,
        )


async def _run(
    folder: Path, environment: dict[str, str], core: int | None, products: int, rounds: int
) -> tuple[dict[tuple[str, str], list[Load]], Workloads]:
    ours_port, ceiling_port = _free_port(), _free_port()
    answers = folder / "answers"
    measured: dict[tuple[str, str], list[Load]] = {}
    with _started(["farmlokal", "serve", "--port", str(ours_port)], environment, core) as ours:
        await _listening(ours_port, ours)
        pages = await _workloads(ours_port, products)
        answers.write_bytes(pickle.dumps(await _answers(ours_port, pages)))
        with _started(["bench.ceiling", str(ceiling_port), str(answers)], environment, core) as ceiling:
            await _listening(ceiling_port, ceiling)
            contenders = (("ours", ours_port, ours.pid), ("ceiling", ceiling_port, ceiling.pid))
            for turn in range(-1, rounds):  # the first is for warming up
                for workload, expected in pages.items():
                    for contender, port, process in contenders:
                        load = await drive(port, expected, WARM_S if turn < 0 else RUN_S, process)
                        if turn >= 0:
                            measured.setdefault((workload, contender), []).append(load)
    return measured, pages


async def _workloads(port: int, products: int) -> Workloads:
    """The targets of each workload, with the body that each must have."""
    categories = (await _json(port, "/api/categories"))["data"]
    named = sorted(row["name"] for row in categories if row["products"])
    targets = {
        "first page": ["/api/products?limit=20"],
        "category, by price": [
            f"/api/products?{urlencode({'category': name, 'sort': 'price'}, quote_via=quote)}"
            for name in named[:VARIANTS]
        ],
        "deep page, by price": [
            f"/api/products?sort=price&cursor={cursor}" for cursor in await _deep_cursors(port, products)
        ],
        "search": [f"/api/products?search={word}" for word in SEARCHES],
    }
    pages = {
        workload: {target: await _page(port, target) for target in those}
        for workload, those in targets.items()
    }
    for those in pages.values():
        for target, body in those.items():
            assert msgspec.json.decode(body)["data"], f"{target} has no rows"
    return pages


async def _deep_cursors(port: int, products: int) -> list[str]:
    """Walk in pages of 100 to where most of the catalogue is behind, and note the cursors from there on."""
    cursors: list[str] = []
    page = await _json(port, "/api/products?sort=price&limit=100")
    pages_before = int(products * DEPTH) // 100
    for _ in range(1, pages_before):
        page = await _json(port, f"/api/products?sort=price&limit=100&cursor={page['nextCursor']}")
    while len(cursors) < VARIANTS and page["nextCursor"]:
        cursors.append(page["nextCursor"])
        page = await _json(port, f"/api/products?sort=price&limit=100&cursor={page['nextCursor']}")
    return cursors


async def _page(port: int, target: str) -> bytes:
    return (await _ok(port, target)).body


async def _json(port: int, target: str) -> Any:
    return msgspec.json.decode(await _page(port, target))


async def _ok(port: int, target: str) -> Answer:
    answer = await ask(port, target)
    if answer.status != 200:
        raise SystemExit(f"{target}: {answer.status} {answer.body[:300].decode(errors='replace')}")
    return answer


async def _answers(port: int, pages: Workloads) -> Answers:
    """Headers and body of every target, for the ceiling to send again."""
    answers: Answers = {}
    for target in (target for those in pages.values() for target in those):
        answer = await _ok(port, target)
        headers = [
            (name.lower(), value)
            for name, value in re.findall(rb"^([\w-]+): *([^\r\n]*)\r\n", answer.head, re.MULTILINE)
            if name.lower() not in (b"date", b"server", b"connection")
        ]
        answers[target.encode()] = (headers, answer.body)
    return answers


@contextmanager
def _started(
    module: Sequence[str], environment: dict[str, str], core: int | None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A server as a process of its own, on its core from its first moment; stopped as an operator would."""

    def pin() -> None:
        if core is not None:
            os.sched_setaffinity(0, {core})

    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=pin,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=25)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _listening(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the port takes connections."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise SystemExit(f"no server on port {port}: exit status {process.poll()}")


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of the caller's settings, a database of our own, a limit that admits all, no log a request."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    return kept | {
        "FARMLOKAL_DATABASE_URL": f"sqlite:///{folder / 'farmlokal.db'}",
        "FARMLOKAL_RATE_LIMIT": "1000000/1s;burst=1000000",
        "FARMLOKAL_LOG_LEVEL": "warning",
    }


def _cores() -> tuple[int | None, int | None]:
    """One core for the servers, another for the load; none of either where there is just one."""
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _complaints(measured: dict[tuple[str, str], list[Load]]) -> Iterator[str]:
    """Who answered wrongly, how often, and how the first time."""
    for (workload, contender), runs in measured.items():
        if wrong := [answer for run in runs for answer in run.wrong]:
            body = wrong[0].body[:300].decode(errors="replace")
            yield f"{contender}, {workload}: {len(wrong)} wrong answers, the first {wrong[0].status} {body}"


def _report(
    measured: dict[tuple[str, str], list[Load]], pages: Workloads, parameters: dict[str, Any]
) -> None:
    rows, results = [], {}
    for workload, expected in pages.items():
        runs = {contender: measured[workload, contender] for contender in ("ours", "ceiling")}
        rate = {name: Spread.of([run.answers / run.seconds for run in those]) for name, those in runs.items()}
        cpu = {
            name: Spread.of([run.cpu_s / run.answers * 1e6 for run in those]) for name, those in runs.items()
        }
        ratio = Spread.of(
            [
                (ours.cpu_s / ours.answers) / (ceiling.cpu_s / ceiling.answers)
                for ours, ceiling in zip(runs["ours"], runs["ceiling"], strict=True)
            ]
        )
        size = sum(map(len, expected.values())) // len(expected)
        shown = [rate["ours"].show(), cpu["ours"].show(), rate["ceiling"].show(), cpu["ceiling"].show()]
        rows.append((workload, f"{size:,}", *shown, ratio.show(1)))
        results[workload] = {
            "targets": len(expected),
            "body_bytes": size,
            "rounds": len(runs["ours"]),
            "wrong": {name: sum(len(run.wrong) for run in those) for name, those in runs.items()},
            "ours": {"requests_s": rate["ours"].rounded(0), "cpu_us": cpu["ours"].rounded(1)},
            "ceiling": {"requests_s": rate["ceiling"].rounded(0), "cpu_us": cpu["ceiling"].rounded(1)},
            "cpu_ours_to_ceiling": ratio.rounded(2),
        }
    columns = ("ours req/s", "ours µs CPU", "ceiling req/s", "ceiling µs CPU", "CPU ours ÷ ceiling")
    table(("page", "bytes", *columns), rows)
    write("listing_speed", parameters, results)


if __name__ == "__main__":
    main()
