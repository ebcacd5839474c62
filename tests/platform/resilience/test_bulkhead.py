"""The bulkhead: places, a bounded queue, and nobody's place lost."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.platform.resilience.bulkhead import Bulkhead
from farmlokal.platform.resilience.failures import NotCalled
from tests.support.clock import ManualClock
from tests.support.simulation import elapse, settle, simulate


class Callers:
    """Callers of a bulkhead, each in its place until it is told to go."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self.bulkhead = bulkhead
        self.inside: list[int] = []
        self.most = 0
        self._tasks: list[asyncio.Task[str]] = []
        self._go: list[asyncio.Event] = []

    async def come(self, within_s: float = 10.0) -> None:
        """One caller more."""
        go = asyncio.Event()
        self._go.append(go)
        self._tasks.append(asyncio.create_task(self._call(len(self._tasks), go, within_s)))
        await settle()

    async def _call(self, number: int, go: asyncio.Event, within_s: float) -> str:
        try:
            async with self.bulkhead.place(within_s):
                self.inside.append(number)
                self.most = max(self.most, len(self.inside))
                try:
                    await go.wait()
                finally:
                    self.inside.remove(number)
        except NotCalled as refusal:
            return refusal.reason
        return "done"

    def leave(self, number: int) -> None:
        """A caller is done, or will be as soon as it has its place."""
        self._go[number].set()

    def cancel(self, number: int) -> None:
        """A caller is cancelled, wherever it is."""
        self._tasks[number].cancel()

    def outcome(self, number: int) -> str:
        """What became of a caller."""
        task = self._tasks[number]
        return "waits" if not task.done() else "cancelled" if task.cancelled() else task.result()

    async def end(self) -> None:
        """Everybody goes."""
        for go in self._go:
            go.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def test_places_go_in_the_order_of_asking() -> None:
    """As many as there are places are inside, those who wait follow in their order."""

    async def go() -> None:
        callers = Callers(Bulkhead(places=2, queue=3))
        for _ in range(4):
            await callers.come()
        assert (callers.inside, callers.bulkhead.waiting) == ([0, 1], 2)
        callers.leave(1)
        await settle()
        assert callers.inside == [0, 2]
        callers.leave(0)
        await settle()
        assert callers.inside == [2, 3]
        await callers.end()
        assert (callers.bulkhead.taken, callers.bulkhead.waiting) == (0, 0)

    simulate(go(), ManualClock())


def test_a_full_queue_refuses_at_once() -> None:
    """Who finds the queue full is refused without waiting."""

    async def go() -> None:
        callers = Callers(Bulkhead(places=1, queue=1))
        for _ in range(3):
            await callers.come()
        assert callers.outcome(2) == "too many calls at once"
        assert callers.outcome(1) == "waits"
        await callers.end()

    clock = ManualClock()
    before_s = clock.monotonic_s()
    simulate(go(), clock)
    assert clock.monotonic_s() == before_s


@pytest.mark.parametrize(("within_s", "waited_s"), [(0.02, 0.02), (60.0, 0.04)])
def test_nobody_waits_longer_than_allowed(within_s: float, waited_s: float) -> None:
    """A caller waits for its own time, and for 40 ms at most; its place in the queue is free then."""

    async def go() -> None:
        callers = Callers(Bulkhead(places=1, queue=1))
        await callers.come()
        await callers.come(within_s)
        await elapse(waited_s - 0.005)
        assert callers.outcome(1) == "waits"
        await elapse(0.01)
        assert callers.outcome(1) == "too many calls at once"
        assert callers.bulkhead.waiting == 0
        await callers.end()

    simulate(go(), ManualClock())


def test_a_place_given_to_one_who_leaves_goes_on() -> None:
    """A caller cancelled at the moment when its turn comes hands the place to the next."""

    async def go() -> None:
        callers = Callers(Bulkhead(places=1, queue=5))
        for _ in range(3):
            await callers.come()
        callers.leave(0)
        await asyncio.sleep(0)
        assert callers.inside == [], "the place is given on, and its new holder does not know yet"
        callers.cancel(1)
        await settle()
        assert (callers.outcome(1), callers.inside) == ("cancelled", [2])
        callers.cancel(2)
        await settle()
        assert callers.bulkhead.taken == 0

    simulate(go(), ManualClock())


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["come", "come", "leave", "cancel", "leave and cancel", "wait", "step"]),
            st.integers(0, 30),
        ),
        max_size=60,
    )
)
def test_no_place_is_lost_or_given_twice(steps: list[tuple[str, int]]) -> None:
    """However callers come, leave and are cancelled, the places are never exceeded and all come back."""

    async def go() -> None:
        callers = Callers(Bulkhead(places=3, queue=4, longest_wait_s=0.5))
        came = 0
        for step, number in steps:
            if step == "come":
                await callers.come(0.1 * (number % 7))
                came += 1
            elif step == "wait":
                await elapse(0.1 * (number % 3))
            elif step == "step":
                await asyncio.sleep(0)
            elif came:
                if "leave" in step:
                    callers.leave(number % came)
                if "cancel" in step:
                    callers.cancel(number % came)
            assert len(callers.inside) <= 3
            assert callers.bulkhead.waiting <= 4
        await callers.end()
        await settle()
        assert callers.most <= 3
        assert (callers.bulkhead.taken, callers.bulkhead.waiting) == (0, 0)

    simulate(go(), ManualClock())
