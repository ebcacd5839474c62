"""More callers than a supplier has places for: in simulated time, every answer and every refusal counted."""

import asyncio
from typing import NamedTuple

import pytest

from farmlokal.platform.resilience.bulkhead import LONGEST_WAIT_S, PLACES
from farmlokal.platform.resilience.circuit_breaker import State
from farmlokal.platform.resilience.failures import CallFailed, NotCalled
from tests.platform.resilience.supplier import Supplier, resilient
from tests.support.clock import ManualClock
from tests.support.simulation import elapse, simulate

REFUSED_S = 0.05


class Call(NamedTuple):
    """When it came, how long it took, and the refusal, None for an answer."""

    at_s: float
    took_s: float
    refusal: CallFailed | None


def load(takes_s: float, phases: list[tuple[float, float]]) -> list[Call]:
    """What became of calls that come at a rate, whether or not those before were answered: for each phase so
    many seconds of so many times what the supplier has places for."""
    supplier = Supplier(ManualClock())
    supplier.takes_s = takes_s
    call, breaker = resilient(supplier)
    made: list[Call] = []

    async def ask(number: int) -> None:
        at_s, refusal = supplier.now_s(), None
        try:
            await call.get(f"q{number}", supplier.answer)
        except NotCalled as error:
            refusal = error
        made.append(Call(at_s, supplier.now_s() - at_s, refusal))

    async def go() -> None:
        callers: list[asyncio.Task[None]] = []
        for seconds, share in phases:
            rate = share * PLACES / takes_s
            for _ in range(round(seconds * rate)):
                callers.append(asyncio.create_task(ask(len(callers))))
                await elapse(1 / rate)
        await asyncio.gather(*callers)
        assert breaker.state().state is State.CLOSED, "our queue is not the supplier's fault"
        await call.close()

    simulate(go(), supplier.clock)
    return sorted(made)


@pytest.mark.parametrize("takes_s", [0.1, 1.0])
def test_three_times_the_capacity_is_served_as_once(takes_s: float) -> None:
    """R16: at three times what there are places for, at least 80 % of the greatest number of calls is
    answered; the others are refused within 50 ms and told when to come. It is over when the rush is: a call's
    length later all are answered, and no later than the queue allows."""
    first, rush, after_s = 6 * takes_s, 12 * takes_s, 6 * takes_s
    made = load(takes_s, [(first, 1.0), (rush, 3.0), (after_s, 0.8)])

    def answered_per_s(begin_s: float, end_s: float) -> float:
        ended = [each for each in made if begin_s <= each.at_s + each.took_s < end_s and not each.refusal]
        return len(ended) / (end_s - begin_s)

    peak = answered_per_s(takes_s, first)
    assert peak == pytest.approx(PLACES / takes_s, rel=0.1)
    assert answered_per_s(first + takes_s, first + rush) >= 0.8 * peak
    refused = [each for each in made if each.refusal]
    assert len(refused) >= PLACES
    assert max(each.took_s for each in refused) < REFUSED_S
    assert all(each.refusal is not None and (each.refusal.retry_after_s or 0) > 0 for each in refused)
    after = [each for each in made if each.at_s >= first + rush + takes_s]
    assert len(after) > PLACES
    assert {each.refusal for each in after} == {None}
    assert max(each.took_s for each in after) <= takes_s + LONGEST_WAIT_S


def test_nobody_waits_behind_a_supplier_that_hangs() -> None:
    """R16: while every place is taken by a call that hangs, callers are refused within 50 ms, those in the
    queue as well as those whom it has no room for."""
    supplier = Supplier(ManualClock())
    supplier.takes_s = 1e6
    call, _ = resilient(supplier)

    async def refused_after(number: int) -> float:
        begun_s = supplier.now_s()
        with pytest.raises(NotCalled, match="too many calls"):
            await call.get(f"q{number}", supplier.answer)
        return supplier.now_s() - begun_s

    async def go() -> list[float]:
        hanging = [asyncio.create_task(call.get(f"h{number}", supplier.answer)) for number in range(PLACES)]
        await elapse(0.01)
        times = await asyncio.gather(*(refused_after(number) for number in range(3 * PLACES)))
        await call.close()
        await asyncio.gather(*hanging, return_exceptions=True)
        return times

    times = simulate(go(), supplier.clock)
    assert (len(supplier.begun), len(times)) == (PLACES, 3 * PLACES)
    assert max(times) < REFUSED_S
    assert sorted(times)[: 2 * PLACES] == [0.0] * (2 * PLACES)
