"""How an endpoint behaves: a script of steps, of which each serves some requests and the last all others."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from farmlokal.platform.clock import SystemClock
from farmlokal.suppliers.simulator.faults import FAULTS
from farmlokal.suppliers.simulator.wire import Line, Reply, Send


class Behaviour(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """One step. `fault` is a name in `FAULTS`; `status` answers with that error and `retry_after`; `body`
    is sent as it stands; `members` replace those of an honest answer, and `without` takes some out of it.
    Tokens live for `life_s`. A reply takes `latency_s`, up to `spread_s` more, and more again by an
    exponential distribution with the mean `tail_s`. Only a `share` of the requests gets all this, the others
    an honest reply. A step with `times` serves so many requests, one with `lasts_s` all that come so long."""

    latency_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    spread_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    tail_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    share: Annotated[float, Meta(ge=0, le=1)] = 1.0
    fault: str | None = None
    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    retry_after: str | None = None
    body: str | None = None
    members: dict[str, Any] = {}
    without: tuple[str, ...] = ()
    life_s: Annotated[float, Meta(gt=0)] = 3600.0
    times: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    lasts_s: Annotated[float, Meta(gt=0)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.fault is not None and self.fault not in FAULTS:
            raise ValueError(f"no such fault; there are {', '.join(FAULTS)}")


class Script:
    """The steps of one endpoint, and how its requests went by what was done to them."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self._steps: list[Behaviour] = [Behaviour()]
        self._served = 0
        self._since_s = clock.monotonic_s()
        self.counts: Counter[str] = Counter()

    def play(self, steps: Sequence[Behaviour]) -> None:
        """Follow these steps from the next request on; none means honest."""
        self._steps, self._served = list(steps) or [Behaviour()], 0
        self._since_s = self._clock.monotonic_s()

    def next(self) -> Behaviour:
        """The step of one more request."""
        self._expire()
        step = self._steps[0]
        self._served += 1
        most = 1 if step.times is UNSET else step.times
        if len(self._steps) > 1 and step.lasts_s is UNSET and self._served >= most:
            self._go_on(self._clock.monotonic_s())
        if step.share < 1 and random.random() >= step.share:  # noqa: S311  chance, no secret
            step = Behaviour(life_s=step.life_s)
        self.counts[step.fault or (str(step.status) if step.status else "honest")] += 1
        return step

    def _expire(self) -> None:
        """Leave the steps whose time is over, one after another."""
        now_s = self._clock.monotonic_s()
        while len(self._steps) > 1:
            lasts_s = self._steps[0].lasts_s
            if isinstance(lasts_s, UnsetType) or now_s - self._since_s < lasts_s:
                return
            self._go_on(self._since_s + lasts_s)

    def _go_on(self, since_s: float) -> None:
        del self._steps[0]
        self._served, self._since_s = 0, since_s


async def spoiled(step: Behaviour, reply: Reply) -> Reply | Send:
    """What a step makes of an honest reply, after its latency."""
    more_s = random.uniform(0, step.spread_s)  # noqa: S311
    more_s += random.expovariate(1 / step.tail_s) if step.tail_s else 0.0
    await asyncio.sleep(step.latency_s + more_s)
    if step.fault is not None:
        fault = FAULTS[step.fault]

        async def send(line: Line) -> None:
            await fault(line, reply)

        return send
    if step.status is not None:
        waiting = [("retry-after", step.retry_after)] if step.retry_after is not None else []
        return Reply.json({"error": "temporarily_unavailable"}, step.status, *waiting)
    return reply if step.body is None else Reply(step.body.encode(), headers=reply.headers)
