"""The supplier's products as our callers ask for them: fresh, or the last good ones with their age, or none.

Whatever goes wrong outside is one refusal here: what a supplier said when it failed is its own business.
"""

import math
from typing import NamedTuple

import msgspec
from msgspec import Struct

from farmlokal.errors import Unavailable
from farmlokal.platform.clock import SystemClock, instant
from farmlokal.platform.resilience.call import FAILED_S, Answer, ResilientCall
from farmlokal.platform.resilience.circuit_breaker import CircuitBreaker
from farmlokal.platform.resilience.failures import CallFailed, UpstreamRefused
from farmlokal.suppliers.client import SupplierClient
from farmlokal.suppliers.counts import SupplierCounts
from farmlokal.suppliers.products import ProductsPage, read_products

UNAVAILABLE = "External API unavailable"
"""What callers of the first system read."""

UNSET_S = 60
"""When to come back to a server that has no supplier."""

Question = tuple[int | None, int | None]
"""(limit, skip), None where the caller left it to the supplier."""


class Meta(Struct, frozen=True, rename="camel"):
    """Where an answer is from. `source`: the supplier's host; `fetched_at`: when it answered; `stale`: it
    failed now, and this is the last good answer, `age_seconds` old; `breaker`: the circuit to it, as this
    process sees it; `attempts` made for this answer; `dropped`: items that were invalid."""

    source: str
    fetched_at: str
    stale: bool
    age_seconds: int
    breaker: str
    attempts: int
    dropped: int


class Products(NamedTuple):
    """The body of an answer, and its age in whole seconds: None for a new one."""

    body: bytes
    age_s: int | None


class ExternalProducts:
    """What is behind `/external/products`."""

    def __init__(
        self,
        source: str,
        client: SupplierClient,
        call: ResilientCall[Question, ProductsPage],
        breaker: CircuitBreaker,
        counts: SupplierCounts,
        clock: SystemClock,
    ) -> None:
        self._source = source
        self._client = client
        self._call = call
        self._breaker = breaker
        self._counts = counts
        self._clock = clock

    async def page(self, limit: int | None, skip: int | None) -> Products:
        """A page of the supplier's products. Raises `Unavailable`, whatever went wrong there."""
        query = {name: str(value) for name, value in (("limit", limit), ("skip", skip)) if value is not None}
        work = self._client.asking(query, lambda body: read_products(body, limit, skip))
        try:
            answer = await self._call.get((limit, skip), work)
        except UpstreamRefused:
            self._counts.answers["refused"] += 1
            raise Unavailable(UNAVAILABLE, retry_after_s=math.ceil(FAILED_S)) from None
        except CallFailed as failure:
            self._counts.answers["unavailable"] += 1
            raise Unavailable(UNAVAILABLE, retry_after_s=_whole_s(failure.retry_after_s or 0)) from None
        return self._told(answer)

    def _told(self, answer: Answer[ProductsPage]) -> Products:
        stale = answer.failure is not None
        self._counts.answers["stale" if stale else "coalesced" if answer.coalesced else "fresh"] += 1
        if not stale and not answer.coalesced:
            self._counts.dropped += answer.value.dropped
        age_s = _whole_s(answer.age_s) if stale else 0
        meta = Meta(
            source=self._source,
            fetched_at=instant(answer.at_us),
            stale=stale,
            age_seconds=age_s,
            breaker=self._breaker.state().state,
            attempts=answer.attempts,
            dropped=answer.value.dropped,
        )
        body = answer.value.body + b',"meta":' + msgspec.json.encode(meta) + b"}"
        return Products(body, age_s if stale else None)

    async def close(self) -> None:
        """End what is under way."""
        await self._call.close()


def _whole_s(seconds: float) -> int:
    return max(1, math.ceil(seconds))
