"""How several test processes share the tests: which stay together, and in which order they are handed out.

The marks that pytest-xdist has for it do nothing under pytest 9.2, and say so to nobody.
"""

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

FAULTS = Path(__file__).parents[1] / "faults"

TOGETHER = (
    "tests/e2e/",
    "tests/catalog/importing/test_real_files.py",
    "tests/catalog/test_generator.py",
    "tests/catalog/test_plans_mariadb.py",
    "tests/contracts/test_catalogue.py",
    "tests/faults/test_fleet.py",
    "tests/journeys/test_oauth_clients.py",
    "tests/journeys/test_real_catalogue.py",
    "tests/journeys/test_serve.py",
    "tests/platform/database/test_mysql_replica.py",
)
"""Each is run by one process: what it makes once, a server or a catalogue, would else be made by each."""


class Distribution(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out the largest groups first, and then test by test."""

    def _split_scope(self, nodeid: str) -> str:
        return next((group for group in TOGETHER if nodeid.startswith(group)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Distribution:
    """Whatever `--dist` says."""
    return Distribution(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of faults mostly wait, the others mostly compute. Mixed, each finds a core that is free. The last
    fifth has none, lest one process is left alone with one; and two that follow each other in a file, as the
    same on two engines, are far apart, for they need the same at the same time."""
    if not hasattr(config, "workerinput"):
        return
    faults = [item for item in items if item.path.parent == FAULTS]
    faults = faults[::2] + faults[1::2]
    others = [item for item in items if item.path.parent != FAULTS]
    place = {item: number / len(others) for number, item in enumerate(others)}
    place |= {item: 0.8 * number / len(faults) for number, item in enumerate(faults)}
    items.sort(key=place.__getitem__)
