"""Processes that a test owns: started, frozen, killed and started again, always by their own id.

A private database, a Valkey and `farmlokal serve` are all driven through this one class, so that a fault is
written the same way whoever meets it. Each leads a process group: `farmlokal serve` is a parent and its
workers, and a machine that stops or dies takes all of them.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

POLL_S = 0.01
"""Pause between two looks at a process: short against the 40 ms in which the quickest server starts."""

START_S = 30
"""Longest a process may take to become ready, on a machine that is busy with other tests."""

STOP_S = 25
"""Longest it may take to leave after SIGTERM: `farmlokal serve` drains for up to 20 s."""


def wait_until(holds: Callable[[], bool], what: str, within_s: float = START_S) -> None:
    """Return when `holds()` is true; `AssertionError` naming `what` when it is not within `within_s`."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(POLL_S)


class OwnedProcess:
    """One command line, one log file, and the process that runs it now.

    `ready` says whether the process can be spoken to; it may raise `OSError` while it cannot.

    Nothing outlives a test run that was itself killed, frozen or not: the end of a pipe that only the run
    holds open tells a guard of each group to kill it. What a process would do about it by itself it cannot do
    while it stands.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        log: Path,
        ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.arguments, self.log = [str(each) for each in arguments], log
        self._ready, self._environment = ready, environment
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self, within_s: float = START_S) -> None:
        """Start it and wait until it is ready; what it printed is in the error when it is not."""
        self.launch()
        try:
            self.wait_until_ready(within_s)
        except BaseException:
            self.kill()
            raise

    def launch(self) -> None:
        """Start it and do not wait."""
        assert not self.alive, "it runs already"
        self._dismiss_guard()
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.arguments,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guard = subprocess.Popen(
            ["sh", "-c", 'read -r _; kill -9 "-$1"', "guard", str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _dismiss_guard(self) -> None:
        """Nobody is left to kill, and the number of the group may soon be somebody else's."""
        if self._guard is not None:
            assert self._guard.stdin is not None
            self._guard.kill()
            self._guard.wait()
            self._guard.stdin.close()
            self._guard = None

    def wait_until_ready(self, within_s: float = START_S) -> None:
        """Return when it can be spoken to; `AssertionError` when it left, or is not ready in time."""
        try:
            wait_until(self._is_ready, f"{self.arguments[0]} is ready", within_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._tail()}") from None

    @property
    def pid(self) -> int:
        """Its id; of the last one when it does not run."""
        assert self._process is not None, "it was never started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs (frozen counts as running)."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Its exit code, -9 after SIGKILL; None while it runs."""
        return None if self._process is None else self._process.poll()

    def members(self) -> list[int]:
        """The ids of all processes of it that run or stand, its own first."""
        return [] if self._process is None else sorted(_group(self._process.pid))

    def kill(self) -> None:
        """SIGKILL to it and its workers, as a machine that goes down would: nothing is flushed, nobody says
        goodbye. May be repeated."""
        if self._process is None:
            return
        leader = self._process
        if leader.poll() is None or self.members():
            os.killpg(leader.pid, signal.SIGKILL)
        leader.wait()
        wait_until(lambda: not self.members(), "the killed processes are gone", within_s=5)
        self._dismiss_guard()

    def signal(self, number: int) -> None:
        """Send a signal to it alone, as an orchestrator does."""
        os.kill(self.pid, number)

    def wait(self, within_s: float = STOP_S) -> int:
        """Its exit code once it has left. Killed, and `AssertionError`, when it stays."""
        assert self._process is not None, "it was never started"
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not leave within {within_s} s\n{self._tail()}") from None

    def terminate(self, within_s: float = STOP_S) -> int:
        """SIGTERM; its exit code. Killed, and `AssertionError`, when it stays.

        One that is frozen is killed: a signal that is waiting when threads wake up may reach another than
        Python's main one, which then sleeps on and never looks at it. `thaw` it first, and see it answer.
        """
        if self.alive and _group(self.pid)[self.pid].state != "T":
            self.signal(signal.SIGTERM)
            self.wait(within_s)
        self.kill()  # whatever it left behind
        return self.wait(within_s)

    def freeze(self) -> None:
        """SIGSTOP, and wait until all of it stands: sockets stay open and accept, and nobody answers."""
        os.killpg(self.pid, signal.SIGSTOP)
        stands = {"T"}
        wait_until(lambda: {fact.state for fact in _group(self.pid).values()} == stands, "it stands", 5)

    def thaw(self) -> None:
        """SIGCONT."""
        os.killpg(self.pid, signal.SIGCONT)

    def restart(self, within_s: float = START_S) -> None:
        """Start it again, same command line, port and data; kills it first where it still runs."""
        self.kill()
        self.start(within_s)

    def rss_bytes(self) -> int:
        """Memory that it and its workers hold now (resident sets, what they share counted for each)."""
        return sum(fact.rss_bytes for fact in _group(self.pid).values())

    def _is_ready(self) -> bool:
        if not self.alive:
            raise AssertionError(f"{self.arguments[0]} left with {self.exit_code}")
        try:
            return self._ready()
        except OSError:
            return False

    def _tail(self, most: int = 4000) -> str:
        """The end of its log, `most` bytes."""
        return self.log.read_bytes()[-most:].decode(errors="replace") if self.log.exists() else ""


class _Fact(NamedTuple):
    """What the kernel says of a process: R runs, S sleeps, T stands still."""

    state: str
    threads: int
    rss_bytes: int


def _group(leader: int) -> dict[int, _Fact]:
    """The processes of a group by id, but for the dead that nobody has waited for yet."""
    found = _group_of_proc(leader) if Path("/proc/self/stat").exists() else _group_of_ps(leader)
    # A dead leader of threads keeps its sockets until the last of them is dead.
    return {pid: fact for pid, fact in found.items() if fact.state not in "ZX" or fact.threads > 1}


def _group_of_proc(leader: int) -> dict[int, _Fact]:
    page = os.sysconf("SC_PAGE_SIZE")
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            # proc(5): state is field 3, pgrp 5, threads 20, rss 24. Field 2, the name, may hold anything.
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it left meanwhile
        if int(fields[2]) == leader:
            found[int(folder.name)] = _Fact(fields[0], int(fields[17]), int(fields[21]) * page)
    return found


def _group_of_ps(leader: int) -> dict[int, _Fact]:
    listed = subprocess.run(
        ["ps", "-axo", "pid=,pgid=,state=,rss="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in listed.splitlines()]
    return {
        int(pid): _Fact(state[0], 1, int(kb) * 1024) for pid, group, state, kb in rows if int(group) == leader
    }
