"""The small parts: deadlines, windows, what is kept, and what a status means."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.platform.resilience.deadline import Deadline, DeadlineExceeded
from farmlokal.platform.resilience.failures import UpstreamFailed, UpstreamRefused, check_status
from farmlokal.platform.resilience.kept import Store
from farmlokal.platform.resilience.window import Window
from tests.support.clock import ManualClock
from tests.support.simulation import elapse, simulate


def test_a_part_never_gets_more_time_than_the_whole(clock: ManualClock) -> None:
    """A deadline within another ends at the earlier of both, however deep."""
    whole = Deadline.after(clock, 4)
    assert whole.within(1).remaining_s() == 1
    assert whole.within(10).within(20).remaining_s() == 4
    clock.advance(3.5)
    assert whole.within(1).remaining_s() == 0.5
    clock.advance(9)
    assert whole.remaining_s() == 0


def test_work_ends_at_the_deadline(clock: ManualClock) -> None:
    """Work that hangs is cancelled at the deadline, and none begins after it."""
    begun: list[float] = []

    async def hang() -> None:
        begun.append(clock.monotonic_s())
        await asyncio.Event().wait()

    async def go() -> None:
        deadline = Deadline.after(clock, 4)
        for _ in range(2):
            with pytest.raises(DeadlineExceeded):
                await deadline.run(hang)

    before_s = clock.monotonic_s()
    simulate(go(), clock)
    assert clock.monotonic_s() - before_s == pytest.approx(4)
    assert begun == [before_s]


def test_a_shorter_limit_of_the_work_is_not_the_deadline(clock: ManualClock) -> None:
    """A timeout that the work has of its own passes as what it is."""

    async def impatient() -> None:
        async with asyncio.timeout(1):
            await elapse(2)

    async def go() -> None:
        with pytest.raises(TimeoutError):
            await Deadline.after(clock, 4).run(impatient)

    simulate(go(), clock)


def test_a_cancelled_caller_is_no_deadline(clock: ManualClock) -> None:
    """Who is cancelled under a deadline is cancelled, and the deadline does not claim it."""

    async def go() -> None:
        caller = asyncio.create_task(Deadline.after(clock, 4).run(asyncio.Event().wait))
        await elapse(1)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller

    simulate(go(), clock)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=60))
def test_a_window_is_the_sum_of_its_slots(events: list[tuple[int, int]]) -> None:
    """A window counts what came in the present tenth of its span and the nine before, whatever the gaps."""
    clock = ManualClock()
    window = Window(clock, 5.0, counters=2)
    history: list[tuple[int, int]] = []
    for quarters, count in events:
        clock.advance(quarters / 4)
        slot = int(clock.monotonic_s() * 2)
        window.add((1, count))
        history.append((slot, count))
        counted = [past for at, past in history if at > slot - 10]
        assert window.totals() == [len(counted), sum(counted)]


def test_what_is_kept_has_its_age_and_its_end(clock: ManualClock) -> None:
    """A kept value is found with its age until it is too old, and a new one is young."""
    store: Store[str, int] = Store(clock, 10, entries=5)
    store.keep("a", 1)
    clock.advance(4)
    assert store.find("a") == (1, 4)
    store.keep("a", 2)
    clock.advance(10)
    assert store.find("a") == (2, 10)
    clock.advance(0.5)
    assert store.find("a") is None
    assert len(store) == 0


def test_what_is_kept_is_bounded(clock: ManualClock) -> None:
    """Past a number or a size the value kept longest ago goes; one that is too large alone is not kept."""
    store: Store[int, bytes] = Store(clock, 10, entries=3, bytes_in_all=100, size=len)
    for number in range(5):
        store.keep(number, b"x" * 10)
    assert [number for number in range(5) if store.find(number)] == [2, 3, 4]
    store.keep(5, b"x" * 85)
    assert [number for number in range(6) if store.find(number)] == [4, 5]
    store.keep(6, b"x" * 101)
    assert [number for number in range(7) if store.find(number)] == [4, 5]
    store.keep(5, b"x" * 101)
    assert store.find(5) is None, "an older value does not stand for a newer one"
    for number in range(10):
        store.keep(number, b"x" * 33)
    assert len(store) == 3


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (408, True),
        (429, True),
        (500, False),
        (501, False),
        (502, True),
        (503, True),
        (504, True),
        (302, False),
    ],
)
def test_a_status_that_speaks_against_the_callee(status: int, retryable: bool) -> None:
    """Server errors, timeouts, too many requests and redirects are failures; some are worth a retry."""
    with pytest.raises(UpstreamFailed) as caught:
        check_status(status, 7.0)
    assert caught.value.retryable is retryable


@pytest.mark.parametrize("status", [429, 503])
def test_a_failure_may_say_when_to_come_back(status: int) -> None:
    """What the callee asks for goes with the failure."""
    with pytest.raises(UpstreamFailed) as caught:
        check_status(status, 7.0)
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize(
    ("status", "gone"), [(400, False), (401, False), (403, False), (404, True), (410, True)]
)
def test_a_status_that_is_an_answer(status: int, gone: bool) -> None:
    """Other client errors are answers of a callee that works."""
    with pytest.raises(UpstreamRefused) as caught:
        check_status(status)
    assert (caught.value.status, caught.value.gone) == (status, gone)
