"""What the image is made of: licences that are known and ask for little, an inventory by the standard."""

import json
import re
import subprocess
from pathlib import Path

from scripts.inventory import packages, page, sbom
from tests.deploy.test_files import tool
from tests.house.files import ROOT

PERMISSIVE = re.compile(r"(MIT|MIT-0|BSD|BSD-2-Clause|BSD-3-Clause|Apache|Apache-2\.0|PSF-2\.0)")
"""Licences that ask for their notice and nothing else."""

_JOINTS = re.compile(r" AND | OR |, | License| Software License")


def test_every_licence_is_listed() -> None:
    """docs/licences.md has the packages of the image with their licences; `make licences` writes it."""
    written = (ROOT / "docs/licences.md").read_text(encoding="utf-8").splitlines()
    # Some packages are for other systems and not installed here, but listed.
    assert not [line for line in page().splitlines() if line not in written]


def test_every_licence_is_permissive() -> None:
    """No package of the image puts conditions on the product that carries it."""
    asks_more = [
        f"{package.name}: {package.licence}"
        for package in packages()
        for word in filter(None, _JOINTS.split(package.licence))
        if not PERMISSIVE.fullmatch(word)
    ]
    assert not asks_more


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
