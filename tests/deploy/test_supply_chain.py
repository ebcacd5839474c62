"""What the image is made of: licences that are known and ask for little, an inventory by the standard."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.audit import verdict
from scripts.inventory import packages, page, sbom
from tests.deploy.test_files import tool
from tests.support.servers.place import ROOT, free_port

PERMISSIVE = re.compile(r"(MIT|MIT-0|BSD|3-Clause BSD|BSD-2-Clause|BSD-3-Clause|Apache|Apache-2\.0|PSF-2\.0)")
"""Licences that ask for their notice and nothing else."""

OF_OWN_FILES = {"certifi: MPL-2.0"}
"""Packages whose licence asks more, of whoever changes their own files: a list of authorities, which we take
as it is."""

_JOINTS = re.compile(r" AND | OR |, | License| Software License")


def test_every_licence_is_listed() -> None:
    """docs/licences.md has the packages of the image with their licences; `make licences` writes it."""
    written = (ROOT / "docs/licences.md").read_text(encoding="utf-8").splitlines()
    # Some packages are for other systems and not installed here, but listed.
    assert not [line for line in page().splitlines() if line not in written]


def test_every_licence_is_permissive() -> None:
    """No package of the image puts conditions on the product that carries it."""
    asks_more = {
        f"{package.name}: {package.licence}"
        for package in packages()
        for word in filter(None, _JOINTS.split(package.licence))
        if not PERMISSIVE.fullmatch(word)
    }
    assert asks_more == OF_OWN_FILES


def test_an_audit_without_its_service_says_so(tmp_path: Path) -> None:
    """`make audit` that cannot reach its advisory service says that nothing is known, and is no success."""
    tool("pip-audit")
    nowhere = {"HTTPS_PROXY": f"http://127.0.0.1:{free_port()}", "NO_PROXY": ""}
    done = subprocess.run(
        [sys.executable, "scripts/audit.py", "requirements/build.lock", "--cache-dir", tmp_path],
        cwd=ROOT, env=os.environ | nowhere, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stdout.startswith("not audited")


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        ({"vulns": []}, 0, "1 packages, none"),
        ({"vulns": [{"id": "X-1", "fix_versions": ["2"]}]}, 1, "a 1: X-1, mended in ['2']"),
        ({"skip_reason": "never heard of it"}, 2, "not audited"),
    ],
)
def test_an_audit_is_a_success_only_if_all_was_looked_up(found: dict[str, Any], code: int, said: str) -> None:
    """A vulnerability is exit code 1, a package that the service does not know is 2."""
    lines, given = verdict([{"name": "a", "version": "1", **found}])
    assert given == code
    assert lines[0].startswith(said)


def test_the_bill_of_materials_is_cyclonedx(tmp_path: Path) -> None:
    """The inventory of the image is valid by the strict schema of CycloneDX 1.6."""
    (tmp_path / "sbom.json").write_text(json.dumps(sbom()), encoding="utf-8")
    check = (
        "import sys; from pathlib import Path; from cyclonedx.schema import SchemaVersion;"
        "from cyclonedx.validation.json import JsonStrictValidator as Strict;"
        "sys.exit(Strict(SchemaVersion.V1_6).validate_str(Path(sys.argv[1]).read_text()))"
    )
    done = subprocess.run(
        [tool("python"), "-c", check, tmp_path / "sbom.json"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
