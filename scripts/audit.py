"""Asks an advisory service for known vulnerabilities of what the image carries, by pip-audit.

Exit code 0: every package was looked up and none is known to be vulnerable. 1: some are. 2: the service could
not be reached, or did not know a package; nothing is known then, which pip-audit itself would call a success.

    python scripts/audit.py [LOCK] [options of pip-audit, such as --vulnerability-service osv]
"""

import json
import subprocess
import sys
from pathlib import Path

PIP_AUDIT = Path(sys.prefix) / "deploy/bin/pip-audit"
OPTIONS = [
    "--require-hashes",
    "--disable-pip",
    "--format",
    "json",
    "--progress-spinner",
    "off",
    "--timeout",
    "10",
]
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
    vulnerable = [
        f"{each['name']} {each['version']}: {advisory['id']}, mended in {advisory['fix_versions'] or 'none'}"
        for each in dependencies
        for advisory in each.get("vulns", [])
    ]
    unknown = [each["name"] for each in dependencies if "skip_reason" in each]
    for line in vulnerable:
        print(line)
    if unknown:
        print(
            f"{len(unknown)} of {len(dependencies)} not audited, unknown to the service: {', '.join(unknown)}"
        )
    if not vulnerable and not unknown:
        print(f"{len(dependencies)} packages, none of them with a known vulnerability")
    return 1 if vulnerable else 2 if unknown else 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    named = bool(arguments) and not arguments[0].startswith("-")
    sys.exit(audit(arguments.pop(0) if named else "requirements/image.lock", arguments))
