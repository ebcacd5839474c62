"""A shop day on one worker, with MariaDB, Valkey and the load on the same cores.

First 500 arrivals a second on cold caches. Then as much as it can do: the load climbs until answers come late
or not at all. Then three times that, and half of it again: what is still answered well meanwhile, and how
long it takes until all is well afterwards. `farmlokal loadtest` makes the load.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvloop

from bench.catalogue import DURABLE, catalogue
from bench.contenders import SECRET_KEY, WEBHOOK_SECRET
from bench.load import family
from bench.processes import client, environment, free_port, leave_when_told, listening, module, started
from bench.report import RESULTS, table, write
from bench.speed import resident_mb
from farmlokal.loadtest import Credentials, Goal, Plan, Tally, page, parse_goal, parse_mix, run, text
from tests.support.servers.valkey import Valkey

PRODUCTS = 200_000
RATE, SECONDS = 500.0, 30.0
GOALS = ("p99=50", "errors=0.1%")
CLIMB = (500, 750, 1_000, 1_250, 1_500, 1_750, 2_000, 2_500, 3_000)
STEP_S = 8.0
WELL_MS, WELL = 100.0, 0.99
"""A step is within what it can do while 99 % are answered, and 99 % of those within 100 ms."""

OVERLOAD_S, AFTER_S = 15.0, 20.0
CONNECTIONS = 512


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--products", type=int, default=PRODUCTS)
    arguments.add_argument("--rate", type=float, default=RATE, help="arrivals a second on cold caches")
    arguments.add_argument("--seconds", type=float, default=SECONDS)
    arguments.add_argument("--cold-only", action="store_true", help="without the climb and the overload")
    given = arguments.parse_args()
    goals = [parse_goal(each) for each in GOALS]
    leave_when_told()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="farmlokal-bench-")))
        filled = stack.enter_context(catalogue(given.products, environment(folder), DURABLE))
        valkey = stack.enter_context(Valkey())
        settings = environment(folder) | {
            "FARMLOKAL_DATABASE_URL": filled.url,
            "FARMLOKAL_REDIS_URL": valkey.url,
            "FARMLOKAL_PROFILE": "production",
            "FARMLOKAL_SECRET_KEY": SECRET_KEY,
            "FARMLOKAL_WEBHOOK_SECRETS": WEBHOOK_SECRET,
        }
        known = client(settings, "catalog:write")
        credentials = Credentials(known["client_id"], known["client_secret"], WEBHOOK_SECRET.encode())
        port = free_port()
        server = stack.enter_context(
            started(module("farmlokal", "serve", "--port", str(port)), settings, None)
        )
        asyncio.run(listening(port, server))
        day = _Day(f"http://127.0.0.1:{port}", credentials)
        cold = day.load([given.rate], given.seconds)
        print(text(cold, goals))
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "shop_day.html").write_text(
            page(cold, goals, "A shop day on cold caches"), encoding="utf-8"
        )
        results: dict[str, Any] = {"cold": _told(cold, goals)}
        if not given.cold_only:
            results |= _overload(day)
        results["resident_mb"] = [resident_mb(each) for each in family(server.pid)]
    write("shop_day", {"products": given.products, "rate": given.rate, "seconds": given.seconds}, results)
    if not all(goal.met(cold) for goal in goals):
        sys.exit(1)


class _Day:
    """Loads one after another on one server, each with questions of its own."""

    def __init__(self, url: str, credentials: Credentials) -> None:
        self._url, self._credentials = url, credentials
        self._mix = parse_mix("", credentials)
        self._loads = 0

    def load(self, rates: Sequence[float], seconds: float) -> Tally:
        """One of them."""
        self._loads += 1
        plan = Plan(self._url, rates, seconds, CONNECTIONS, self._mix, self._loads)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run(plan, self._credentials))


def _overload(day: _Day) -> dict[str, Any]:
    """The climb to the greatest goodput, three times that, and half of it."""
    rows, peak = [], 0.0
    for rate in CLIMB:
        tally = day.load([rate], STEP_S)
        p99_ms = tally.total.durations.percentile_us(99) / 1000
        rows.append((f"{rate}", f"{tally.goodput:,.0f}", f"{p99_ms:,.0f}"))
        peak = max(peak, tally.goodput)
        if tally.total.outcomes["good"] < WELL * tally.total.arrivals or p99_ms > WELL_MS:
            break
    table(("arrivals/s", "good/s", "p99 ms"), rows)
    # One run, so that nothing rests between the overload and what comes after it; both parts are as long.
    part_s = max(OVERLOAD_S, AFTER_S)
    tally = day.load([3 * peak, peak / 2], 2 * part_s)
    during = [part for second, part in tally.timeline.items() if second < part_s]
    kept = sum(part.outcomes["good"] for part in during) / part_s
    recovered = _recovered_s(tally, part_s)
    print(f"peak {peak:,.0f}/s; at three times that {kept:,.0f}/s ({kept / peak:.0%})")
    print(f"well again after {recovered} s")
    print(text(tally, []))
    return {
        "climb": rows,
        "peak_s": round(peak),
        "overload": {"goodput_s": round(kept), "of_peak": round(kept / peak, 3), "recovered_s": recovered},
    }


def _recovered_s(tally: Tally, overload_s: float) -> int | None:
    """Seconds after the overload until a second comes from which on all are answered well; None: never."""
    well = None
    for second in sorted(second for second in tally.timeline if second >= overload_s):
        part = tally.timeline[second]
        good = part.outcomes["good"] >= WELL * part.arrivals
        if not good or part.durations.percentile_us(99) / 1000 > WELL_MS:
            well = None
        elif well is None:
            well = second - int(overload_s)
    return well


def _told(tally: Tally, goals: Sequence[Goal]) -> dict[str, Any]:
    return {
        "arrivals": tally.total.arrivals,
        "outcomes": dict(tally.total.outcomes),
        "percentiles_ms": {
            name: {f"p{each:g}": part.durations.percentile_us(each) / 1000 for each in (50, 90, 99, 99.9)}
            for name, part in (*sorted(tally.kinds.items()), ("all", tally.total))
        },
        "generator_late_p99_ms": tally.lateness.percentile_us(99) / 1000,
        "goals": {goal.text: goal.met(tally) for goal in goals},
    }


if __name__ == "__main__":
    main()
