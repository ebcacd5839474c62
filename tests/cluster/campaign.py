"""Load on a town while its nodes die in turn, and what came of it."""

import re
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tests.cluster.onlooker import Onlooker
from tests.cluster.town import BACK_S, STOCK, Say, Town, targets
from tests.faults.oracle import BALANCED_AGAIN, Record, Verdict, judge
from tests.faults.processes import wait_until
from tests.faults.reader import Failure, Reader
from tests.faults.sender import Sender
from tests.faults.traffic import Traffic

EVENTS_S, READS_S = 200.0, 500.0
"""Deliveries and reads a second: what a fleet has to go on with, whichever of its nodes dies."""

DOWN_S = 3.0
"""How long what was killed stays away: longer than its peers take to go on without it."""

SETTLE_S = 2.0
"""Left alone after each step, so that what it did is told apart from the next."""

LONGEST_S = 240.0
"""So much traffic is made; a campaign ends sooner."""

DRAIN_S = 180.0
"""Longest from the end until every event is acknowledged; on a machine in a hurry thousands may be late."""

Step = Callable[[Town, Say], None]


class Interval(NamedTuple):
    """What happened while one thing was done."""

    name: str
    seconds: float
    reads: int
    failures: list[Failure]
    events: int
    refused: int
    """Deliveries that had no good answer, and were sent again."""
    write_gap_s: float
    """Longest time without an event that was acknowledged."""
    alerts: list[str]
    """What the dashboards said."""


@dataclass
class Load:
    """Events and reads that go on; `during` measures what is done meanwhile."""

    town: Town
    record: Record
    reader: Reader
    sender: Sender
    traffic: Traffic
    onlookers: Sequence[Onlooker]
    intervals: list[Interval] = field(default_factory=list)

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """One interval."""
        start_s = time.monotonic()
        yield
        end_s = time.monotonic()
        times = [each for each in self.record.acknowledged_s if start_s <= each <= end_s]
        edges = [start_s, *times, end_s]
        gap_s = max(later - sooner for sooner, later in pairwise(edges))
        asked = self.reader.asked_s
        reads = bisect_left(asked, end_s) - bisect_left(asked, start_s)
        failures = [each for each in self.reader.failures if start_s <= each.at_s < end_s]
        alerts = sorted({name for each in self.onlookers for name in each.between(start_s, end_s)})
        refused = len([each for each in self.record.refused_s if start_s <= each <= end_s])
        self.intervals.append(
            Interval(name, end_s - start_s, reads, failures, len(times), refused, gap_s, alerts)
        )


class Outcome(NamedTuple):
    """What was lost, and what was not answered."""

    verdict: Verdict
    letters: int
    unacknowledged: int
    wrong: list[str]
    reads: int
    failures: list[Failure]
    agreed: bool
    bugs: list[str]
    """What instances logged as a bug of ours, each with where it came from."""
    intervals: list[Interval]


@contextmanager
def loaded(town: Town, folder: Path, seed: int) -> Iterator[Load]:
    """Events come in and reads, until this is left."""
    traffic = Traffic(seed, EVENTS_S, LONGEST_S)
    record = Record(folder / "record.jsonl", time.monotonic())
    sender = Sender(traffic.deliveries(), lambda _: town.shop.port, record, seed, BALANCED_AGAIN)
    reader = Reader(targets(), READS_S, town.shop.port)
    patience_s = 0.0
    with ExitStack() as stack:
        onlookers = [stack.enter_context(Onlooker(each.port)) for each in town.instances]
        sender.start()
        reader.start()
        try:
            yield Load(town, record, reader, sender, traffic, onlookers)
            patience_s = DRAIN_S
        finally:
            reader.stop()
            sender.finish()
            sender.join(patience_s)
            record.close()


def outcome(load: Load) -> Outcome:
    """The oracle's word, once the load is over and every node is there again."""
    town = load.town
    for node in town.galera.nodes:
        node.process.wait_until_ready(BACK_S)
    agreed = True
    try:
        wait_until(town.agree, "all nodes have the same", BACK_S)
    except AssertionError:
        agreed = False
    with town.books(town.galera.nodes[0]) as books:
        verdict = judge(load.traffic.events, load.record.acknowledged, books, STOCK)
        letters = len(books.letters())
    return Outcome(
        verdict,
        letters,
        load.sender.left,
        load.sender.wrong,
        len(load.reader.asked_s),
        load.reader.failures,
        agreed,
        [bug for each in town.instances for bug in _bugs(each.log.read_text(errors="replace"))],
        load.intervals,
    )


def pause(seconds: float) -> None:
    """Let the load run for a while."""
    end_s = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end_s, "time passes", seconds + 1)


def leave_alone(_: Town, __: Say) -> None:
    """Nobody is disturbed."""
    pause(DOWN_S)


def kill_an_instance(town: Town, say: Say) -> None:
    """One of two instances dies and comes back."""
    victim = town.instances[0]
    say(f"kill -9: the instance on port {victim.port}")
    victim.process.kill()
    pause(DOWN_S)
    victim.process.start()
    wait_until(lambda: len(town.shop.up("ready")) == 2, "both get requests", BACK_S)
    say("it is back and gets requests")


def kill_the_writer(town: Town, say: Say) -> None:
    """The database node that all write to dies and comes back."""
    victim = town.writer()
    say(f"kill -9: {victim.name} (port {victim.port}), the database node that the instances write to")
    victim.process.kill()
    pause(DOWN_S)
    say(f"they write to {town.writer().name} now")
    _rejoin(town, victim.name, say)


def kill_another_node(town: Town, say: Say) -> None:
    """A database node dies that nobody is connected to, and comes back."""
    writer = town.writer()
    victim = next(node for node in reversed(town.galera.nodes) if node is not writer)
    say(f"kill -9: {victim.name} (port {victim.port}), a database node that only follows")
    victim.process.kill()
    pause(DOWN_S)
    _rejoin(town, victim.name, say)


def kill_a_redis_primary(town: Town, say: Say) -> None:
    """A Redis primary dies, its replica takes its place, and it comes back as a replica."""
    victim = town.redis.primaries()[0]
    before = {each.port for each in town.redis.primaries()}
    say(f"kill -9: the Redis primary on port {victim.port}")
    victim.process.kill()
    wait_until(lambda: len(town.redis.primaries()) == len(before), "a replica is promoted", BACK_S)
    new = {each.port for each in town.redis.primaries()} - before
    say(f"the replica on port {', '.join(map(str, new))} is primary now")
    victim.process.start()
    pause(SETTLE_S)


def drain_an_instance(town: Town, say: Say) -> None:
    """The balancer gives an instance nothing for a while."""
    say("HAProxy drains app1, and gives it requests again")
    town.drain(0)
    pause(DOWN_S)
    town.admit(0)


def restart_the_instances(town: Town, say: Say) -> None:
    """As a deployment does."""
    say("rolling restart: each instance is drained, told to leave, started, admitted")
    town.restart_instances()


STEPS: Sequence[Step] = (
    leave_alone,
    kill_an_instance,
    kill_the_writer,
    kill_another_node,
    kill_a_redis_primary,
    drain_an_instance,
    restart_the_instances,
)


def run(load: Load, steps: Sequence[Step], say: Say) -> None:
    """One step after another; each is measured until a little after its end."""
    for step in steps:
        say(f"— {(step.__doc__ or '').strip()}")
        with load.during(step.__name__):
            step(load.town, say)
            pause(SETTLE_S)
        say(report(load.intervals[-1]))


def report(interval: Interval) -> str:
    """One line."""
    why = ", ".join(f"{times} x {why}" for why, times in Counter(f.why for f in interval.failures).items())
    return (
        f"{interval.seconds:.1f} s: {interval.events} events acknowledged,"
        f" {interval.refused} deliveries sent again, at most {interval.write_gap_s:.2f} s between two;"
        f" {interval.reads} reads, {len(interval.failures)} failed{f' ({why})' if why else ''};"
        f" the dashboards said: {', '.join(interval.alerts) or 'all is well'}"
    )


def _bugs(log: str) -> list[str]:
    return [entry[:3000] for entry in re.split(r"\n(?=\d{4}-\d\d-\d\d )", log) if "Traceback" in entry]


def _rejoin(town: Town, name: str, say: Say) -> None:
    node = next(each for each in town.galera.nodes if each.name == name)
    began_s = time.monotonic()
    node.process.start(2 * BACK_S)
    say(f"{name} has what it missed and is in step again after {time.monotonic() - began_s:.1f} s")
    wait_until(lambda: name in town.writers.up("database"), f"HAProxy knows {name}", BACK_S)
