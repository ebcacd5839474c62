"""What every bench says about its run: commit, machine, medians with their spread; a table and a file."""

import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"


class Spread(NamedTuple):
    """The median of several runs, with the least and the greatest beside it."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))

    def show(self, digits: int = 0) -> str:
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f}–{self.greatest:,.{digits}f})"

    def rounded(self, digits: int = 4) -> dict[str, float]:
        return {name: round(value, digits) for name, value in self._asdict().items()}


def write(name: str, parameters: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """Write bench/results/<name>.json: whole or not at all."""
    RESULTS.mkdir(exist_ok=True)
    run = {
        "bench": name,
        "commit": _commit(),
        "machine": machine(),
        "parameters": parameters,
        "results": results,
    }
    unfinished = RESULTS / f"{name}.json.tmp"
    unfinished.write_text(json.dumps(run, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    unfinished.replace(RESULTS / f"{name}.json")
    print(f"bench/results/{name}.json")


def read(name: str) -> dict[str, Any]:
    """A run as `write` left it."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns: the first to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        cells[0] = row[0].ljust(widths[0])
        print("  ".join(cells).rstrip())


def _commit() -> str | None:
    """The commit of the working tree, with `+` when something is not committed; None outside a clone."""
    git = shutil.which("git")
    if git is None:
        return None

    def ask(*words: str) -> str | None:
        answer = subprocess.run([git, *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return answer.stdout.strip() if answer.returncode == 0 else None

    head = ask("rev-parse", "HEAD")
    changed = ask("status", "--porcelain", "--", "src", "bench", "requirements")
    return None if head is None else head + ("+" if changed else "")


def machine() -> dict[str, Any]:
    """What it is measured on."""
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "uvicorn": version("uvicorn"),
    }


def _processor() -> str:
    """The model as Linux names it; elsewhere the architecture."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
