"""What the image carries besides Python itself: each package with its licence, as a page and as an SBOM.

    python scripts/inventory.py licences > docs/licences.md
    python scripts/inventory.py sbom > farmlokal.cdx.json

It needs nothing but the packages themselves, so it runs inside the image that it describes. The packages of
the base image's distribution are not ours to list: a scanner of images finds them.
"""

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

LOCK = Path(__file__).parents[1] / "requirements" / "image.lock"

_PIN = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)

_IDENTIFIER = re.compile(r"[A-Za-z0-9.]+(-[A-Za-z0-9.]+)+")
"""How licences of SPDX with a version are written."""

HEAD = """# Licences

What the image carries, from `requirements/image.lock`; `make licences` writes this page anew. FarmLokal
itself is under the [MIT licence](../LICENSE). All are permissive but that of certifi, a list of authorities,
which binds whoever changes that list; a test fails at any other kind.

| package | licence |
|---|---|
"""


class Package(NamedTuple):
    """A package as it says of itself; `is_spdx` when its licence is an SPDX expression."""

    name: str
    version: str
    licence: str
    is_spdx: bool


def packages(lock: Path = LOCK) -> Iterator[Package]:
    """Those of the lock that are installed here: some are for other systems only."""
    for name, _ in _PIN.findall(lock.read_text(encoding="utf-8")):
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        yield Package(name, found.version, *_licence(found))


def _licence(found: Distribution) -> tuple[str, bool]:
    about = found.metadata
    if "License-Expression" in about:
        return about["License-Expression"], True
    classified = [
        each.rpartition(" :: ")[2]
        for each in about.get_all("Classifier", [])
        if each.startswith("License :: ") and not each.endswith("OSI Approved")
    ]
    written = "".join(about.get_all("License", [])).strip().partition("\n")[0]
    if _IDENTIFIER.fullmatch(written):  # says more than a classifier: which BSD
        return written, False
    return ", ".join(sorted(classified)) or written or "not stated", False


def page() -> str:
    """docs/licences.md."""
    return HEAD + "".join(f"| {package.name} | {package.licence} |\n" for package in packages())


def sbom() -> dict[str, Any]:
    """A bill of materials in CycloneDX 1.6 (ECMA-424)."""
    own = distribution("farmlokal")
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": _component(Package("farmlokal", own.version, *_licence(own)), "application")
        },
        "components": [_component(package, "library") for package in packages()],
    }


def _component(package: Package, kind: str) -> dict[str, Any]:
    address = f"pkg:pypi/{package.name}@{package.version}"
    licence = {"expression": package.licence} if package.is_spdx else {"license": {"name": package.licence}}
    return {
        "type": kind,
        "bom-ref": address,
        "name": package.name,
        "version": package.version,
        "licenses": [licence],
        "purl": address,
    }


if __name__ == "__main__":
    if sys.argv[1:] == ["licences"]:
        sys.stdout.write(page())
    elif sys.argv[1:] == ["sbom"]:
        json.dump(sbom(), sys.stdout, indent=1)
    else:
        sys.exit("inventory.py licences|sbom")
