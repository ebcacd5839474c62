"""Five faults, each done to a real server, and what the dashboard says: its own alert and no other."""

from pathlib import Path

import pytest

from farmlokal.ops.alerts import TEXTS
from tests.faults.dashboard_faults import FAULTS, WITHIN_S, Case, ask, database_slow
from tests.support.asgi import furnish
from tests.support.catalogue import Shelf
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.sql import Database
from tests.support.watching import watching


def _told(case: Case) -> None:
    """Nothing is told before, then within the limit this alert, and at no time another."""
    ask(case.server, [case.usual])
    with watching(case.server.port) as watcher:
        for _ in range(2):
            watcher.next()
        assert watcher.alerts == [set(), set()]
        case.begin()
        case.asked("0")
        event = watcher.until(lambda event: event["alerts"], case.alert, WITHIN_S)
        for number in range(1, 3):
            case.asked(str(number))
            watcher.next()
        assert {name for each in watcher.alerts for name in each} == {case.alert}
        assert event["alerts"] == [{"name": case.alert, "text": TEXTS[case.alert], "subject": case.subject}]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_by_its_own_alert(
    shelf: Shelf, database_path: Path, tmp_path: Path, fault: str
) -> None:
    """A supplier that is down, a frozen Redis, an event that cannot be written and a caller that asks too
    much: the dashboard says so within five seconds, and says nothing else."""
    furnish(shelf)
    with FAULTS[fault](database_path, tmp_path / "log") as case:
        _told(case)


def test_a_slow_database_is_told_as_that(
    mariadb_server: MariaDb, migrated_mariadb: Database, tmp_path: Path
) -> None:
    """A database whose answers come late is told as a slow database within five seconds, and as nothing
    else."""
    with database_slow(mariadb_server, migrated_mariadb, tmp_path / "log") as case:
        _told(case)
