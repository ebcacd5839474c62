"""A child process ends with its parent, whatever the parent dies of and whatever the child does."""

import signal
import sys
from pathlib import Path

import pytest

from tests.faults.processes import OwnedProcess, wait_until

STUBBORN = """
import multiprocessing, signal, sys, threading
from farmlokal.platform.parent import leave_with_parent

def child():
    if sys.argv[2] == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    leave_with_parent(0.1)
    print("watching", flush=True)
    threading.Event().wait()

if __name__ == "__main__":
    multiprocessing.get_context(sys.argv[1]).Process(target=child).start()
"""


@pytest.mark.parametrize("hears", ["hearing", "deaf"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_leaves_when_its_parent_is_killed(method: str, hears: str, tmp_path: Path) -> None:
    """A child is gone soon after its parent was killed, also one that does not heed SIGTERM."""
    script, log = tmp_path / "parent.py", tmp_path / "log"
    script.write_text(STUBBORN)
    process = OwnedProcess(
        [sys.executable, script, method, hears], log, lambda: "watching" in log.read_text()
    )
    process.start()
    try:
        assert len(process.members()) >= 2
        process.signal(signal.SIGKILL)
        wait_until(lambda: not process.members(), "the child has left")
    finally:
        process.kill()
