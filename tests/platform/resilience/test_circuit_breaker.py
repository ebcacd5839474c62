"""The circuit breaker, on a clock that the test moves."""

import asyncio
from contextlib import suppress
from random import Random

import pytest
import structlog
from structlog.testing import capture_logs

from farmlokal.platform.resilience.circuit_breaker import (
    BreakerPolicy,
    CircuitBreaker,
    Permit,
    State,
)
from farmlokal.platform.resilience.failures import NotCalled
from tests.support.clock import ManualClock
from tests.support.simulation import settle, simulate

STEADY = BreakerPolicy(jitter=0.0)


class Line:
    """A breaker, and calls through it that take no time unless they are told to."""

    def __init__(self, policy: BreakerPolicy = STEADY, seed: int = 1) -> None:
        self.clock = ManualClock()
        self.breaker = CircuitBreaker("supplier", self.clock, Random(seed), structlog.get_logger(), policy)

    def state(self) -> State:
        """The state now."""
        return self.breaker.state().state

    def calls(self, number: int, *, failed: bool = False, took_s: float = 0.0) -> None:
        """So many calls, one after the other, all with one outcome."""
        for _ in range(number):
            with self.breaker.acquire() as permit:
                self.clock.advance(took_s)
                (permit.failed if failed else permit.succeeded)()

    def refused(self) -> NotCalled:
        """The refusal that a call meets."""
        with pytest.raises(NotCalled) as caught:
            self.breaker.acquire()
        return caught.value

    def open(self) -> None:
        """Fail until the circuit is open."""
        self.calls(20, failed=True)
        assert self.state() is State.OPEN


@pytest.fixture
def line() -> Line:
    """A closed circuit that opens for exactly 5 s."""
    return Line()


@pytest.fixture
def half_open(line: Line) -> Line:
    """A circuit that has been open for as long as it stays open."""
    line.open()
    line.clock.advance(5)
    assert line.state() is State.HALF_OPEN
    return line


def probes(line: Line, number: int = 3) -> list[Permit]:
    """So many probes under way."""
    return [line.breaker.acquire() for _ in range(number)]


@pytest.mark.parametrize(
    ("good", "bad", "state"),
    [
        (0, 19, State.CLOSED),
        (0, 20, State.OPEN),
        (10, 9, State.CLOSED),
        (10, 10, State.OPEN),
        (11, 10, State.CLOSED),
        (500, 499, State.CLOSED),
        (500, 500, State.OPEN),
    ],
)
def test_opens_at_the_share_of_failures(line: Line, good: int, bad: int, state: State) -> None:
    """The circuit opens when at least 20 calls were made and half of them failed."""
    line.calls(good)
    line.calls(bad, failed=True)
    assert line.state() is state


@pytest.mark.parametrize(
    ("fast", "slow", "took_s", "state"),
    [
        (4, 15, 2.001, State.CLOSED),
        (4, 16, 2.001, State.OPEN),
        (5, 16, 2.001, State.CLOSED),
        (4, 16, 2.0, State.CLOSED),
    ],
)
def test_opens_at_the_share_of_slow_calls(fast: int, slow: int, took_s: float, state: State) -> None:
    """The circuit opens when four of five calls succeed after more than 2 s."""
    line = Line(STEADY._replace(window_s=1000.0))
    line.calls(fast)
    line.calls(slow, took_s=took_s)
    assert line.state() is state


def test_the_circuit_is_judged_when_a_call_ends(line: Line) -> None:
    """The call that makes the least number opens the circuit even if it was good: half of 20 had failed."""
    line.calls(10, failed=True)
    line.calls(9)
    assert line.state() is State.CLOSED
    line.calls(1)
    assert line.state() is State.OPEN


def test_old_calls_fall_out_of_the_window(line: Line) -> None:
    """Failures of more than 10 s ago do not count, nor towards the least number of calls."""
    line.calls(19, failed=True)
    line.clock.advance(10)
    line.calls(19, failed=True)
    assert line.state() is State.CLOSED
    line.calls(1, failed=True)
    assert line.state() is State.OPEN


def test_the_window_slides(line: Line) -> None:
    """Calls of the last 9 s count together, however they are spread."""
    for _ in range(10):
        line.calls(2, failed=True)
        line.clock.advance(1)
    assert line.state() is State.OPEN


def test_an_open_circuit_refuses_and_says_for_how_long(line: Line) -> None:
    """Open, every call is refused at once with the time until a probe may be made."""
    line.open()
    line.clock.advance(1.5)
    refusal = line.refused()
    assert refusal.reason == "circuit open"
    assert refusal.retry_after_s == pytest.approx(3.5)
    with pytest.raises(NotCalled):
        line.breaker.check()


def test_half_open_comes_to_the_microsecond(line: Line) -> None:
    """A call is refused until the open time is over, and not a moment longer."""
    line.open()
    line.clock.advance(4.999999)
    line.refused()
    line.clock.advance(0.000001)
    line.breaker.acquire()


def test_half_open_grants_exactly_three_probes(half_open: Line) -> None:
    """Half open, three calls go out, whoever asks."""
    probes(half_open)
    for _ in range(200):
        assert half_open.refused().reason == "circuit half-open"
    assert half_open.breaker.state().probing == 3


def test_asking_takes_no_permit(half_open: Line) -> None:
    """Whether a call would be refused can be asked as often as one likes."""
    for _ in range(10):
        half_open.breaker.check()
    probes(half_open)
    with pytest.raises(NotCalled, match="half-open"):
        half_open.breaker.check()


def test_two_good_probes_close(half_open: Line) -> None:
    """Two good probes of three decide: the third cannot make half of them failures any more."""
    half_open.calls(1)
    assert half_open.state() is State.HALF_OPEN
    half_open.calls(1)
    assert half_open.state() is State.CLOSED


def test_two_failed_probes_open(half_open: Line) -> None:
    """Two failures among the probes open the circuit again, one does not."""
    half_open.calls(1)
    half_open.calls(1, failed=True)
    assert half_open.state() is State.HALF_OPEN
    half_open.calls(1, failed=True)
    assert half_open.state() is State.OPEN


def test_one_failed_probe_is_forgiven(half_open: Line) -> None:
    """One failure among three probes is under the share."""
    half_open.calls(1, failed=True)
    half_open.calls(2)
    assert half_open.state() is State.CLOSED


def test_slow_probes_open() -> None:
    """Three probes that succeed slowly open the circuit again: the callee is not well yet."""
    line = Line()
    line.open()
    line.clock.advance(5)
    line.calls(3, took_s=2.5)
    assert line.state() is State.OPEN


def test_no_fourth_probe_while_the_third_is_out(half_open: Line) -> None:
    """A probe that has ended frees no permit: three are granted in all until the circuit is judged."""
    half_open.calls(1)
    half_open.calls(1, failed=True)
    probes(half_open, 1)
    half_open.refused()


def test_open_time_doubles_up_to_a_minute(line: Line) -> None:
    """Each opening that follows failed probes is twice as long, up to 60 s."""
    line.open()
    lasted = []
    for _ in range(7):
        wait_s = line.refused().retry_after_s
        assert wait_s is not None
        lasted.append(round(wait_s, 6))
        line.clock.advance(wait_s)
        line.calls(2, failed=True)
    assert lasted == [5, 10, 20, 40, 60, 60, 60]


def test_open_time_starts_anew_after_closing(half_open: Line) -> None:
    """A circuit that was closed meanwhile opens for the shortest time again."""
    half_open.calls(2, failed=True)
    half_open.clock.advance(10)
    half_open.calls(2)
    half_open.open()
    assert half_open.breaker.state().retry_after_s == 5


def test_open_time_varies() -> None:
    """Open times of many instances spread over 20 % both ways, so that they do not probe together."""
    waits = []
    for seed in range(300):
        line = Line(BreakerPolicy(), seed)
        line.open()
        waits.append(line.breaker.state().retry_after_s)
    assert 4 <= min(waits) < 4.1
    assert 5.9 < max(waits) <= 6
    assert len(set(waits)) > 200


def test_closing_forgets_the_failures_before(half_open: Line) -> None:
    """After closing, 20 new calls are needed to open again."""
    half_open.calls(2)
    half_open.calls(19, failed=True)
    assert half_open.state() is State.CLOSED


@pytest.mark.parametrize("failed", [True, False])
def test_calls_begun_while_closed_say_nothing_of_a_probe(line: Line, failed: bool) -> None:
    """What comes back late, from before the opening, neither closes a half-open circuit nor opens it."""
    late = probes(line, 5)
    line.open()
    line.clock.advance(5)
    assert line.state() is State.HALF_OPEN
    for permit in late:
        (permit.failed if failed else permit.succeeded)()
    state = line.breaker.state()
    assert (state.state, state.calls, state.probing) == (State.HALF_OPEN, 0, 0)


def test_a_late_probe_says_nothing_of_the_next_opening(half_open: Line) -> None:
    """A probe that ends after the circuit opened again counts in no later state, and frees no permit
    there."""
    late = probes(half_open, 1)[0]
    half_open.calls(2, failed=True)
    half_open.clock.advance(10)
    assert half_open.state() is State.HALF_OPEN
    probes(half_open)
    late.failed()
    state = half_open.breaker.state()
    assert (state.calls, state.probing) == (0, 3)
    half_open.refused()


def test_a_probe_without_verdict_gives_its_permit_back(half_open: Line) -> None:
    """Whoever leaves without a verdict, by an exception that says nothing of the callee, leaves the
    permit."""
    for _ in range(50):
        with suppress(KeyError), half_open.breaker.acquire():
            raise KeyError
    assert half_open.state() is State.HALF_OPEN
    probes(half_open)
    half_open.refused()


def test_a_verdict_counts_once(half_open: Line) -> None:
    """A permit has one verdict: what is said afterwards, or leaving the `with`, changes nothing."""
    with half_open.breaker.acquire() as permit:
        permit.failed()
        permit.failed()
        permit.succeeded()
    state = half_open.breaker.state()
    assert (state.state, state.calls, state.failed, state.probing) == (State.HALF_OPEN, 1, 1, 0)


def test_twenty_cancelled_callers_leave_no_leaked_permit() -> None:
    """Callers cancelled in a half-open circuit give back what they had, and three probes can be made."""
    line = Line()
    line.open()
    line.clock.advance(5)

    async def call(never: asyncio.Event) -> None:
        while True:
            try:
                with line.breaker.acquire() as permit:
                    await never.wait()
                    permit.succeeded()
            except NotCalled:
                await asyncio.sleep(0)

    async def go() -> None:
        never = asyncio.Event()
        callers = [asyncio.create_task(call(never)) for _ in range(20)]
        await settle()
        assert line.breaker.state().probing == 3
        for number, caller in enumerate(callers):
            caller.cancel()
            if number % 3 == 0:
                await settle()
        await asyncio.gather(*callers, return_exceptions=True)

    simulate(go(), line.clock)
    assert line.breaker.state().probing == 0
    probes(line)
    line.refused()


def test_a_callee_that_asks_for_silence_gets_it(line: Line) -> None:
    """For as long as the callee asked no call is made, in a closed circuit too; then it goes on as it was."""
    line.breaker.hold(7)
    line.clock.advance(6.5)
    refusal = line.refused()
    assert refusal.reason == "asked to wait"
    assert refusal.retry_after_s == pytest.approx(0.5)
    assert line.state() is State.CLOSED
    line.clock.advance(0.5)
    line.calls(1)


def test_silence_is_bounded_and_the_longer_one_counts(line: Line) -> None:
    """At most a minute of silence is granted, and a shorter wish does not shorten it."""
    line.breaker.hold(999_999)
    line.breaker.hold(1)
    assert line.breaker.state().retry_after_s == 60


def test_silence_outlasts_the_open_time(line: Line) -> None:
    """A circuit that is due for probes makes none before the silence is over."""
    line.open()
    line.breaker.hold(30)
    line.clock.advance(29)
    assert line.state() is State.HALF_OPEN
    assert line.refused().retry_after_s == pytest.approx(1)
    line.clock.advance(1)
    probes(line)


def test_state_is_visible(line: Line) -> None:
    """The state shows what the breaker counts, since when it is so, and how often it has opened."""
    line.clock.advance(3)
    line.calls(3)
    line.calls(2, failed=True, took_s=2.5)
    state = line.breaker.state()
    assert (state.state, state.for_s, state.calls, state.failed, state.slow) == (State.CLOSED, 8, 5, 2, 2)
    line.calls(15, failed=True)
    line.clock.advance(1)
    state = line.breaker.state()
    assert (state.state, state.for_s, state.retry_after_s, state.opened) == (State.OPEN, 1, 4, 1)


def test_each_change_is_one_line_of_the_log() -> None:
    """The log says when a circuit opens, with what it saw, and when it closes."""
    with capture_logs() as lines:
        line = Line()
        line.open()
        line.refused()
        line.clock.advance(5)
        line.calls(2)
    assert [entry["event"] for entry in lines] == ["circuit opened", "circuit closed"]
    assert (lines[0]["callee"], lines[0]["failed"], lines[0]["for_s"]) == ("supplier", 20, 5)


def test_setting_the_clock_changes_nothing() -> None:
    """The time of day may jump as it likes: the breaker never looks at it."""

    class NoTimeOfDay(ManualClock):
        """A clock for durations only."""

        def now_us(self) -> int:
            raise AssertionError("the time of day was asked for")

    clock = NoTimeOfDay()
    breaker = CircuitBreaker("supplier", clock, Random(1), structlog.get_logger(), STEADY)
    for _ in range(20):
        with breaker.acquire() as permit:
            permit.failed()
    assert (breaker.state().state, breaker.state().retry_after_s) == (State.OPEN, 5)
    clock.advance(5)
    with breaker.acquire() as permit:
        permit.succeeded()
    assert breaker.state().state is State.HALF_OPEN
