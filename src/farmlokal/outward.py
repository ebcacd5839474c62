"""Whom we call, as the settings have them: the provider of upstream tokens, and suppliers. A part of the
composition root that commands need on its own.
"""

from contextlib import AsyncExitStack

from farmlokal.oauth.upstream import (
    MemoryTokenStore,
    RedisTokenStore,
    TokenCounts,
    TokenEndpoint,
    TokenSource,
    TokenStore,
)
from farmlokal.ops.preflight import Finding, examine_provider
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import Database
from farmlokal.platform.http_client import HttpClient
from farmlokal.platform.redis import RedisConnections
from farmlokal.settings import Settings
from farmlokal.suppliers.wiring import Address, Suppliers, addresses

UPSTREAM_CONNECTIONS = 2
"""Most connections to the provider of upstream tokens: a refresh, and one because of a rejected token."""


def _endpoint(settings: Settings) -> TokenEndpoint | None:
    """The provider of upstream tokens, where the settings name one."""
    url, name = settings.upstream_token_url, settings.upstream_client_id
    secret = settings.upstream_client_secret
    if url is None or name is None or secret is None:  # none of them: the settings see to that
        return None
    return TokenEndpoint(
        HttpClient(UPSTREAM_CONNECTIONS),
        url.get_secret_value(),
        name,
        secret.get_secret_value(),
        settings.upstream_scope,
        settings.upstream_auth,
    )


async def examine_upstream(settings: Settings) -> list[Finding]:
    """What `farmlokal doctor` finds of the provider of upstream tokens, where there is one."""
    endpoint = _endpoint(settings)
    return [] if endpoint is None else [await examine_provider(endpoint)]


async def examine_suppliers(settings: Settings, database: Database) -> list[Finding]:
    """What `farmlokal doctor` finds of the suppliers, by asking each for a page. The database is not used."""
    clock = SystemClock()
    token = upstream_of(settings, None, b"", clock)
    known = suppliers_of(settings, database, token, clock)
    async with AsyncExitStack() as stack:
        for part in (token, known):
            if part is not None:
                stack.push_async_callback(part.close)
        if token is not None:
            await token.open()
        await known.open(schedule=False)
        found = await known.probed()
    return [Finding(each.ok, f"supplier {name}: {each.told}") for name, each in found.items()]


def upstream_of(
    settings: Settings, redis: RedisConnections | None, key: bytes, clock: SystemClock
) -> TokenSource | None:
    """The upstream token of this process, or of all that share a Redis."""
    endpoint, counts = _endpoint(settings), TokenCounts()
    if endpoint is None:
        return None
    store: TokenStore = (
        RedisTokenStore(redis, key, endpoint.identity, clock, counts) if redis else MemoryTokenStore(clock)
    )
    return TokenSource(endpoint, store, clock, counts)


def suppliers_of(
    settings: Settings, database: Database, upstream: TokenSource | None, clock: SystemClock
) -> Suppliers:
    """Whom we buy from, as the settings have them."""
    external = settings.supplier_url.get_secret_value() if settings.supplier_url else None
    others = [Address(each.name, each.format, each.url.get_secret_value()) for each in settings.suppliers]
    every_s, networks = settings.supplier_sync_hours * 3600, settings.supplier_allowed_networks
    return Suppliers(addresses(external, others), networks, upstream, database, clock, every_s)
