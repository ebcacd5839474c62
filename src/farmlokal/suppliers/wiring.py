"""Suppliers put together: who they are, the way to each, and what callers may ask of them.

The token is sent to the supplier behind `/external/products` and to those at the same origin: to any other it
would be a secret given away.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import SystemRandom
from typing import NamedTuple
from urllib.parse import urlsplit

import structlog

from farmlokal.catalog.models import SellerDraft, SellerKind
from farmlokal.oauth.upstream import TokenSource
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import Database
from farmlokal.platform.http_client import HttpClient
from farmlokal.platform.public_addresses import Network, is_allowed
from farmlokal.platform.resilience.bulkhead import PLACES
from farmlokal.platform.resilience.call import ResilientCall
from farmlokal.platform.resilience.circuit_breaker import CircuitBreaker
from farmlokal.platform.web.openapi import Operation
from farmlokal.suppliers.client import SupplierClient
from farmlokal.suppliers.counts import SupplierCounts, SupplierState
from farmlokal.suppliers.external import ExternalProducts, Question
from farmlokal.suppliers.fetching import Source
from farmlokal.suppliers.formats import FORMATS
from farmlokal.suppliers.models import Supplier
from farmlokal.suppliers.probe import Probe, probe
from farmlokal.suppliers.products import ProductsPage
from farmlokal.suppliers.representation import Job, SupplierList, entry
from farmlokal.suppliers.routes import SupplierRoutes
from farmlokal.suppliers.schedule import Schedule
from farmlokal.suppliers.sync import SupplierSync, Turn
from farmlokal.suppliers.sync_routes import Authorize, SyncRoutes

EXTERNAL, EXTERNAL_FORMAT = "external", "dummyjson"
"""Our name for the supplier behind `/external/products`, and the format it answers in (the original's)."""

NOWHERE = "Online"
"""District and state of such a seller: both are required, and shown."""


@dataclass(frozen=True, slots=True)
class Address:
    """A supplier of the settings: our name for it, the format it answers in, and where. The URL may hold a
    key."""

    name: str
    format: str
    url: str = field(repr=False)

    @property
    def host(self) -> str:
        """What callers may know of the URL."""
        return urlsplit(self.url).hostname or ""

    @property
    def origin(self) -> tuple[str, str]:
        """Whose tokens it takes."""
        parts = urlsplit(self.url)
        return parts.scheme, parts.netloc


class Way(NamedTuple):
    """The way to one supplier."""

    address: Address
    client: SupplierClient
    breaker: CircuitBreaker
    counts: SupplierCounts
    shows_token: bool

    @property
    def source(self) -> Source:
        """Where its syncs fetch from."""
        name = self.address.name
        return Source(Supplier(name, _house(name)), FORMATS[self.address.format], self.client, self.breaker)


class Suppliers:
    """All of them, for as long as the application lives."""

    def __init__(
        self,
        addresses: Sequence[Address],
        networks: Sequence[Network],
        token: TokenSource | None,
        database: Database,
        clock: SystemClock,
        every_s: float,
    ) -> None:
        self._token = token
        self._clock = clock
        self._every_s = every_s
        most = (PLACES + 1) * max(1, len(addresses))  # one more is a sync's: nobody waits for one
        self._http = HttpClient(most, PLACES, reaches=lambda address: is_allowed(address, networks))
        external = next((each for each in addresses if each.name == EXTERNAL), None)
        self._ways = {}
        for each in addresses:
            ours = external is not None and each.origin == external.origin
            self._ways[each.name] = _way(each, self._http, token if ours else None, clock)
        self._external = None if external is None else _external(self._ways[EXTERNAL], clock)
        sources = {name: way.source for name, way in self._ways.items()}
        self.sync = SupplierSync(database, clock, SystemRandom(), sources, every_s)
        self._schedule = Schedule(self.sync, SystemRandom())

    async def open(self, *, schedule: bool = True) -> None:
        """Make ready. Nobody is called yet; without a `schedule` nobody is unless somebody asks."""
        if self._ways:
            await self._http.open()
        if schedule:
            await self._schedule.open()

    async def close(self) -> None:
        """End what is under way."""
        await self._schedule.close()
        if self._external is not None:
            await self._external.close()
        await self._http.close()

    def states(self) -> Mapping[str, SupplierState]:
        """For metrics, by name."""
        return {name: way.counts.state(way.breaker.state()) for name, way in self._ways.items()}

    async def probed(self) -> Mapping[str, Probe]:
        """Ask each for a page, all at once; by our name for it, with its format and host."""

        async def one(way: Way) -> Probe:
            name = way.address.name
            setting = "FARMLOKAL_SUPPLIER_URL" if name == EXTERNAL else "FARMLOKAL_SUPPLIERS"
            return await probe(way.source, setting, self._clock, SystemRandom())

        ways = [way for _, way in sorted(self._ways.items())]
        names = [f"{way.address.name} ({way.address.format} at {way.address.host})" for way in ways]
        return dict(zip(names, await asyncio.gather(*map(one, ways)), strict=True))

    async def listed(self) -> SupplierList:
        """All of them with their syncs."""
        jobs, turns = await self.sync.journal.last_jobs(), await self.sync.journal.turns()
        left_s = self._token.state().left_s if self._token else None
        now_us, states = self._clock.now_us(), self.states()
        return SupplierList(
            [
                entry(
                    name,
                    way.address.format,
                    states[name],
                    left_s if way.shows_token else None,
                    jobs,
                    turns.get(name),
                    now_us,
                    scheduled=self._every_s > 0,
                )
                for name, way in self._ways.items()
            ]
        )

    async def begin(self, name: str) -> Job:
        """Start a sync in the background. Raises `NotFound`, and `Conflict` while one is under way."""
        return await self._run(await self.sync.begin(name, dry_run=False))

    async def approve(self, identity: int) -> Job:
        """Let a job that waits go on. Raises `NotFound`, and `Conflict` for one that does not wait."""
        return await self._run(await self.sync.approve(identity))

    async def _run(self, turn: Turn) -> Job:
        self._schedule.run(turn)
        return await self.sync.job(turn[0].id)

    def operations(self, authorize: Authorize) -> list[Operation]:
        """Every endpoint with its description."""
        syncs = SyncRoutes(self.sync, self._schedule, self.listed, authorize)
        return [*SupplierRoutes(self._external).operations, *syncs.operations]


def addresses(external: str | None, others: Sequence[Address]) -> list[Address]:
    """The suppliers of the settings. One that is called as the external one stands for itself."""
    found = [] if external is None else [Address(EXTERNAL, EXTERNAL_FORMAT, external)]
    return found + [each for each in others if each.name != EXTERNAL or external is None]


def _way(address: Address, http: HttpClient, token: TokenSource | None, clock: SystemClock) -> Way:
    counts, log = SupplierCounts(), structlog.get_logger("farmlokal.suppliers")
    client = SupplierClient(http, address.url, token, counts, clock)
    breaker = CircuitBreaker(address.name, clock, SystemRandom(), log)
    return Way(address, client, breaker, counts, token is not None)


def _house(name: str) -> SellerDraft:
    """Who sells what the offers name no seller for. A shop on the web is at no place that its pages tell."""
    title = name.replace("-", " ").capitalize()
    return SellerDraft(
        external_key=f"supplier:{name}",
        kind=SellerKind.COLLECTIVE,
        name=title,
        district=NOWHERE,
        state=NOWHERE,
    )


def _external(way: Way, clock: SystemClock) -> ExternalProducts:
    call: ResilientCall[Question, ProductsPage] = ResilientCall(
        way.breaker, clock, SystemRandom(), lambda page: len(page.body)
    )
    return ExternalProducts(way.address.host, way.client, call, way.breaker, way.counts, clock)
