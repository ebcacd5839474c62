"""Many lives of upstream tokens, while instances are killed, sleep past every lock and have wrong clocks."""

import json
import os
import random
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from farmlokal.oauth.upstream.token import identity
from farmlokal.suppliers.simulator import Behaviour
from farmlokal.suppliers.simulator.provider import Call
from tests.faults import token_worker
from tests.faults.processes import OwnedProcess, wait_until
from tests.faults.token_worker import LIFE_S, TIMES
from tests.support.provider import Running, simulated
from tests.support.servers.valkey import Valkey

LIVES = int(os.environ.get("FARMLOKAL_TEST_TOKEN_LIVES", "12"))
"""`make tokens` asks for a thousand."""

SEED = int(os.environ.get("FARMLOKAL_TEST_TOKEN_SEED", "1"))
FAKETIME = os.environ.get("FARMLOKAL_TEST_FAKETIME", "")
"""libfaketime, where it is at hand: it moves the time of day of whole processes."""

WORKERS = 3
BUSY_S = 60.0


class Line(NamedTuple):
    """What a worker was given: when, with how much life, which token."""

    at: float
    left: float
    id: str


class Campaign:
    """Workers over one Valkey and one provider, and what is done to them."""

    def __init__(self, folder: Path, provider: Running, redis: Valkey) -> None:
        self.folder, self.provider, self.redis = folder, provider, redis
        self.draw = random.Random(SEED)
        self.done: dict[str, int] = dict.fromkeys(("kill", "sleep", "slow", "failing", "flush", "clock"), 0)
        self.workers = [self._worker(number) for number in range(WORKERS)]

    def _worker(self, number: int) -> OwnedProcess:
        record = self.folder / f"record-{number}"
        arguments = [self.redis.url, self.provider.token_url, str(record)]
        environment = dict(os.environ)
        if FAKETIME:
            off = self.folder / f"off-{number}"
            off.write_text("+0\n")
            environment |= {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(off)}
            environment |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_CACHE_DURATION": "1"}
        return OwnedProcess(
            [sys.executable, token_worker.__file__, *arguments],
            self.folder / f"log-{number}",
            lambda: record.exists() and record.stat().st_size > 0,
            environment,
        )

    def disturb(self) -> None:
        """Do one thing that happens in the life of a fleet, and go on when it is over."""
        what = self.draw.choice(list(self.done))
        worker = self.draw.choice(self.workers)
        self.done[what] += 1
        if what == "kill":
            worker.restart(BUSY_S)
        elif what == "sleep":
            worker.freeze()
            try:
                self.pause(self.draw.uniform(1.0, 2.5) * TIMES.lock_s)
            finally:
                worker.thaw()
        elif what in ("slow", "failing"):
            faults = [Behaviour(status=500), Behaviour(fault="hang"), Behaviour(fault="reset")]
            slow = Behaviour(latency_s=self.draw.uniform(0.2, 0.7), life_s=LIFE_S)
            step = slow if what == "slow" else self.draw.choice(faults)
            self.provider.play(step, Behaviour(life_s=LIFE_S))
        elif what == "flush":
            self.redis.ask("FLUSHALL")
        elif FAKETIME:
            off = self.folder / f"off-{self.workers.index(worker)}"
            off.write_text(self.draw.choice(["+3600\n", "-3600\n", "+0\n"]))
        self.pause(self.draw.uniform(0.0, LIFE_S))

    def pause(self, seconds: float) -> None:
        """Let the fleet work."""
        over = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() > over, "time passes", seconds + BUSY_S)

    def lines(self) -> list[Line]:
        """All that the workers were given. A line that a kill has cut is none."""
        texts = [text for record in self.folder.glob("record-*") for text in record.read_text().splitlines()]
        whole = [text for text in texts if text.startswith('{"at"') and text.endswith("}")]
        return [Line(**json.loads(text)) for text in whole]


def test_no_life_is_outlived(tmp_path: Path) -> None:
    """Through all the lives of tokens, whoever is killed, asleep, or has a wrong clock, and whatever the
    provider and Redis do, nobody is given an expired token, or told that it has more life than it has; and
    the provider is called once a life, and once more for each thing that went wrong."""
    with simulated() as provider, Valkey() as redis, ExitStack() as stack:
        provider.play(Behaviour(life_s=LIFE_S))
        campaign, began = Campaign(tmp_path, provider, redis), time.monotonic()
        for worker in campaign.workers:
            stack.callback(worker.kill)
            worker.launch()
        for worker in campaign.workers:
            worker.wait_until_ready(BUSY_S)
        enough = provider.calls + LIVES
        while provider.calls < enough:
            campaign.disturb()
        lasted = time.monotonic() - began
        for worker in campaign.workers:
            worker.kill()
        issued = provider.ask(lambda: dict(provider.simulator.provider.issued))
        calls = provider.ask(lambda: sorted(provider.simulator.provider.calls))
    lives = {identity(token): ends for token, ends in issued.items()}
    lines = campaign.lines()
    late = [line for line in lines if line.at + line.left > lives[line.id].ends_s or line.left <= 0]
    assert not late
    # A token is renewed 0.3 s and a half of its last fifth before its end, ± 10 %, or later.
    shortest_s = LIFE_S - TIMES.least_s - 0.55 * TIMES.early_share * LIFE_S
    wrong = sum(campaign.done.values())
    told = (
        f"{len(calls)} calls, {len({line.id for line in lines})} tokens given {len(lines)} times"
        f" in {lasted:.0f} s; {campaign.done}"
    )
    print(told)  # noqa: T201
    assert len({line.id for line in lines}) >= LIVES / 3
    assert len(calls) <= lasted / shortest_s + 2 * wrong + 2, told
    _one_at_a_time(calls, campaign.done["flush"])


def _one_at_a_time(calls: Sequence[Call], flushes: int) -> None:
    """Two calls at once are a lock apart, less the time that the first may have taken to arrive; or Redis had
    lost the lock."""
    apart_s = TIMES.lock_s - TIMES.call_s
    at_once = [
        second
        for first, second in pairwise(calls)
        if second.came_s < first.left_s and second.came_s - first.came_s < apart_s
    ]
    assert len(at_once) <= flushes
