"""Processes that a test owns: started, frozen, killed and started again, always by their own id.

A private database, a Valkey and `farmlokal serve` are all driven through this one class, so that a fault is
written the same way whoever meets it.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shutil import which

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

    `ready` says whether the process can be spoken to; it may raise `OSError` while it cannot. Start it from a
    thread that lives on: where `setpriv` is found, the kernel kills the process with the thread that
    started it, so that nothing outlives a test run that was itself killed.
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
        guard = which("setpriv")
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*((guard, "--pdeathsig", "KILL") if guard else ()), *self.arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_until_ready(self, within_s: float = START_S) -> None:
        """Return when it can be spoken to; `AssertionError` when it left, or is not ready in time."""
        wait_until(self._is_ready, f"{self.arguments[0]} is ready\n{self._tail()}", within_s)

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

    def kill(self) -> None:
        """SIGKILL, as a machine that loses a process would: nothing is flushed, nobody says goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self, within_s: float = STOP_S) -> int:
        """SIGTERM, also to one that is frozen; its exit code. Killed, and an error, when it stays."""
        assert self._process is not None, "it was never started"
        if self.alive:
            self._process.terminate()
            self._process.send_signal(signal.SIGCONT)
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not leave within {within_s} s of SIGTERM\n{self._tail()}") from None

    def freeze(self) -> None:
        """SIGSTOP, and wait until it stands: its sockets stay open and accept, and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(lambda: _state(self.pid).startswith("T"), "the process stands still", within_s=5)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self, within_s: float = START_S) -> None:
        """Start it again, same command line, port and data; kills it first where it still runs."""
        self.kill()
        self.start(within_s)

    def rss_bytes(self) -> int:
        """Memory that it holds now (resident set), with that of no child."""
        return int(_ps(self.pid, "rss")) * 1024

    def _is_ready(self) -> bool:
        if not self.alive:
            raise AssertionError(f"{self.arguments[0]} left with {self.exit_code}\n{self._tail()}")
        try:
            return self._ready()
        except OSError:
            return False

    def _tail(self, most: int = 4000) -> str:
        """The end of its log, `most` bytes."""
        return self.log.read_bytes()[-most:].decode(errors="replace") if self.log.exists() else ""


def _state(pid: int) -> str:
    """The kernel's letter: R runs, S sleeps, T stands still, Z is dead and not yet waited for."""
    return _ps(pid, "state")


def _ps(pid: int, what: str) -> str:
    """One fact about a process: from /proc, or from `ps` where there is none."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        name = {"state": "State:", "rss": "VmRSS:"}[what]
        return next(line.split()[1] for line in status.read_text().splitlines() if line.startswith(name))
    return subprocess.run(
        ["ps", "-o", f"{what}=", "-p", str(pid)], capture_output=True, text=True, check=True
    ).stdout.strip()
