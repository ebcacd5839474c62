"""Prometheus' own check of its rules: the machine's, or else its distribution's package, unpacked and not
installed."""

from pathlib import Path
from shutil import which

from tests.support.servers.packages import unpacked


def find() -> str | Path:
    """The program. Raises `OutOfReach` where it cannot be had."""
    # It needs the C library alone, the machine's own: its package brings 200 MB of pages with it.
    return which("promtool") or unpacked("prometheus", ["prometheus"], alone=True).root / "usr/bin/promtool"
