"""The supplier: one shop in three formats, each at a path of its own and with a script of its own.

`/products` wants a token of the provider, as the original's supplier did; the other two are for anyone.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import parse_qsl

from farmlokal.platform.clock import SystemClock
from farmlokal.suppliers.simulator.behaviour import Script, spoiled
from farmlokal.suppliers.simulator.goods import FORMATS, Goods, page
from farmlokal.suppliers.simulator.provider import KEPT, OAuthProvider
from farmlokal.suppliers.simulator.wire import Line, Reply, Request, Send

PATHS: Mapping[str, str] = {
    "/products": "dummyjson",
    "/records": "datagovin",
    "/products.json": "shopify",
}


class SimulatedSupplier:
    """What it sells may be changed at any time: `goods` are looked at for each page."""

    def __init__(self, provider: OAuthProvider, clock: SystemClock, goods: Goods) -> None:
        self._provider = provider
        self._clock = clock
        self.goods = goods
        self.scripts = {name: Script(clock) for name in FORMATS}
        self.guarded = {"dummyjson"}
        self.calls: list[float] = []
        """When each request came, on the monotonic clock."""
        self.in_flight = 0
        self.most_in_flight = 0
        self.refused = 0

    async def answer(self, request: Request) -> Reply | Send:
        """GET of one of `PATHS`."""
        kind = PATHS[request.path]
        if len(self.calls) < KEPT:
            self.calls.append(self._clock.monotonic_s())
        with self._under_way():
            step = self.scripts[kind].next()
            answer = await spoiled(step, self._honest(kind, request))
        if isinstance(answer, Reply):
            return answer

        async def send(line: Line) -> None:
            with self._under_way():
                await answer(line)

        return send

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def _honest(self, kind: str, request: Request) -> Reply:
        if kind in self.guarded and not self._provider.accepts(request):
            self.refused += 1
            challenge = ("www-authenticate", 'Bearer error="invalid_token"')
            return Reply.json({"message": "Invalid token"}, HTTPStatus.UNAUTHORIZED, challenge)
        query = dict(parse_qsl(request.query))
        return Reply.json(page(kind, self.goods.get(kind, []), query))
