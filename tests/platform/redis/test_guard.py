"""The guard before Redis: when it shuts, and what alone opens it."""

import structlog
from structlog.testing import capture_logs

from farmlokal.platform.redis.guard import FAILURES, Guard
from tests.support.clock import ManualClock


def test_a_few_failures_in_a_row_mean_down_and_only_a_probe_means_up() -> None:
    """Failures with a success between them change nothing; enough in a row shut, and only a probe opens."""
    with capture_logs() as lines:
        guard = Guard(ManualClock(), structlog.get_logger())
        for _ in range(10):
            for _ in range(FAILURES - 1):
                guard.failed("timeout")
            guard.succeeded()
        assert guard.state().up
        for _ in range(FAILURES):
            guard.failed("timeout")
        assert not guard.state().up
        guard.succeeded()
        assert not guard.state().up, "a read that was under way says nothing of writes"
        guard.probed("read-only")
        assert (guard.state().up, guard.reason) == (False, "read-only")
        guard.probed(None)
        assert guard.state().up
        guard.probed(None)
    assert [line["event"] for line in lines] == ["redis is down, going on without it", "redis is back"]


def test_state_says_for_how_long_and_how_often() -> None:
    """The state has the seconds since the last change and counts what failed and what was spared."""
    clock = ManualClock()
    with capture_logs():
        guard = Guard(clock, structlog.get_logger())
        guard.probed("connection")
        clock.advance(2)
        guard.spare()
        guard.failed("timeout")
        state = guard.state()
    assert (state.up, state.for_s, state.reason, state.failed, state.spared) == (False, 2, "connection", 1, 1)
