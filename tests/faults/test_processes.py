"""Instances of `farmlokal serve` can be killed, frozen and started again, with their workers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.processes import OwnedProcess, wait_until
from tests.house.files import ROOT
from tests.support.catalogue import new_database
from tests.support.server import Caller, fleet


def test_instances_of_one_database(tmp_path: Path) -> None:
    """Several instances serve one database; one that is killed or frozen leaves the others alone."""
    with fleet(new_database(tmp_path), tmp_path) as [one, other]:
        workers = one.process.members()
        assert len(workers) >= 2
        assert one.process.rss_bytes() > 20_000_000
        one.process.kill()
        for pid in workers:
            assert not _runs(pid)
        with pytest.raises(ConnectionRefusedError), Caller(one.port) as caller:
            caller.ask("/healthz")
        assert _healthy(other.port)
        port = one.port
        one.process.restart()
        assert (one.port, _healthy(port)) == (port, True)
        other.process.freeze()
        with pytest.raises(TimeoutError), Caller(other.port, timeout_s=0.3) as caller:
            caller.ask("/healthz")
        assert _healthy(one.port)
        other.process.thaw()
        wait_until(lambda: _healthy(other.port), "it answers again", within_s=5)
        assert other.terminate() == 0
        one.process.freeze()
        assert one.terminate() == -9


def test_a_process_that_stays_is_killed(tmp_path: Path) -> None:
    """A process that ignores SIGTERM fails its test and does not outlive it."""
    stubborn = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    log = tmp_path / "log"
    process = OwnedProcess(["sh", "-c", stubborn], log, lambda: b"ready" in log.read_bytes())
    process.start()
    with pytest.raises(AssertionError, match="did not leave within"):
        process.terminate(within_s=0.1)
    assert not process.alive
    assert process.exit_code == -9
    process.kill()


def _healthy(port: int) -> bool:
    with Caller(port) as caller:
        return caller.ask("/healthz").status == 200


def _runs(pid: int) -> bool:
    """Whether there is such a process, and it is not merely waiting to be buried."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_nothing_outlives_a_run_that_is_killed(tmp_path: Path) -> None:
    """When the run of tests is killed with -9 so is all that it started, even what stands still."""
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tests.faults.processes import OwnedProcess\n"
        "command = ['sh', '-c', 'sleep 300 & echo ready; wait']\n"
        "log = Path(sys.argv[1])\n"
        "process = OwnedProcess(command, log, lambda: b'ready' in log.read_bytes())\n"
        "process.start()\n"
        "process.freeze()\n"
        "print(*process.members(), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "log")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as run:
        assert run.stdout is not None
        members = [int(each) for each in run.stdout.readline().split()]
        assert len(members) == 2
        assert all(map(_runs, members))
        run.kill()
    wait_until(lambda: not any(map(_runs, members)), "they are gone", within_s=5)
