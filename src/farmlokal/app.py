"""The composition root: settings in, wired ASGI application out. The one file that knows every other."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import blake2b
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.routing import Router
from starlette.types import ASGIApp

from farmlokal import migrations
from farmlokal.catalog.cached import CataloguePages
from farmlokal.catalog.cost import cost
from farmlokal.catalog.cursor import CursorCodec
from farmlokal.catalog.repository import CatalogueRepository
from farmlokal.catalog.representation import PARTIAL
from farmlokal.catalog.routes import CatalogueRoutes
from farmlokal.catalog.service import Catalogue
from farmlokal.ops.preflight import require_durable, require_schema
from farmlokal.ops.routes import OpsRoutes
from farmlokal.orders.commits import SharedCommits
from farmlokal.orders.event import STANDARD, read_event
from farmlokal.orders.inbox import Inbox
from farmlokal.orders.letters import DeadLetters
from farmlokal.orders.receiver import Receiver, Source
from farmlokal.orders.routes import WebhookRoutes
from farmlokal.orders.signature import StandardWebhooks
from farmlokal.platform.cache import Cache, CacheCounts, Generations, MemoryCache, RedisCache
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database import database_at
from farmlokal.platform.database.port import Database
from farmlokal.platform.metrics import LimitCounts, RequestCounts, WebhookCounts
from farmlokal.platform.rate_limit import Limiter, MemoryLimiter, Policy, RedisLimiter
from farmlokal.platform.redis import RedisConnections
from farmlokal.platform.web import openapi
from farmlokal.platform.web.admission import Admission
from farmlokal.platform.web.content import CONTENT_FORM, Content, ContentCodec
from farmlokal.platform.web.gate import Gate
from farmlokal.platform.web.peers import Peers
from farmlokal.settings import DEVELOPMENT_SECRET_KEY, Settings

TAGS = {
    "catalogue": "What is for sale: products, sellers, prices.",
    "orders": "What was bought: events in, orders out.",
    "operations": "How the service is doing.",
}

UNSIGNED_COST = 1
"""Units of quota that a delivery costs who did not sign it."""

EXPOSED = ["ETag", "Link", "X-Cache", "X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy"]
"""Headers that scripts of other origins may read."""


def create_app(settings: Settings, clock: SystemClock | None = None) -> ASGIApp:
    """Wire the application. Nothing is opened before the server starts its lifespan."""
    clock = clock or SystemClock()
    replica = settings.database_replica_url
    database = database_at(
        settings.database_url.get_secret_value(),
        settings.database_pool,
        None if replica is None else replica.get_secret_value(),
    )
    keys = [key.get_secret_value() for key in settings.secret_key] or [DEVELOPMENT_SECRET_KEY.encode()]
    counts, limits, events = RequestCounts(), LimitCounts(), WebhookCounts()
    redis = RedisConnections(settings.redis_url.get_secret_value(), clock) if settings.redis_url else None
    schema = migrations.newest()
    repository, cached = CatalogueRepository(database, clock), CacheCounts()
    service = Catalogue(repository, CursorCodec(keys))
    cache = _cache(redis, keys[0], repository, clock, cached)
    catalogue = CatalogueRoutes(service, CataloguePages(service, cache))
    admission = _admission(settings, redis, clock, limits)
    commits = SharedCommits(Inbox(database, clock).record)
    webhooks = _webhooks(settings, database, clock, events, commits, admission)
    ops = OpsRoutes(
        database,
        counts,
        limits,
        events,
        clock,
        cache=cached,
        redis=redis,
        expected_schema=schema,
        private=settings.profile == "production",
        docs_path=Path(str(files("swagger_ui_bundle") / "vendor")).glob("swagger-ui-*").__next__(),
    )
    operations = [*catalogue.operations, *webhooks.operations, *ops.operations]
    ops.describe(openapi.document(operations, version("farmlokal"), TAGS, PARTIAL))

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await _enter(stack, database)
            await require_schema(database, schema)
            if settings.profile == "production":
                await require_durable(database)
            for part in (redis, cache, commits):
                if part is not None:
                    await _enter(stack, part)
            yield

    # The bare router: the application class of the framework would wrap it in error pages of its own.
    # Nor does it redirect to a path without its last slash: the URL would be made of the caller's Host.
    routes = [*(operation.route for operation in operations), *ops.pages]
    router = Router(routes, redirect_slashes=False, lifespan=lifespan)
    app: ASGIApp = Gate(router, counts, admission)
    if settings.cors_origins:
        app = CORSMiddleware(
            app,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "HEAD"],
            expose_headers=EXPOSED,
        )
    return app


class _Part(Protocol):
    """What lives as long as the application does."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...


async def _enter(stack: AsyncExitStack, part: _Part) -> None:
    """Open a part, and close it at the end, even if it could be opened only half."""
    stack.push_async_callback(part.close)
    await part.open()


def _cache(
    redis: RedisConnections | None,
    key: bytes,
    repository: CatalogueRepository,
    clock: SystemClock,
    counts: CacheCounts,
) -> Cache[Content]:
    """Pages in this process, and behind Redis where there is one."""
    generations, codec = Generations(repository.version, clock), ContentCodec()
    if redis is None:
        return MemoryCache(generations, codec, clock, counts)
    # Pages hold cursors: whoever signs with another key has pages of its own.
    namespace = blake2b(key, digest_size=32, person=f"pages {CONTENT_FORM}".encode()).digest()
    return RedisCache(redis, namespace, generations, codec, clock, counts)


def _webhooks(
    settings: Settings,
    database: Database,
    clock: SystemClock,
    counts: WebhookCounts,
    commits: SharedCommits,
    admission: Admission | None,
) -> WebhookRoutes:
    """Where events come in. Without a secret, which only development may be, nobody has to sign."""
    secrets = [secret.get_secret_value() for secret in settings.webhook_secrets]
    scheme = StandardWebhooks(secrets) if secrets else None
    standard = Source(STANDARD, scheme, lambda _headers, body: read_event(STANDARD, body))
    receiver = Receiver(commits.submit, DeadLetters(database, clock), counts, clock)

    async def charge(request: Request) -> None:
        if admission is not None:
            await admission.require_quota(request.scope)
            await admission.charge(request.scope, UNSIGNED_COST)

    return WebhookRoutes(receiver, standard, charge)


def _admission(
    settings: Settings, redis: RedisConnections | None, clock: SystemClock, counts: LimitCounts
) -> Admission | None:
    """The rate limit as the settings have it: none, of this process, or of all that share a Redis."""
    if settings.rate_limit is None:
        return None
    limit = settings.rate_limit
    policy = Policy("default", limit.requests, limit.window_s, limit.burst)
    limiter: Limiter = (
        RedisLimiter(redis, policy, clock, counts)
        if redis is not None
        else MemoryLimiter(policy, clock, counts)
    )
    return Admission(limiter, policy, Peers(settings.trusted_proxies), cost)
