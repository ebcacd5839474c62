"""Single flight: one execution a key, for all who ask while it runs."""

import asyncio

import pytest

from farmlokal.platform.resilience.single_flight import SingleFlight
from tests.support.catalogue import run


def test_work_goes_on_when_every_caller_has_left() -> None:
    """Work that nobody waits for any more is finished, once, and its error is no noise."""

    async def go() -> None:
        flights: SingleFlight[str, int] = SingleFlight()
        gate, done = asyncio.Event(), asyncio.Event()

        async def work() -> int:
            await gate.wait()
            done.set()
            raise ValueError("nobody hears this")

        callers = [asyncio.create_task(flights.run("k", work)) for _ in range(3)]
        await asyncio.sleep(0)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        assert len(flights) == 1
        gate.set()
        await done.wait()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(flights) == 0

    run(go())


def test_the_number_of_flights_is_bounded() -> None:
    """Past the bound work is done all the same, unshared, and nothing more is remembered."""

    async def go() -> None:
        flights: SingleFlight[int, int] = SingleFlight(most=2)
        gate = asyncio.Event()
        begun = 0

        async def work() -> int:
            nonlocal begun
            begun += 1
            await gate.wait()
            return begun

        callers = [asyncio.create_task(flights.run(number // 2, work)) for number in range(8)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(flights) == 2
        assert begun == 2 + 4
        gate.set()
        joined = [joined for _, joined in await asyncio.gather(*callers)]
        assert joined == [False, True, False, True, False, False, False, False]

    run(go())


def test_who_comes_after_the_end_begins_anew() -> None:
    """An outcome is not kept: the next caller is the first of another flight."""

    async def go() -> None:
        flights: SingleFlight[str, object] = SingleFlight()

        async def work() -> object:
            return object()

        first, second = await flights.run("k", work), await flights.run("k", work)
        assert first[0] is not second[0]
        assert not first[1]
        assert not second[1]

        async def fails() -> object:
            raise LookupError

        for _ in range(2):
            with pytest.raises(LookupError):
                await flights.run("k", fails)

    run(go())
