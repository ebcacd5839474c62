"""Asks an advisory service for known vulnerabilities of what the image carries, by pip-audit.

Exit code 0: every package was looked up and none is known to be vulnerable. 1: some are. 2: the service could
not be reached, or did not know a package; nothing is known then, which pip-audit itself would call a success.

    python scripts/audit.py [LOCK] [options of pip-audit, such as --vulnerability-service osv]
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PIP_AUDIT = Path(sys.prefix) / "deploy/bin/pip-audit"
OPTIONS = ["--require-hashes", "--disable-pip", "--format=json", "--progress-spinner=off", "--timeout=10"]
WAIT_S = 300


def audit(lock: str, more: list[str]) -> int:
    """The exit code, after what was found has been printed."""
    command = [str(PIP_AUDIT), "--requirement", lock, *OPTIONS, *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except ValueError:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        print(f"not audited, the advisory service could not be asked: {reason}")
        return 2
    lines, code = verdict(dependencies)
    print("\n".join(lines))
    return code


def verdict(dependencies: list[dict[str, Any]]) -> tuple[list[str], int]:
    """What pip-audit found of each package, in words and as exit code."""
    known = [
        f"{each['name']} {each['version']}: {advisory['id']}, mended in {advisory['fix_versions'] or 'none'}"
        for each in dependencies
        for advisory in each.get("vulns", [])
    ]
    skipped = ", ".join(each["name"] for each in dependencies if "skip_reason" in each)
    if skipped:
        return [*known, f"not audited, unknown to the service: {skipped}"], 1 if known else 2
    return known or [f"{len(dependencies)} packages, none with a known vulnerability"], 1 if known else 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    named = bool(arguments) and not arguments[0].startswith("-")
    sys.exit(audit(arguments.pop(0) if named else "requirements/image.lock", arguments))
