"""The resilient call: its layers together, against a supplier on a script and in simulated time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from farmlokal.platform.resilience.bulkhead import Bulkhead
from farmlokal.platform.resilience.call import Answer, ResilientCall
from farmlokal.platform.resilience.circuit_breaker import CircuitBreaker, State
from farmlokal.platform.resilience.deadline import Deadline
from farmlokal.platform.resilience.failures import CallFailed, NotCalled, UpstreamFailed, UpstreamRefused
from tests.platform.resilience.supplier import DOWN, Supplier, resilient
from tests.support.clock import ManualClock
from tests.support.simulation import elapse, settle, simulate

Story = Callable[[Supplier, ResilientCall[str, str], CircuitBreaker], Awaitable[None]]


def told(story: Story, bulkhead: Bulkhead | None = None) -> Supplier:
    """A story played to its end; nothing of it goes on afterwards."""
    supplier = Supplier(ManualClock())
    call, breaker = resilient(supplier, bulkhead=bulkhead)

    async def play() -> None:
        await story(supplier, call, breaker)
        await call.close()

    simulate(play(), supplier.clock)
    return supplier


def kinds(outcomes: list[object]) -> list[str]:
    """What callers got, in words."""
    return [
        ("old" if outcome.failure else outcome.value)
        if isinstance(outcome, Answer)
        else type(outcome).__name__
        for outcome in outcomes
    ]


def test_an_answer_says_how_it_was_come_by() -> None:
    """An answer has its age, the attempts it took and whether another caller asked first."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        supplier.outcomes = [DOWN]
        at_us = supplier.clock.now_us()
        first, second = await asyncio.gather(*(call.get("q", supplier.answer) for _ in range(2)))
        assert (first.value, first.attempts, first.age_s, first.failure) == ("answer 1", 2, 0, None)
        assert at_us < first.at_us <= supplier.clock.now_us()
        assert (first.coalesced, second.coalesced, second.value) == (False, True, "answer 1")

    told(story)


def test_one_question_makes_at_most_three_attempts() -> None:
    """A supplier that fails is asked three times, after growing random waits, and then no more."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        supplier.always = DOWN
        with pytest.raises(UpstreamFailed) as caught:
            await call.get("q", supplier.answer)
        assert (caught.value.attempts, caught.value.reason) == (3, "status 503")

    supplier = told(story)
    first, second, third = supplier.begun
    assert 0.02 < second - first <= 0.12
    assert 0.02 < third - second <= 0.22


@pytest.mark.parametrize(
    ("failure", "attempts"),
    [
        (UpstreamFailed("status 500", retryable=False), 1),
        (UpstreamRefused(404), 1),
        (UpstreamRefused(401), 1),
        (KeyError("a bug of ours"), 1),
        (DOWN, 3),
    ],
)
def test_only_what_may_pass_is_retried(failure: Exception, attempts: int) -> None:
    """Refusals, bugs and lasting failures are not retried."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        supplier.always = failure
        with pytest.raises(type(failure)):
            await call.get("q", supplier.answer)

    assert len(told(story).begun) == attempts


def test_a_token_that_was_renewed_is_tried_once() -> None:
    """A refusal that was mended meanwhile is followed by one more attempt at once, for as many callers as
    there are, and speaks against nobody; a second refusal stands."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], breaker: CircuitBreaker) -> None:
        supplier.outcomes = [UpstreamRefused(401, mended=True)] * 20
        answers = await asyncio.gather(*(call.get(f"q{number}", supplier.answer) for number in range(20)))
        assert [answer.attempts for answer in answers] == [2] * 20
        assert supplier.now_s() == pytest.approx(0.04)
        assert breaker.state().failed == 0
        supplier.always = UpstreamRefused(401, mended=True)
        with pytest.raises(UpstreamRefused):
            await call.get("q", supplier.answer)
        assert len(supplier.begun) == 42

    told(story)


def test_a_mended_refusal_adds_no_fourth_attempt() -> None:
    """Retries and the attempt with a new token are three attempts together."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        supplier.outcomes = [DOWN, DOWN, UpstreamRefused(401, mended=True)]
        with pytest.raises(UpstreamRefused):
            await call.get("q", supplier.answer)

    assert len(told(story).begun) == 3


def test_what_must_not_be_done_twice_is_done_once() -> None:
    """A call that is not idempotent has one attempt, shares it with nobody and gets no old answer."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], breaker: CircuitBreaker) -> None:
        outcomes = await asyncio.gather(*(call.once(supplier.answer) for _ in range(3)))
        assert sorted(outcomes) == ["answer 0", "answer 1", "answer 2"]
        supplier.always = DOWN
        with pytest.raises(UpstreamFailed):
            await call.once(supplier.answer)
        assert (len(supplier.begun), breaker.state().failed) == (4, 1)

    told(story)


def test_a_supplier_that_hangs_is_left_at_the_deadline_and_blamed() -> None:
    """A call that hangs ends after 4 s, is not retried, and counts as a slow failure."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], breaker: CircuitBreaker) -> None:
        supplier.takes_s = 1e6
        with pytest.raises(CallFailed, match="no answer in time"):
            await call.get("q", supplier.answer)
        assert supplier.now_s() == pytest.approx(4)
        state = breaker.state()
        assert (len(supplier.begun), supplier.under_way, state.failed, state.slow) == (1, 0, 1, 1)

    told(story)


def test_retries_and_waits_share_one_deadline() -> None:
    """However the attempts are slow, the answer is there after 4 s, and no attempt gets more than what is
    left."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        supplier.takes_s, supplier.always = 1.9, DOWN
        with pytest.raises(CallFailed):
            await call.get("q", supplier.answer)
        assert supplier.now_s() <= 4.001
        assert len({deadline.at_s for deadline in supplier.deadlines}) == 1

    assert len(told(story).begun) == 2


@pytest.mark.parametrize("own_s", [None, 60.0])
def test_work_that_does_not_heed_its_end_holds_nobody(own_s: float | None) -> None:
    """A caller is answered in time even when the work below swallows its cancellation."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        async def deaf(deadline: Deadline) -> str:
            for _ in range(3):
                try:
                    await elapse(30)
                except asyncio.CancelledError:
                    continue
            return "far too late"

        with pytest.raises(CallFailed, match="no time left"):
            await call.get("q", deaf, Deadline.after(supplier.clock, own_s) if own_s else None)
        assert supplier.now_s() <= 4.3
        await elapse(100)

    told(story)


def test_a_shorter_deadline_of_the_caller_counts() -> None:
    """A caller with 0.5 s left gets its answer or its failure after 0.5 s, while the others wait on."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        supplier.takes_s = 2
        patient = asyncio.create_task(call.get("q", supplier.answer))
        with pytest.raises(CallFailed, match="no time left"):
            await call.get("q", supplier.answer, Deadline.after(supplier.clock, 0.5))
        assert supplier.now_s() == pytest.approx(0.5)
        assert (await patient).value == "answer 0"

    assert len(told(story).begun) == 1


def test_two_hundred_who_ask_the_same_are_one_call() -> None:
    """Callers of one question share its attempts, and its failure; callers of others do not."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        questions = [f"q{number % 2}" for number in range(200)]
        answers = await asyncio.gather(*(call.get(question, supplier.answer) for question in questions))
        assert {answer.value for answer in answers} == {"answer 0", "answer 1"}
        assert len(supplier.begun) == 2

    told(story)


def test_no_attempt_begins_when_nobody_waits() -> None:
    """When all callers have gone the attempt under way ends, its answer is kept, and no retry follows."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], breaker: CircuitBreaker) -> None:
        supplier.always = DOWN
        callers = [asyncio.create_task(call.get("q", supplier.answer)) for _ in range(3)]
        await elapse(0.01)
        for caller in callers:
            caller.cancel()
        await elapse(2)
        assert (len(supplier.begun), breaker.state().state) == (1, State.CLOSED)
        with pytest.raises(NotCalled, match="status 503"):
            await call.get("q", supplier.answer)
        supplier.always = None
        caller = asyncio.create_task(call.get("r", supplier.answer))
        await elapse(0.01)
        caller.cancel()
        await elapse(1)
        supplier.always = UpstreamFailed("status 500", retryable=False)
        assert (await call.get("r", supplier.answer)).value == "answer 1"

    told(story)


def test_who_left_the_queue_is_not_called_for() -> None:
    """A caller who goes while its question waits for a place costs the supplier nothing."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        supplier.takes_s = 0.5
        first = asyncio.create_task(call.get("q", supplier.answer))
        await settle()
        second = asyncio.create_task(call.get("r", supplier.answer))
        await settle()
        second.cancel()
        await first
        await elapse(5)
        assert len(supplier.begun) == 1

    told(story, Bulkhead(places=1, queue=1))


def test_no_attempt_begins_that_must_be_cut_off() -> None:
    """With less than 0.1 s left nobody is called, and nobody blamed."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], breaker: CircuitBreaker) -> None:
        with pytest.raises(NotCalled, match="no time left"):
            await call.once(supplier.answer, Deadline.after(supplier.clock, 0.09))
        assert await call.once(supplier.answer, Deadline.after(supplier.clock, 0.11))
        assert (len(supplier.begun), breaker.state().failed) == (1, 0)

    told(story)


def test_one_who_stays_is_enough_for_a_retry() -> None:
    """The retry is made as long as one of the callers still waits."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        supplier.outcomes = [DOWN]
        callers = [asyncio.create_task(call.get("q", supplier.answer)) for _ in range(3)]
        await elapse(0.01)
        for caller in callers[:2]:
            caller.cancel()
        assert (await callers[2]).value == "answer 1"

    told(story)


@pytest.mark.parametrize(
    "failure",
    [DOWN, UpstreamFailed("body is not JSON", retryable=False), NotCalled("no token")],
    ids=str,
)
def test_the_last_good_answer_stands_in(failure: Exception) -> None:
    """When the supplier fails the last good answer is served with its age, and says why."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        good = await call.get("q", supplier.answer)
        await elapse(3600)
        supplier.always = failure
        old = await call.get("q", supplier.answer)
        assert (old.value, old.at_us, old.failure) == ("answer 0", good.at_us, str(failure))
        assert old.age_s == pytest.approx(3600, abs=1)
        with pytest.raises(type(failure)):
            await call.get("r", supplier.answer)

    told(story)


def test_an_old_answer_has_its_day() -> None:
    """After 24 h the failure is shown instead."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        await call.get("q", supplier.answer)
        supplier.always = DOWN
        await elapse(24 * 3600 - 60)
        assert (await call.get("q", supplier.answer)).failure
        await elapse(61)
        with pytest.raises(UpstreamFailed) as caught:
            await call.get("q", supplier.answer)
        assert (caught.value.retry_after_s or 0) >= 1

    told(story)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_not_hidden(status: int) -> None:
    """What the supplier refuses is refused, however good its last answer was."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], breaker: CircuitBreaker) -> None:
        await call.get("q", supplier.answer)
        supplier.always = UpstreamRefused(status)
        with pytest.raises(UpstreamRefused):
            await call.get("q", supplier.answer)
        assert (breaker.state().calls, breaker.state().failed) == (2, 0), "a callee that refuses works"
        await elapse(6)
        supplier.always = DOWN
        outcomes = await asyncio.gather(call.get("q", supplier.answer), return_exceptions=True)
        assert kinds(list(outcomes)) == (["UpstreamFailed"] if status in (404, 410) else ["old"])

    told(story)


def test_a_failure_is_remembered_for_a_moment() -> None:
    """For 5 s a question that has failed is not asked again; other questions are."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        supplier.always = UpstreamFailed("status 500", retryable=False)
        for question in ("q", "q", "q", "r"):
            with pytest.raises(CallFailed, match="status 500"):
                await call.get(question, supplier.answer)
        assert len(supplier.begun) == 2
        await elapse(4.9)
        with pytest.raises(NotCalled) as caught:
            await call.get("q", supplier.answer)
        assert caught.value.attempts == 0
        assert caught.value.retry_after_s == pytest.approx(0.08)
        await elapse(0.2)
        supplier.always = None
        assert (await call.get("q", supplier.answer)).value == "answer 2"

    told(story)


def test_what_is_not_there_is_remembered_for_a_moment() -> None:
    """For 5 s a question that was answered with 404 is not asked again."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        supplier.outcomes = [UpstreamRefused(404)]
        for _attempt in range(3):
            with pytest.raises(UpstreamRefused):
                await call.get("q", supplier.answer)
        await elapse(5.1)
        assert (await call.get("q", supplier.answer)).value == "answer 1"

    told(story)


def test_a_supplier_that_asks_for_silence_gets_it_from_all() -> None:
    """After `Retry-After: 7` no call goes out for 7 s, from whomever, and then one does."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        supplier.outcomes = [UpstreamFailed("status 429", retryable=True, retry_after_s=7.0)]
        with pytest.raises(UpstreamFailed, match="429") as caught:
            await call.get("q0", supplier.answer)
        assert caught.value.retry_after_s == pytest.approx(7, abs=0.1)
        assert caught.value.attempts == 1
        for number in range(1, 70):
            with pytest.raises(NotCalled):
                await call.get(f"q{number}", supplier.answer)
            await elapse(0.1)
        await elapse(0.2)
        await call.get("q", supplier.answer)

    first, second = told(story).begun
    assert second - first >= 7


def test_what_a_supplier_asks_for_is_bounded() -> None:
    """A supplier that asks for eleven days of silence gets a minute, and callers are told no more."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        supplier.outcomes = [UpstreamFailed("status 503", retryable=True, retry_after_s=999_999.0)]
        for question in ("q", "r"):
            with pytest.raises(CallFailed) as caught:
                await call.get(question, supplier.answer)
            assert caught.value.retry_after_s == pytest.approx(60, abs=0.1)
        await elapse(60.1)
        assert (await call.get("q", supplier.answer)).value == "answer 1"

    told(story)


def test_a_short_silence_is_waited_for() -> None:
    """A caller whose deadline allows waits for as long as the supplier asks, and a little more."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        supplier.outcomes = [UpstreamFailed("status 503", retryable=True, retry_after_s=2.0)]
        assert (await call.get("q", supplier.answer)).attempts == 2

    first, second = told(story).begun
    assert 2.02 <= second - first <= 2.12


def test_an_open_circuit_costs_no_time() -> None:
    """Open, callers are refused at once, and told when to come back."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], breaker: CircuitBreaker) -> None:
        supplier.always = UpstreamFailed("status 500", retryable=False)
        for number in range(20):
            with pytest.raises(CallFailed):
                await call.get(f"q{number}", supplier.answer)
        assert breaker.state().state is State.OPEN
        before_s = supplier.now_s()
        with pytest.raises(NotCalled, match="circuit open") as caught:
            await call.get("q", supplier.answer)
        assert (supplier.now_s(), len(supplier.begun)) == (before_s, 20)
        assert caught.value.retry_after_s == 5
        supplier.always = None
        await elapse(5)
        assert (await call.get("q", supplier.answer)).failure is None, "what was refused is not remembered"

    told(story)


def test_nobody_queues_before_an_open_circuit() -> None:
    """Open, callers are refused at once even if all places are taken by calls that hang."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], breaker: CircuitBreaker) -> None:
        supplier.takes_s = 3.5
        hanging = [asyncio.create_task(call.get(f"h{number}", supplier.answer)) for number in range(3)]
        await settle()
        for _ in range(20):
            with breaker.acquire() as permit:
                permit.failed()
        before_s = supplier.now_s()
        with pytest.raises(NotCalled, match="circuit open"):
            await call.get("q", supplier.answer)
        assert supplier.now_s() == before_s
        await asyncio.gather(*hanging)

    told(story, Bulkhead(places=3, queue=3))


def test_nobody_who_waited_for_a_place_calls_into_an_open_circuit() -> None:
    """Callers that wait for a place when the circuit opens are refused, and do not call once they have it."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], breaker: CircuitBreaker) -> None:
        supplier.takes_s, supplier.always = 0.5, UpstreamFailed("status 500", retryable=False)
        callers = [asyncio.create_task(call.get(f"q{number}", supplier.answer)) for number in range(40)]
        outcomes = await asyncio.gather(*callers, return_exceptions=True)
        assert kinds(list(outcomes)) == ["UpstreamFailed"] * 20 + ["NotCalled"] * 20
        assert (len(supplier.begun), breaker.state().state) == (20, State.OPEN)

    assert told(story, Bulkhead(places=20, queue=20, longest_wait_s=1.0)).most_under_way == 20


def test_our_own_queue_is_not_the_suppliers_fault() -> None:
    """Callers that get no place are refused; neither that nor their waiting counts against the supplier."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], breaker: CircuitBreaker) -> None:
        supplier.takes_s = 0.9
        callers = [asyncio.create_task(call.get(f"q{number}", supplier.answer)) for number in range(100)]
        outcomes = kinds(list(await asyncio.gather(*callers, return_exceptions=True)))
        assert outcomes.count("NotCalled") == 94
        state = breaker.state()
        assert (state.calls, state.failed, state.slow) == (6, 0, 0)

    assert told(story, Bulkhead(places=3, queue=3, longest_wait_s=3)).most_under_way == 3


def test_cancelled_callers_of_a_half_open_circuit_leave_no_permit() -> None:
    """Twenty callers cancelled in a half-open circuit leave three probes for those who come after."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], breaker: CircuitBreaker) -> None:
        supplier.always = UpstreamFailed("status 500", retryable=False)
        await asyncio.gather(
            *(call.get(f"q{number}", supplier.answer) for number in range(20)), return_exceptions=True
        )
        await elapse(5)
        assert breaker.state().state is State.HALF_OPEN
        supplier.takes_s, supplier.always = 3.0, None
        callers = [asyncio.create_task(call.once(supplier.answer)) for _ in range(20)]
        await settle()
        assert (breaker.state().probing, supplier.under_way) == (3, 3)
        for caller in callers:
            caller.cancel()
        await settle()
        assert (breaker.state().state, breaker.state().probing) == (State.HALF_OPEN, 0)
        supplier.takes_s = 0.02
        await asyncio.gather(*(call.get(f"r{number}", supplier.answer) for number in range(3)))
        assert breaker.state().state is State.CLOSED

    told(story)


def test_a_bug_of_ours_says_nothing_of_the_supplier() -> None:
    """What the work raises unexpectedly passes through, counts nowhere and takes no permit along."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], breaker: CircuitBreaker) -> None:
        supplier.always = KeyError("a bug of ours")
        for number in range(60):
            with pytest.raises(KeyError):
                await call.get(f"q{number}", supplier.answer)
        assert (breaker.state().state, breaker.state().calls) == (State.CLOSED, 0)

    told(story)


def test_closing_leaves_nothing_under_way() -> None:
    """Closing cancels what is under way and those who wait for it."""

    async def story(supplier: Supplier, call: ResilientCall[str, str], _: CircuitBreaker) -> None:
        caller = asyncio.create_task(call.get("q", supplier.answer))
        await settle()
        await call.close()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert supplier.under_way == 0

    told(story)
