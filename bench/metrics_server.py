"""The application under its server with all metrics, or with none of them kept.

    python -m bench.metrics_server PORT on|off

Off, nothing is counted, timed or watched. What stands in the way itself remains (`REMAINS`), for the bench to
time by itself. The program has no such switch: it would be one more way to be blind. Settings are those of
the environment.
"""

import os
import socket
import sys

from starlette.types import ASGIApp

from farmlokal.app import create_app
from farmlokal.platform.event_loop import LoopDelay
from farmlokal.platform.metrics import LimitCounts, RequestCounts, Timings
from farmlokal.server import DRAIN_S
from farmlokal.settings import Settings
from farmlokal.worker import work

REMAINS = """
began = perf_counter()
counts["hit"] += 1
nothing(200, "/api/products", "GET", perf_counter() - began)
nothing(admitted=True)
"""
"""What a hot page still does for metrics that are off: `counts` is a Counter, `nothing` a function."""


def main() -> None:
    port, kept = int(sys.argv[1]), sys.argv[2] == "on"
    with socket.create_server(("127.0.0.1", port)) as listener:
        work(_load(kept), listener, DRAIN_S)


def _load(kept: bool) -> ASGIApp:
    if not kept:
        RequestCounts.count = LimitCounts.count = nothing  # type: ignore[method-assign]
        Timings.add = nothing  # type: ignore[method-assign]
        LoopDelay.open = LoopDelay.close = _nobody  # type: ignore[assignment, method-assign]
    return create_app(Settings.load(os.environ))


def nothing(*_: object, **__: object) -> None:
    """Count nothing."""


async def _nobody(_: LoopDelay) -> None:
    """Watch nothing."""


if __name__ == "__main__":
    main()
