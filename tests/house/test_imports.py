"""Direction: who may import whom."""

import subprocess
import sys

from tests.house.files import ROOT


def test_import_contracts_hold() -> None:
    """Imports point one way: the contracts of pyproject.toml are kept."""
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run(
        [sys.executable, "-c", lint, "--no-logo", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
