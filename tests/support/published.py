"""Real data beside the project, where it is there."""

import os
from pathlib import Path

import pytest

DATA = Path(__file__).parents[3] / "shared" / "data"


def published(name: str) -> Path:
    """A file of the shared data; skips where there is none, and fails where it must be there."""
    path = DATA / name
    if not path.exists():
        if os.environ.get("FARMLOKAL_REQUIRE_DATA") == "1":
            pytest.fail(f"{path} is required and absent")
        pytest.skip(f"{path} is absent")
    return path
