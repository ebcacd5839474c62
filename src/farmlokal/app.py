"""The composition root: settings in, wired ASGI application out. The one file that knows every other."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import blake2b
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from farmlokal import migrations
from farmlokal.catalog.cached import CataloguePages
from farmlokal.catalog.cost import cost
from farmlokal.catalog.cursor import CursorCodec
from farmlokal.catalog.edit_routes import EditRoutes
from farmlokal.catalog.editing.bulk import BulkEditor
from farmlokal.catalog.editing.service import CatalogueEditor
from farmlokal.catalog.repository import CatalogueRepository
from farmlokal.catalog.representation import PARTIAL
from farmlokal.catalog.routes import CatalogueRoutes
from farmlokal.catalog.service import Catalogue
from farmlokal.oauth.routes import OAuthRoutes
from farmlokal.oauth.scopes import SCOPES
from farmlokal.oauth.wiring import Authorization, authorization
from farmlokal.ops.preflight import require_durable, require_schema
from farmlokal.ops.routes import OpsRoutes
from farmlokal.platform.cache import Cache, CacheCounts, Generations, MemoryCache, RedisCache
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database import database_at
from farmlokal.platform.database.port import Database
from farmlokal.platform.metrics import LimitCounts, RequestCounts
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
    "tokens": "Who may call: access tokens for registered clients.",
    "operations": "How the service is doing.",
}


EXPOSED = ["ETag", "Link", "X-Cache", "X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy"]
"""Headers that scripts of other origins may read."""

PRIVATE = ("/oauth/",)
"""Below these paths no script of another origin may read anything, whatever `CORS_ORIGINS` says."""


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
    counts, limits = RequestCounts(), LimitCounts()
    redis = RedisConnections(settings.redis_url.get_secret_value(), clock) if settings.redis_url else None
    schema = migrations.newest()
    repository, cached = CatalogueRepository(database, clock), CacheCounts()
    service = Catalogue(repository, CursorCodec(keys))
    cache = _cache(redis, keys[0], repository, clock, cached)
    oauth = authorization(database, keys, settings.issuer, clock)
    admission = _admission(settings, redis, clock, limits, oauth)
    ops = OpsRoutes(
        database,
        counts,
        limits,
        clock,
        cache=cached,
        redis=redis,
        expected_schema=schema,
        authorize=oauth.resources.require if settings.profile == "production" else None,
        docs_path=Path(str(files("swagger_ui_bundle") / "vendor")).glob("swagger-ui-*").__next__(),
    )
    operations = [
        *CatalogueRoutes(service, CataloguePages(service, cache)).operations,
        *_edits(database, clock, oauth, service).operations,
        *OAuthRoutes(oauth.server, admission).operations,
        *ops.operations,
    ]
    ops.describe(openapi.document(operations, version("farmlokal"), TAGS, PARTIAL, SCOPES))

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(database.close)
            await database.open()
            await require_schema(database, schema)
            if settings.profile == "production":
                await require_durable(database)
            if redis is not None:
                stack.push_async_callback(redis.close)
                await redis.open()
            stack.push_async_callback(cache.close)
            await cache.open()
            stack.push_async_callback(oauth.server.close)
            await oauth.server.open()
            yield

    # The bare router: the application class of the framework would wrap it in error pages of its own.
    # Nor does it redirect to a path without its last slash: the URL would be made of the caller's Host.
    routes = [*openapi.routes(operations), *ops.pages]
    router = Router(routes, redirect_slashes=False, lifespan=lifespan)
    app: ASGIApp = Gate(router, counts, admission)
    return _with_cors(app, settings.cors_origins) if settings.cors_origins else app


def _edits(database: Database, clock: SystemClock, oauth: Authorization, service: Catalogue) -> EditRoutes:
    editor, bulk = CatalogueEditor(database, clock), BulkEditor(database, clock)
    return EditRoutes(oauth.resources.require, editor, bulk, service)


def _with_cors(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    public = CORSMiddleware(
        app, allow_origins=list(origins), allow_methods=["GET", "HEAD"], expose_headers=EXPOSED
    )

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        private = scope["type"] == "http" and scope["path"].startswith(PRIVATE)
        await (app if private else public)(scope, receive, send)

    return choose


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


def _admission(
    settings: Settings,
    redis: RedisConnections | None,
    clock: SystemClock,
    counts: LimitCounts,
    oauth: Authorization,
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
    return Admission(limiter, policy, Peers(settings.trusted_proxies), cost, oauth.resources.identify)
