"""Faults by a schedule that a seed makes: processes are killed, frozen and started again, several at a time.

One loop does it all, because a process dies with the thread that started it.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from tests.faults.processes import OwnedProcess

PAUSE_S, DOWN_S, FROZEN_S = (0.5, 4.0), (0.0, 1.0), (0.2, 4.0)
"""How long a process is left alone, stays dead, and stands still; drawn anew each time."""

TICK_S = 0.02


@dataclass
class Victim:
    """A process and its fate. `answers` says whether it serves now; `needs` whom it cannot start without."""

    name: str
    process: OwnedProcess
    answers: Callable[[], bool]
    random: Random
    needs: list["Victim"] = field(default_factory=list)
    state: str = "up"
    due_s: float = 0.0
    launched_s: float = 0.0
    undisturbed: bool = True

    def step(self, now_s: float, note: Callable[[str, str], None], restarts_s: list[float]) -> None:
        """What is due now."""
        if self.state == "starting":
            self._starting(now_s, restarts_s)
        elif now_s < self.due_s:
            return
        elif self.state == "frozen":
            self.process.thaw()
            self._leave_alone(now_s)
        elif self.state == "dead":
            self._launch(now_s)
        elif self.random.random() < 0.4:
            note("freeze", self.name)
            self.process.freeze()
            self._enter("frozen", now_s + self.random.uniform(*FROZEN_S))
        else:
            note("kill", self.name)
            self.process.kill()
            self._enter("dead", now_s + self.random.uniform(*DOWN_S))

    def mend(self) -> None:
        """Whatever it is, it is well at the end."""
        if self.state == "frozen":
            self.process.thaw()
        elif not self.process.alive:
            self._launch(time.monotonic())
        self.process.wait_until_ready()

    def _starting(self, now_s: float, restarts_s: list[float]) -> None:
        if any(each.state != "up" for each in self.needs):
            self.undisturbed = False
        if not self.process.alive:  # what it needs was away: somebody starts it again
            self._enter("dead", now_s + 0.2)
        elif self.answers():
            if self.undisturbed and self.name.startswith("app"):
                restarts_s.append(time.monotonic() - self.launched_s)
            self._leave_alone(now_s)

    def _launch(self, now_s: float) -> None:
        self.launched_s, self.undisturbed = time.monotonic(), True
        self.process.kill()  # a worker may have outlived its parent
        self.process.launch()
        self._enter("starting", now_s)

    def _leave_alone(self, now_s: float) -> None:
        self._enter("up", now_s + self.random.uniform(*PAUSE_S))

    def _enter(self, state: str, due_s: float) -> None:
        self.state, self.due_s = state, due_s


class Torment:
    """The faults of a run; `faults` counts them. `restarts_s` has the times from the start of an instance to
    its readiness, where what it needs was there all the while."""

    def __init__(self, victims: Mapping[str, tuple[OwnedProcess, Callable[[], bool]]], seed: int) -> None:
        self.victims = [
            Victim(name, process, answers, Random(f"{seed} {name}"))
            for name, (process, answers) in victims.items()
        ]
        for victim in self.victims:
            victim.needs = [each for each in self.victims if each is not victim and each.name == "database"]
        self.faults: Counter[str] = Counter()
        self.restarts_s: list[float] = []

    def run(self, until_s: float, note: Callable[[str, str], None], between: Callable[[], None]) -> None:
        """Torment until then; `between` is called about once a second."""
        look_s = 0.0

        def noted(fault: str, name: str) -> None:
            self.faults[f"{fault} {name}"] += 1
            note(fault, name)

        start_s = time.monotonic()
        for victim in self.victims:
            victim.due_s = start_s + victim.random.uniform(*PAUSE_S)
        while (now_s := time.monotonic()) < until_s:
            for victim in self.victims:
                victim.step(now_s, noted, self.restarts_s)
            if now_s > look_s:
                between()
                look_s = now_s + 1
            time.sleep(TICK_S)
        for victim in sorted(self.victims, key=lambda each: bool(each.needs)):
            victim.mend()
