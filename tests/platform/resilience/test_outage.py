"""A minute of total failure at 50 calls a second, and its end: in simulated time, every attempt counted."""

import asyncio
from dataclasses import dataclass, field
from itertools import count as count_up
from itertools import pairwise

import pytest

from farmlokal.platform.resilience.failures import UpstreamFailed
from tests.platform.resilience.supplier import DOWN, Supplier, resilient
from tests.support.clock import ManualClock
from tests.support.simulation import elapse, simulate

RATE = 50
OUTAGE_S = 60
HEALED_S = 10  # beyond the open time and 5 s
WARM_S = 12  # more than the window of the circuit
PROBES = 3


@dataclass(slots=True)
class Record:
    """What happened: when calls were asked for, when the supplier was called, when the circuit opened, and
    which of the calls asked for at a time were answered anew."""

    offered: list[float] = field(default_factory=list)
    called: list[float] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)
    good: list[tuple[float, bool]] = field(default_factory=list)

    @property
    def open_s(self) -> float:
        """How long the circuit was or is open after its last opening."""
        return 5 * 2.0 ** (len(self.opened) - 1)


def outage(*, warm_s: int, takes_s: float, failure: Exception, questions: int) -> Record:
    """`warm_s` of health, a minute in which every attempt fails after `takes_s`, and health again."""
    supplier = Supplier(ManualClock())
    call, breaker = resilient(supplier)
    record = Record(called=supplier.begun)

    async def ask(number: int) -> None:
        at = supplier.now_s()
        record.offered.append(at)
        try:
            answer = await call.get(f"q{number % questions}", supplier.answer)
            record.good.append((at, answer.failure is None))
        except Exception:  # noqa: BLE001  whatever it is, it is no answer
            record.good.append((at, False))
        if breaker.state().opened > len(record.opened):
            record.opened.append(supplier.now_s())

    async def go() -> None:
        callers = []
        for number in count_up():
            sick = warm_s * RATE <= number < (warm_s + OUTAGE_S) * RATE
            if number >= (warm_s + OUTAGE_S + 5 + record.open_s + HEALED_S) * RATE:
                break
            supplier.always, supplier.takes_s = (failure, takes_s) if sick else (None, 0.02)
            callers.append(asyncio.create_task(ask(number)))
            await elapse(1 / RATE)
        await asyncio.gather(*callers)
        await call.close()

    simulate(go(), supplier.clock)
    return record


def count(times: list[float], begin: float, end: float) -> int:
    """How many of them lie from `begin` to before `end`."""
    return sum(begin <= at < end for at in times)


BROKEN = UpstreamFailed("status 500", retryable=False)
MANY = 1_000_000


@pytest.mark.parametrize(
    ("warm_s", "takes_s", "failure", "questions"),
    [
        pytest.param(0, 0.0, DOWN, MANY, id="cold, at once"),
        pytest.param(WARM_S, 0.0, DOWN, MANY, id="at once"),
        pytest.param(0, 0.05, DOWN, MANY, id="cold, quickly"),
        pytest.param(WARM_S, 0.05, DOWN, MANY, id="quickly"),
        pytest.param(WARM_S, 0.05, DOWN, 20, id="quickly, few questions"),
        pytest.param(WARM_S, 1.0, BROKEN, MANY, id="slowly"),
        pytest.param(0, 1e6, DOWN, MANY, id="cold, never"),
        pytest.param(WARM_S, 1e6, DOWN, 20, id="never, few questions"),
    ],
)
def test_an_outage_is_not_made_worse(warm_s: int, takes_s: float, failure: Exception, questions: int) -> None:
    """Until the circuit opens the supplier gets at most 1.2 times the calls that are asked for, then three
    an open period; and 5 s and an open time after it is well again, 99 % of all calls are answered."""
    record = outage(warm_s=warm_s, takes_s=takes_s, failure=failure, questions=questions)
    end = float(warm_s + OUTAGE_S)
    until, *_ = opened = record.opened
    assert until < warm_s + 20
    assert count(record.called, warm_s, until) <= 1.2 * count(record.offered, warm_s, until)
    assert count(record.called, 0, until) <= 1.2 * count(record.offered, 0, until)
    for begin, following in pairwise([*opened, end]):
        assert count(record.called, begin + 1e-6, min(following, end)) <= PROBES
    well = [good for at, good in record.good if at >= end + 5 + record.open_s]
    assert len(well) >= HEALED_S * RATE
    assert sum(well) >= 0.99 * len(well)
