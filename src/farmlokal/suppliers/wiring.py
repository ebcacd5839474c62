"""Suppliers put together: who they are, the way to each, and what callers may ask of them.

The token is sent to the supplier behind `/external/products` and to those at the same origin: to any other it
would be a secret given away.
"""

from collections.abc import Mapping, Sequence
from random import SystemRandom
from typing import NamedTuple
from urllib.parse import urlsplit

import structlog

from farmlokal.oauth.upstream import TokenSource
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.http_client import HttpClient
from farmlokal.platform.public_addresses import Network, is_allowed
from farmlokal.platform.resilience.bulkhead import PLACES
from farmlokal.platform.resilience.call import ResilientCall
from farmlokal.platform.resilience.circuit_breaker import CircuitBreaker
from farmlokal.platform.web.openapi import Operation
from farmlokal.suppliers.client import SupplierClient
from farmlokal.suppliers.counts import SupplierCounts, SupplierState
from farmlokal.suppliers.external import ExternalProducts, Question
from farmlokal.suppliers.products import ProductsPage
from farmlokal.suppliers.routes import SupplierRoutes

EXTERNAL, EXTERNAL_FORMAT = "external", "dummyjson"
"""Our name for the supplier behind `/external/products`, and the format it answers in (the original's)."""


class Address(NamedTuple):
    """A supplier of the settings: our name for it, the format it answers in, and where. The URL may hold a
    key."""

    name: str
    format: str
    url: str

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


class Suppliers:
    """All of them, for as long as the application lives."""

    def __init__(
        self,
        addresses: Sequence[Address],
        networks: Sequence[Network],
        token: TokenSource | None,
        clock: SystemClock,
    ) -> None:
        self._http = HttpClient(
            PLACES * max(1, len(addresses)), PLACES, reaches=lambda address: is_allowed(address, networks)
        )
        external = next((each for each in addresses if each.name == EXTERNAL), None)
        self._ways = {}
        for each in addresses:
            ours = external is not None and each.origin == external.origin
            self._ways[each.name] = _way(each, self._http, token if ours else None, clock)
        self._external = None if external is None else _external(self._ways[EXTERNAL], clock)

    async def open(self) -> None:
        """Make ready. Nobody is called yet."""
        if self._ways:
            await self._http.open()

    async def close(self) -> None:
        """End what is under way."""
        if self._external is not None:
            await self._external.close()
        await self._http.close()

    def states(self) -> Mapping[str, SupplierState]:
        """For metrics, by name."""
        return {name: way.counts.state(way.breaker.state()) for name, way in self._ways.items()}

    @property
    def operations(self) -> list[Operation]:
        """Every endpoint with its description."""
        return SupplierRoutes(self._external).operations


def addresses(external: str | None, others: Sequence[Address]) -> list[Address]:
    """The suppliers of the settings. One that is called as the external one stands for itself."""
    found = [] if external is None else [Address(EXTERNAL, EXTERNAL_FORMAT, external)]
    return found + [each for each in others if each.name != EXTERNAL or external is None]


def _way(address: Address, http: HttpClient, token: TokenSource | None, clock: SystemClock) -> Way:
    counts, log = SupplierCounts(), structlog.get_logger("farmlokal.suppliers")
    client = SupplierClient(http, address.url, token, counts, clock)
    return Way(address, client, CircuitBreaker(address.name, clock, SystemRandom(), log), counts)


def _external(way: Way, clock: SystemClock) -> ExternalProducts:
    call: ResilientCall[Question, ProductsPage] = ResilientCall(
        way.breaker, clock, SystemRandom(), lambda page: len(page.body)
    )
    return ExternalProducts(way.address.host, way.client, call, way.breaker, way.counts, clock)
