"""What a token costs, to get and to check, beside a plain echo route of the same application.

`farmlokal serve` runs on one core and the load on another. In every round each workload is sent in turn, so
that all see the same machine; ratios are of answers for the same processor time of the server. And how long
a refusal takes for an unknown client and for a wrong secret, interleaved: Welch's t is reported.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from contextlib import ExitStack
from pathlib import Path

import msgspec

from bench.load import CONNECTIONS, Asked, Load, send
from bench.processes import client, cores, environment, farmlokal, free_port, listening, module, started
from bench.report import Spread, table, write
from farmlokal.outside import settings_for

ROUNDS = 5
RUN_S = 2.0
WARM_S = 0.5
TIMED = 20_000  # calls of each kind; O10 asks for 2 x 20,000
SECRET_KEY = "a-key-of-the-bench-0123456789-abcdefghij"
ECHO = "echo (/healthz)"
FORM = "content-type: application/x-www-form-urlencoded\r\n"
BEARER = "bearer route (/auth/token)"
BARS = {BEARER: 0.5, "token endpoint": 0.2}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    arguments.add_argument("--timed", type=int, default=TIMED)
    given = arguments.parse_args()
    if not Path("/proc/self/stat").exists():
        sys.exit("token_speed: processor time is read from /proc, so this bench needs Linux")
    ours_core, load_core = cores()
    if load_core is not None:
        os.sched_setaffinity(0, {load_core})
    with tempfile.TemporaryDirectory(prefix="farmlokal-bench-") as name, ExitStack() as stack:
        settings = environment(Path(name)) | {
            "FARMLOKAL_PROFILE": "production",
            "FARMLOKAL_SECRET_KEY": SECRET_KEY,
            "FARMLOKAL_WEBHOOK_SECRETS": SECRET_KEY,
            "FARMLOKAL_LOG_LEVEL": "info",
        }
        farmlokal(settings, "migrate")
        credentials = client(settings, "upstream:token")
        port, provider = free_port(), free_port()
        settings |= settings_for(provider)
        stack.enter_context(
            started(module("farmlokal", "simulator", "--port", str(provider)), settings, None)
        )
        server = stack.enter_context(
            started(module("farmlokal", "serve", "--port", str(port)), settings, ours_core)
        )
        measured, times = asyncio.run(_run(port, server, credentials, given.rounds, given.timed))
    _report(measured, times, load_core is not None)


async def _run(
    port: int, server: "subprocess.Popen[bytes]", known: dict[str, str], rounds: int, timed: int
) -> tuple[dict[str, list[Load]], dict[str, list[float]]]:
    await listening(port, server)
    good = _token_request(known["client_id"], known["client_secret"])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    token = msgspec.json.decode(await _answer(reader, writer, good))["access_token"]
    requests = {
        ECHO: _request("GET", "/healthz", ""),
        BEARER: _request("GET", "/auth/token", f"authorization: Bearer {token}\r\n"),
        "token endpoint": good,
    }
    measured: dict[str, list[Load]] = {}
    for turn in range(-1, rounds):  # the first is for warming up
        for name, request in requests.items():
            load = await send(port, [Asked(request)], WARM_S if turn < 0 else RUN_S, server.pid)
            if turn >= 0:
                measured.setdefault(name, []).append(load)
    wrong = {
        "unknown client": _token_request("0" * len(known["client_id"]), known["client_secret"]),
        "wrong secret": _token_request(known["client_id"], "0" * len(known["client_secret"])),
    }
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)  # an idle one is closed meanwhile
    times: dict[str, list[float]] = {name: [] for name in wrong}
    for number in range(timed):
        for name in sorted(wrong, reverse=bool(number % 2)):
            before = time.perf_counter()
            await _answer(reader, writer, wrong[name])
            times[name].append((time.perf_counter() - before) * 1e6)
    writer.close()
    return measured, times


def _request(method: str, target: str, headers: str, body: str = "") -> bytes:
    length = f"content-length: {len(body)}\r\n" if body else ""
    return f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}{length}\r\n{body}".encode()


def _token_request(client_id: str, secret: str) -> bytes:
    credentials = b64encode(f"{client_id}:{secret}".encode()).decode()
    headers = f"authorization: Basic {credentials}\r\n{FORM}"
    return _request("POST", "/oauth/token", headers, "grant_type=client_credentials")


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    return await reader.readexactly(length)


def _report(measured: dict[str, list[Load]], times: dict[str, list[float]], pinned: bool) -> None:
    wrong = {name: sum(len(load.wrong) for load in loads) for name, loads in measured.items()}
    costs = {
        name: Spread.of([load.cpu_s / load.answers * 1e6 for load in loads if load.answers])
        for name, loads in measured.items()
    }
    rates = {
        name: Spread.of([load.answers / load.seconds for load in loads]) for name, loads in measured.items()
    }
    ratios = {name: costs[ECHO].median / cost.median for name, cost in costs.items()}
    rows = [
        [name, costs[name].show(), rates[name].show(), f"{ratios[name]:.2f}", str(BARS.get(name, ""))]
        for name in costs
    ]
    table(["workload", "CPU us an answer", "answers a second", "x echo", "bar"], rows)
    for name, each in times.items():
        quartiles = " ".join(f"{value:.0f}" for value in statistics.quantiles(each, n=4))
        print(f"{name}: {len(each):,} refusals, quartiles {quartiles} us")
    t = _welch(*times.values())
    print(f"Welch t of unknown client against wrong secret: {t:.2f}")
    results = {
        "cpu_us": {name: cost.rounded(1) for name, cost in costs.items()},
        "answers_s": {name: rate.rounded(1) for name, rate in rates.items()},
        "ratios": {name: round(ratio, 3) for name, ratio in ratios.items()},
        "welch_t": round(t, 2),
    }
    write(
        "token_speed",
        {"connections": CONNECTIONS, "pinned": pinned, "timed": len(times["wrong secret"])},
        results,
    )
    if any(wrong.values()):
        sys.exit(f"answers that were not 2xx: {wrong}")


def _welch(one: list[float], two: list[float]) -> float:
    """Of the faster nine tenths: the slowest are the machine's, whoever was refused."""
    cut = sorted([*one, *two])[int(0.9 * (len(one) + len(two)))]
    one, two = [each for each in one if each < cut], [each for each in two if each < cut]
    error = statistics.variance(one) / len(one) + statistics.variance(two) / len(two)
    return float((statistics.fmean(one) - statistics.fmean(two)) / error**0.5)


if __name__ == "__main__":
    main()
