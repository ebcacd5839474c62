"""A whole fleet under load while nodes of each kind die: what a sender was told is true, and readers hardly
notice.
"""

import os
from pathlib import Path

import pytest

from tests.cluster.campaign import STEPS, loaded, outcome, restart_the_instances, run
from tests.cluster.town import town

pytestmark = pytest.mark.xdist_group("cluster")

FAILED_READS = 0.001
"""Share of all reads that may fail."""

WRITES_BACK_S = 10.0
"""Longest without an acknowledged event, whatever died."""

SEED = int(os.environ.get("FARMLOKAL_TEST_CLUSTER_SEED", "9"))


def say(what: str) -> None:
    """For whoever watches (`-s`)."""
    print(what)  # noqa: T201


def test_a_fleet_whose_nodes_die(tmp_path: Path) -> None:
    """200 events and 500 reads a second go on while an instance, the database node that is written to,
    another one and a Redis primary are killed and an instance is drained, in turn: nothing is lost or
    doubled, under one read in a thousand fails, writes are back within 10 s. A rolling restart of the
    instances drops no request."""
    with town(tmp_path, say) as place:
        with loaded(place, tmp_path, SEED) as load:
            run(load, STEPS, say)
        result = outcome(load)
    say(f"{result.reads} reads, {len(result.failures)} failed: {result.failures[:5]}")
    assert result.verdict == ([], [], [])
    assert result.agreed
    assert not result.bugs, result.bugs[0]
    assert not result.letters
    assert not result.unacknowledged
    assert not result.wrong, result.wrong[:5]
    assert len(result.failures) < FAILED_READS * result.reads, result.failures[:5]
    for interval in result.intervals:
        assert interval.write_gap_s < WRITES_BACK_S, interval
        if interval.name == restart_the_instances.__name__:
            assert not interval.failures, interval.failures[:5]
            assert not interval.refused
