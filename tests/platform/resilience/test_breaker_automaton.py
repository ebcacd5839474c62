"""The circuit breaker against a reference automaton: whatever happens to both, they agree on every answer.

The reference keeps every call it ever saw and derives all from that list, so it shares no arithmetic of
counters, slots or permits with what it checks.
"""

import math
from dataclasses import dataclass, field
from random import Random

import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from farmlokal.platform.resilience.circuit_breaker import BreakerPolicy, CircuitBreaker, Permit, State
from farmlokal.platform.resilience.failures import NotCalled
from tests.support.clock import ManualClock

STEP_S = 0.5
"""Times are multiples of it, which floats hold exactly."""


@dataclass(slots=True)
class Call:
    """A call that the reference let out, and what came of it."""

    begun: int
    period: int
    ended: int | None = None
    failed: bool | None = None


@dataclass(slots=True)
class Reference:
    """All calls, and the periods in which they were made: period 0 is closed, each change begins another.

    Times are whole steps.
    """

    policy: BreakerPolicy
    now: int = 0
    period: int = 0
    state: State = State.CLOSED
    opened_in_a_row: int = 0
    open_until: int = 0
    held_until: int = 0
    calls: list[Call] = field(default_factory=list)

    def begin(self) -> Call | None:
        """A call, if one is let out."""
        self.pass_time(0)
        if self.now < self.held_until or self.state is State.OPEN:
            return None
        if self.state is State.HALF_OPEN and len(self.granted()) >= self.policy.probes:
            return None
        self.calls.append(call := Call(self.now, self.period))
        return call

    def end(self, call: Call, failed: bool | None) -> None:
        """A call ends."""
        call.ended, call.failed = self.now, failed
        if call.period != self.period or failed is None:
            return
        judged = [mine for mine in self.granted() if mine.failed is not None]
        if self.state is State.CLOSED:
            slot = self._slot(self.now)
            judged = [
                mine for mine in judged if mine.ended is not None and self._slot(mine.ended) > slot - 10
            ]
        bad = sum(mine.failed is True for mine in judged)
        slow = sum((mine.ended or 0) - mine.begun > self.policy.slow_s / STEP_S for mine in judged)
        if self.state is State.CLOSED:
            all_calls = len(judged)
            enough = all_calls >= self.policy.least_calls
            if enough and (
                bad / all_calls >= self.policy.failed_share or slow / all_calls >= self.policy.slow_share
            ):
                self._open()
            return
        if self._fails(bad) or self._lags(slow):
            self._open()
            return
        left = self.policy.probes - len(judged)
        if not self._fails(bad + left) and not self._lags(slow + left):
            self.state, self.opened_in_a_row = State.CLOSED, 0
            self.period += 1

    def pass_time(self, steps: int) -> None:
        """Time passes."""
        self.now += steps
        if self.state is State.OPEN and self.now >= self.open_until:
            self.state = State.HALF_OPEN
            self.period += 1

    def granted(self) -> list[Call]:
        """The calls of this period, without those that gave their permit back."""
        return [
            call
            for call in self.calls
            if call.period == self.period and (call.ended is None or call.failed is not None)
        ]

    def _slot(self, now: int) -> int:
        return math.floor((BEGIN + now * STEP_S) / (self.policy.window_s / 10))

    def _fails(self, bad: int) -> bool:
        return bad / self.policy.probes >= self.policy.failed_share

    def _lags(self, slow: int) -> bool:
        return slow / self.policy.probes >= self.policy.slow_share

    def _open(self) -> None:
        open_s = min(self.policy.longest_open_s, self.policy.open_s * 2**self.opened_in_a_row)
        self.opened_in_a_row += 1
        self.open_until = self.now + round(open_s / STEP_S)
        self.state = State.OPEN
        self.period += 1


BEGIN = ManualClock().monotonic_s()

POLICIES = st.builds(
    BreakerPolicy,
    window_s=st.sampled_from([5.0, 10.0]),
    least_calls=st.integers(1, 5),
    failed_share=st.sampled_from([0.25, 0.5, 1.0]),
    slow_share=st.sampled_from([0.5, 0.75, 1.0]),
    slow_s=st.just(1.0),
    open_s=st.sampled_from([0.5, 2.0]),
    longest_open_s=st.sampled_from([4.0, 8.0]),
    jitter=st.just(0.0),
    probes=st.integers(1, 4),
    longest_hold_s=st.just(3.0),
)


OUTCOMES = st.sampled_from([True, True, False, False, False, None])
"""Failed, good, or without a verdict."""


class BreakerMachine(RuleBasedStateMachine):
    """Calls begin and end, time passes, silence is asked for, in every order."""

    @initialize(policy=POLICIES)
    def begin(self, policy: BreakerPolicy) -> None:
        """A closed breaker, and a reference that has seen nothing."""
        self.clock = ManualClock()
        self.reference = Reference(policy)
        log = structlog.wrap_logger(None, processors=[lambda *_: (_ for _ in ()).throw(structlog.DropEvent)])
        self.breaker = CircuitBreaker("supplier", self.clock, Random(1), log, policy)
        self.under_way: list[tuple[Permit, Call]] = []

    @rule()
    def call(self) -> None:
        """A call is let out by both or by neither."""
        expected = self.reference.begin()
        try:
            permit = self.breaker.acquire()
        except NotCalled:
            assert expected is None
            return
        assert expected is not None
        self.under_way.append((permit, expected))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), failed=OUTCOMES)
    def end(self, data: st.DataObject, failed: bool | None) -> None:
        """Any call that is under way ends, well, badly or without a verdict."""
        self.end_of(data.draw(st.integers(0, len(self.under_way) - 1)), failed)

    @rule(number=st.integers(1, 6), steps=st.integers(0, 3), failed=OUTCOMES)
    def calls(self, number: int, steps: int, failed: bool | None) -> None:
        """Some calls alike, one after the other."""
        for _ in range(number):
            before = len(self.under_way)
            self.call()
            self.wait(steps)
            if len(self.under_way) > before:
                self.end_of(before, failed)
            self.agree()

    @rule(steps=st.sampled_from([1, 1, 2, 3, 4, 8, 16]))
    def wait(self, steps: int) -> None:
        """Time passes."""
        self.clock.advance(steps * STEP_S)
        self.reference.pass_time(steps)

    @rule(steps=st.integers(1, 8))
    def hold(self, steps: int) -> None:
        """The callee asks for silence, for at most 3 s."""
        self.breaker.hold(steps * STEP_S)
        self.reference.held_until = max(self.reference.held_until, self.reference.now + min(steps, 6))

    def end_of(self, place: int, failed: bool | None) -> None:
        """That call under way ends."""
        permit, call = self.under_way.pop(place)
        self.reference.end(call, failed)
        with permit:
            if failed is not None:
                (permit.failed if failed else permit.succeeded)()

    @invariant()
    def agree(self) -> None:
        """State, wait, probes under way and openings are those of the reference."""
        state, reference = self.breaker.state(), self.reference
        assert state.state is reference.state
        until = max(reference.held_until, reference.open_until if reference.state is State.OPEN else 0)
        assert state.retry_after_s == max(0, until - reference.now) * STEP_S
        if reference.state is State.HALF_OPEN:
            mine = [call for call in reference.calls if call.period == reference.period]
            assert state.probing == sum(call.ended is None for call in mine)
            assert (
                len([c for c in mine if c.ended is None or c.failed is not None]) <= reference.policy.probes
            )


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=150, stateful_step_count=60)
