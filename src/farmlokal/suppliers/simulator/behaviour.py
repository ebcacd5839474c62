"""How an endpoint behaves: a script of steps, of which each serves some requests and the last all others."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from farmlokal.suppliers.simulator.faults import FAULTS
from farmlokal.suppliers.simulator.wire import Line, Reply, Send


class Behaviour(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """One step. `fault` is a name in `FAULTS`; `status` answers with that error and `retry_after`; `body`
    is sent as it stands; `members` replace those of an honest answer, and `without` takes some out of it.
    Tokens live for `life_s`. A step with `times` serves so many requests."""

    latency_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    fault: str | None = None
    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    retry_after: str | None = None
    body: str | None = None
    members: dict[str, Any] = {}
    without: tuple[str, ...] = ()
    life_s: Annotated[float, Meta(gt=0)] = 3600.0
    times: Annotated[int, Meta(ge=1)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.fault is not None and self.fault not in FAULTS:
            raise ValueError(f"no such fault; there are {', '.join(FAULTS)}")


class Script:
    """The steps of one endpoint, and how its requests went by what was done to them."""

    def __init__(self) -> None:
        self._steps: list[Behaviour] = [Behaviour()]
        self._served = 0
        self.counts: Counter[str] = Counter()

    def play(self, steps: Sequence[Behaviour]) -> None:
        """Follow these steps from the next request on; none means honest."""
        self._steps, self._served = list(steps) or [Behaviour()], 0

    def next(self) -> Behaviour:
        """The step of one more request."""
        step = self._steps[0]
        self._served += 1
        if len(self._steps) > 1 and self._served >= (1 if step.times is UNSET else step.times):
            del self._steps[0]
            self._served = 0
        self.counts[step.fault or (str(step.status) if step.status else "honest")] += 1
        return step


async def spoiled(step: Behaviour, reply: Reply) -> Reply | Send:
    """What a step makes of an honest reply, after its latency."""
    await asyncio.sleep(step.latency_s)
    if step.fault is not None:
        fault = FAULTS[step.fault]

        async def send(line: Line) -> None:
            await fault(line, reply)

        return send
    if step.status is not None:
        waiting = [("retry-after", step.retry_after)] if step.retry_after is not None else []
        return Reply.json({"error": "temporarily_unavailable"}, step.status, *waiting)
    return reply if step.body is None else Reply(step.body.encode(), headers=reply.headers)
