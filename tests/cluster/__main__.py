"""`make cluster`: a fleet of real servers on this machine, a guided tour through the deaths of its nodes,
and then it stands there to be looked at until Ctrl-C.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom

import click

from tests.cluster.campaign import EVENTS_S, READS_S, STEPS, Outcome, loaded, outcome, run
from tests.cluster.town import town
from tests.support.servers.place import Missing


def main() -> None:
    """Build it, take the tour, wait."""
    options = argparse.ArgumentParser(prog="make cluster ARGS=…", description=__doc__)
    options.add_argument("--sentinels", action="store_true", help="Redis behind sentinels, not as a cluster")
    options.add_argument("--leave", action="store_true", help="stop after the tour")
    given = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began_s = time.monotonic()

    def say(what: str) -> None:
        click.echo(f"{time.monotonic() - began_s:6.1f} s  {what}")

    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            town(Path(folder), say, sentinels=given.sentinels) as place,
        ):
            say(f"load on: {EVENTS_S:.0f} deliveries and {READS_S:.0f} reads a second through HAProxy")
            with loaded(place, Path(folder), SystemRandom().randrange(2**31)) as load:
                run(load, STEPS, say)
                say("load off; what was not acknowledged is sent until it is")
            result = outcome(load)
            say(verdict(result))
            for bug in result.bugs[:3]:
                say(f"a bug of ours: {bug}")
            if not given.leave:
                say("everything stands: look at the pages above; Ctrl-C stops all of it")
                signal.pause()
    except Missing as missing:
        sys.exit(f"make cluster: {missing}")
    except KeyboardInterrupt:
        click.echo("\nstopped")
    else:
        sys.exit(result.verdict != ([], [], []))


def verdict(result: Outcome) -> str:
    """What was lost."""
    lost, doubled, turned = (len(each) for each in result.verdict)
    acknowledged = sum(each.events for each in result.intervals)
    return (
        f"the oracle: {acknowledged} events acknowledged while nodes died; lost {lost}, doubled {doubled},"
        f" turned back {turned}; {result.unacknowledged} deliveries never acknowledged;"
        f" {result.reads} reads, {len(result.failures)} failed;"
        f" all database nodes have the same: {'yes' if result.agreed else 'NO'}"
    )


if __name__ == "__main__":
    main()
