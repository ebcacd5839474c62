"""An open loop: each arrival is due at its instant, whether or not those before it were answered.

Durations count from that instant, so that a request which had to wait for a free connection, or for a slow
load generator, is charged for it: measured from when it was sent, a server that stops for a second would show
one slow request instead of the thousand that fell into that second (coordinated omission).
"""

import asyncio
import ssl
from base64 import b64encode
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from urllib.parse import urlsplit

import msgspec

from farmlokal.errors import Unavailable
from farmlokal.loadtest.arrivals import poisson
from farmlokal.loadtest.scenarios import Credentials, Request, Shop, request_bytes
from farmlokal.loadtest.tally import Tally
from farmlokal.loadtest.wire import Wire

ANSWER_S = 10.0
"""Longest that an arrival waits for its answer, from its instant on."""

SWEEP_S = 0.1
TOKEN_USE = 0.5
"""Of a token's life, after which a new one is asked for."""

LISTS = ("/api/products?limit=100", "/api/products?limit=100&sort=createdAt&order=desc")
"""What is read before the start, for what can be asked."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. `rates` are arrivals a second, each for an equal part of `seconds`."""

    url: str
    rates: Sequence[float]
    seconds: float
    connections: int
    mix: Mapping[str, float]
    random_seed: int = 0


@dataclass(slots=True)
class _Arrival:
    """One request and the instant, on the loop's clock, at which it was due."""

    request: Request
    due: float


async def run(plan: Plan, credentials: Credentials) -> Tally:
    """Ask, and count what comes. Raises `Unavailable` when the server does not answer before the start."""
    load = _Load(plan)
    try:
        shop = await load.learn(credentials)
        renewing = asyncio.create_task(load.renew(shop, credentials)) if "write" in plan.mix else None
        try:
            await load.arrive(shop)
        finally:
            if renewing is not None:
                renewing.cancel()
                with suppress(asyncio.CancelledError):
                    await renewing
        return load.tally
    finally:
        load.close()


class _Load:
    """Connections, and who waits for one."""

    def __init__(self, plan: Plan) -> None:
        parts = urlsplit(plan.url)
        self._plan = plan
        self._host = parts.hostname or ""
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._named = parts.netloc.rpartition("@")[2]
        self._loop = asyncio.get_running_loop()
        self._idle: list[Wire] = []
        self._busy: dict[Wire, _Arrival] = {}
        self._waiting: deque[_Arrival] = deque()
        self._opening: dict[asyncio.Task[None], _Arrival] = {}
        self._started = self._life_s = 0.0
        self.tally = Tally(plan.seconds)

    async def learn(self, credentials: Credentials) -> Shop:
        """Ask what can be asked for, and for a token where there will be writes."""
        categories = await self._ask(request_bytes("GET", "/api/categories", self._named, {}))
        lists = [await self._ask(request_bytes("GET", target, self._named, {})) for target in LISTS]
        draw = Random(self._plan.random_seed)  # noqa: S311  what is asked is no secret
        shop = Shop(self._named, draw, self._plan.mix, categories, lists)
        shop.webhook_secret = credentials.webhook_secret
        if "write" in self._plan.mix:
            await self._authorize(shop, credentials)
        return shop

    async def renew(self, shop: Shop, credentials: Credentials) -> None:
        """A new token long before the old one ends."""
        while True:
            await asyncio.sleep(self._life_s * TOKEN_USE)
            await self._authorize(shop, credentials)

    async def _authorize(self, shop: Shop, credentials: Credentials) -> None:
        basic = b64encode(f"{credentials.client_id}:{credentials.client_secret}".encode()).decode()
        headers = {
            "Authorization": f"Basic {basic}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        form = b"grant_type=client_credentials&scope=catalog:write"
        answer = await self._ask(request_bytes("POST", "/oauth/token", self._named, headers, form))
        given = msgspec.json.decode(answer)
        shop.bearer = given["access_token"]
        self._life_s = float(given["expires_in"])

    async def arrive(self, shop: Shop) -> None:
        """Send each arrival at its instant, and wait for the last answers."""
        draw = Random(self._plan.random_seed + 1)  # noqa: S311  nor is when
        self._started = self._loop.time()
        sweeping = asyncio.create_task(self._sweep())
        for after_s in poisson(self._plan.rates, self._plan.seconds, draw):
            due = self._started + after_s
            if (early_s := due - self._loop.time()) > 0:
                await asyncio.sleep(early_s)
            self.tally.lateness.add(int((self._loop.time() - due) * 1e6))
            self._dispatch(_Arrival(shop.request(), due))
        while self._busy or self._waiting or self._opening:  # noqa: ASYNC110  polled once, at the end
            await asyncio.sleep(SWEEP_S)  # the sweep ends whatever stays longer than `ANSWER_S`
        sweeping.cancel()

    def close(self) -> None:
        """Close all connections."""
        for task in self._opening:
            task.cancel()
        for wire in (*self._idle, *self._busy):
            wire.close()

    def _dispatch(self, arrival: _Arrival) -> None:
        while self._idle:
            wire = self._idle.pop()
            if wire.open:
                self._send(wire, arrival)
                return
        if len(self._busy) + len(self._opening) < self._plan.connections:
            task = self._loop.create_task(self._open(arrival))
            self._opening[task] = arrival
            task.add_done_callback(self._opening.pop)
        else:
            self._waiting.append(arrival)

    async def _open(self, arrival: _Arrival) -> None:
        try:
            async with asyncio.timeout_at(arrival.due + ANSWER_S):
                _, wire = await self._connect()
        except (OSError, TimeoutError):
            self._count(arrival, 0, "connection")
        else:
            self._send(wire, arrival)

    async def _connect(self) -> tuple[asyncio.BaseTransport, Wire]:
        return await self._loop.create_connection(
            lambda: Wire(self._done), self._host, self._port, ssl=self._tls
        )

    def _send(self, wire: Wire, arrival: _Arrival) -> None:
        self._busy[wire] = arrival
        wire.send(arrival.request.content)

    def _done(self, wire: Wire, status: int, body: bytes, reason: str) -> None:
        arrival = self._busy.pop(wire)
        self._count(arrival, status, reason)
        if arrival.request.learn is not None and 200 <= status < 300:
            arrival.request.learn(body)
        if wire.open:
            self._idle.append(wire)
        if self._waiting:
            self._dispatch(self._waiting.popleft())

    def _count(self, arrival: _Arrival, status: int, reason: str) -> None:
        taken_us = int((self._loop.time() - arrival.due) * 1e6)
        self.tally.add(arrival.request.kind, arrival.due - self._started, taken_us, status, reason)

    async def _sweep(self) -> None:
        """Give up what has waited too long; so nothing waits in line for longer than that either."""
        while True:
            await asyncio.sleep(SWEEP_S)
            late = self._loop.time() - ANSWER_S
            while self._waiting and self._waiting[0].due < late:
                self._count(self._waiting.popleft(), 0, "no free connection")
            for wire in [wire for wire, arrival in self._busy.items() if arrival.due < late]:
                wire.give_up("timeout")

    async def _ask(self, content: bytes) -> bytes:
        """One request outside of what is counted."""
        answered: asyncio.Future[tuple[int, bytes, str]] = self._loop.create_future()

        def done(wire: Wire, status: int, body: bytes, reason: str) -> None:
            wire.close()
            if not answered.done():
                answered.set_result((status, body, reason))

        try:
            async with asyncio.timeout(ANSWER_S):
                _, wire = await self._loop.create_connection(
                    lambda: Wire(done), self._host, self._port, ssl=self._tls
                )
                wire.send(content)
                status, body, reason = await answered
        except (OSError, TimeoutError):
            raise Unavailable(f"{self._named} does not answer.") from None
        if status != 200:
            raise Unavailable(f"{self._named} answers {status or reason} before the load begins.")
        return body
