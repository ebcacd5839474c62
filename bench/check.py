"""Whether a request costs more than it did: ratios to the ceiling, against those that were committed last.

    make bench-check ARGS="--tolerance 0.2"

Absolute times would compare two days of a shared machine. The ratio of our processor time to that of nginx,
or of the bare database client, in the same seconds hardly depends on the day; it does on the kind of machine,
so that results of another number of cores or another Python are refused, not compared.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from bench.processes import leave_when_told
from bench.report import ROOT, machine
from bench.speed import PRODUCTS, measure, show

TOLERANCE = 0.25
"""A guess, until runs of the same code on two days say by how much their ratios differ."""

ROUNDS = 5
GUARDED = {"hot page": "nginx", "hot mix": "nginx", "304": "nginx", "detail": "nginx", "misses": "bare"}
"""The workloads that are watched, and the ceiling of each."""

SAME = ("cores", "python")
"""What of a machine has to be the same; of Python the minor version."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tolerance", type=float, default=TOLERANCE)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    given = arguments.parse_args()
    committed = _committed()
    if fault := incomparable(committed["machine"], machine()):
        sys.exit(f"bench-check: {fault}; run `make bench` here and commit its results")
    leave_when_told()
    fresh = measure(committed["parameters"].get("products", PRODUCTS), given.rounds, 1, GUARDED)
    show(fresh["results"])
    if slower := regressions(committed["results"], fresh["results"], given.tolerance):
        sys.exit("\n".join(slower))
    print(f"No workload costs more than {given.tolerance:.0%} over {committed['commit']}.")


def incomparable(committed: Mapping[str, Any], here: Mapping[str, Any]) -> str | None:
    """Why results of these two machines may not be compared; None where they may."""
    for name in SAME:
        one, other = (str(each[name]).rpartition(".")[0] or str(each[name]) for each in (committed, here))
        if one != other:
            return f"the committed results are of {name} {committed[name]}, this machine has {here[name]}"
    return None


def regressions(
    committed: Mapping[str, Any], fresh: Mapping[str, Any], tolerance: float = TOLERANCE
) -> list[str]:
    """A line for each watched workload whose cost, in costs of its ceiling, grew by more than `tolerance`,
    and for each that was measured before and is not now."""
    found = []
    for workload, ceiling in GUARDED.items():
        before, now = (_cost(results, workload, ceiling) for results in (committed, fresh))
        if before is None:
            continue
        if now is None:
            found.append(f"{workload}: not measured, or answered wrongly")
        elif now > before * (1 + tolerance):
            grown = now / before - 1
            found.append(f"{workload}: {now:.2f} × {ceiling}, was {before:.2f} × (+{grown:.0%})")
    return found


def _cost(results: Mapping[str, Any], workload: str, ceiling: str) -> float | None:
    """Ours ÷ ceiling, in processor time."""
    contenders = results.get(workload, {})
    one, ours = contenders.get(ceiling, {}), contenders.get("ours", {})
    if "cpu_to_ours" not in one or ours.get("wrong"):
        return None
    return 1 / float(one["cpu_to_ours"]["median"])


def _committed() -> dict[str, Any]:
    git = shutil.which("git")
    if git is None:
        sys.exit("bench-check: no git, so no committed results")
    path = "HEAD:bench/results/speed.json"
    told = subprocess.run([git, "show", path], cwd=ROOT, capture_output=True, text=True, check=False)
    if told.returncode:
        sys.exit("bench-check: no results of `make bench` are committed")
    results: dict[str, Any] = json.loads(told.stdout)
    return results


if __name__ == "__main__":
    main()
