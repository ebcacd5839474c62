"""Fixtures that several folders use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.catalogue import Shelf, connect, new_database
from tests.support.clock import ManualClock

pytest_plugins = ["tests.support.engines", "tests.support.distribution"]

# Examples that open a database take as long as a slow disk lets them: only their number is bounded.
# In CI the examples are the same every time: a red build has its cause in the change.
settings.register_profile(
    "farmlokal",
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("farmlokal")


@pytest.fixture
def database_path(tmp_path: Path) -> Path:
    """A migrated, empty database of the test's own."""
    return new_database(tmp_path)


@pytest.fixture
def shelf(database_path: Path) -> Iterator[Shelf]:
    """Writes rows into `database_path`."""
    connection = connect(database_path)
    yield Shelf(connection)
    connection.close()


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()
