"""A worker's memory is bounded: however many different queries and callers came, it stays where it was."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.processes import wait_until
from tests.support.asgi import furnish
from tests.support.catalogue import Shelf
from tests.support.server import Caller, Server, serving
from tests.support.servers.valkey import Valkey

REQUESTS = int(os.environ.get("FARMLOKAL_TEST_MEMORY_REQUESTS", "2400"))
"""`make memory` sends a million."""

WARM_UP = 400
CALLERS = 4
GROWTH_MB = 50
PATIENCE_S = 10

LARGE = 2400
"""So many pages are of 100 products: 100 MB, if all were kept. The rest is small, for a million take long."""


@pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="Linux tells the memory of a process"
)
@pytest.mark.parametrize("shared", [False, True], ids=["alone", "with redis"])
def test_memory_stays_where_it_was(
    shelf: Shelf, database_path: Path, tmp_path: Path, *, shared: bool
) -> None:
    """As many different queries from as many different callers leave no worker more than 50 MB larger."""
    furnish(shelf)
    for number in range(100):
        shelf.product(f"Product {number}", description="of some length " * 20)
    with ExitStack() as stack:
        settings = {
            "FARMLOKAL_RATE_LIMIT": "600/60s;burst=60",
            "FARMLOKAL_TRUSTED_PROXIES": "127.0.0.0/8",
        }
        if shared:
            settings["FARMLOKAL_REDIS_URL"] = stack.enter_context(Valkey({"maxmemory": "64mb"})).url
        server = stack.enter_context(serving(database_path, tmp_path / "log", settings))
        ask(server, range(WARM_UP))
        before = memory_mb(server)
        ask(server, range(WARM_UP, WARM_UP + REQUESTS))
        after = memory_mb(server)
    print(f"{REQUESTS:,} queries and callers: {before:.1f} MB, then {after:.1f} MB")  # noqa: T201
    assert after - before <= GROWTH_MB


def ask(server: Server, numbers: range) -> None:
    """A query and a caller of its own for each number, over a few connections."""

    def some(first: int) -> None:
        with Caller(server.port) as caller:
            for number in numbers[first::CALLERS]:
                limit = 100 if number < LARGE else 1
                address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
                path = f"/api/products?limit={limit}&maxPrice={90_000 + number}"
                # A machine that is starved for a moment may answer 503 once, and has to get over it.
                wait_until(lambda: answered(caller, path, address), f"{path} is answered", PATIENCE_S)  # noqa: B023

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(some, range(CALLERS)))


def answered(caller: Caller, path: str, address: str) -> bool:
    """Whether it was; told to come again, it was not yet."""
    answer = caller.ask(path, {"X-Forwarded-For": address})
    assert answer.status in (200, 503), answer.body
    return answer.status == 200


def memory_mb(server: Server) -> float:
    """Resident megabytes of the worker: the largest process of the server."""
    return max(resident(process) for process in server.process.members())


def resident(process: int) -> float:
    """Resident megabytes of a process."""
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    found = re.search(r"^Rss: +([0-9]+) kB$", rollup, re.MULTILINE)
    assert found
    return int(found[1]) / 1024
