"""The composition root: settings in, wired ASGI application out. The one file that knows every other."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from hashlib import blake2b
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from starlette.requests import Request
from starlette.routing import Router
from starlette.types import ASGIApp

from farmlokal import migrations
from farmlokal.catalog.cached import CataloguePages
from farmlokal.catalog.cost import cost
from farmlokal.catalog.edit_routes import EditRoutes
from farmlokal.catalog.editing.bulk import BulkEditor
from farmlokal.catalog.editing.service import CatalogueEditor
from farmlokal.catalog.repository import CatalogueRepository
from farmlokal.catalog.representation import PARTIAL
from farmlokal.catalog.routes import CatalogueRoutes
from farmlokal.catalog.service import Catalogue
from farmlokal.oauth.routes import OAuthRoutes
from farmlokal.oauth.scopes import SCOPES
from farmlokal.oauth.upstream.routes import QUOTA, Authorize, UpstreamRoutes
from farmlokal.oauth.wiring import Authorization, authorization
from farmlokal.ops.dashboard.wiring import Dashboard, dashboard
from farmlokal.ops.families import Sources, families
from farmlokal.ops.preflight import require_durable, require_schema
from farmlokal.ops.routes import OpsRoutes
from farmlokal.ops.workers import Workers
from farmlokal.orders.wiring import OrdersFeature, orders, sources
from farmlokal.outward import suppliers_of, upstream_of
from farmlokal.platform.cache import Cache, CacheCounts, Generations, MemoryCache, RedisCache
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database import database_at
from farmlokal.platform.database.counted import CountedDatabase
from farmlokal.platform.database.port import Database
from farmlokal.platform.event_loop import LoopDelay
from farmlokal.platform.keyset.cursor import CursorCodec
from farmlokal.platform.metrics import LimitCounts, RequestCounts, Timings, WebhookCounts
from farmlokal.platform.rate_limit import Caller, Limiter, MemoryLimiter, Policy, RedisLimiter
from farmlokal.platform.redis import RedisConnections
from farmlokal.platform.traces import Traces
from farmlokal.platform.web import openapi
from farmlokal.platform.web.admission import Admission
from farmlokal.platform.web.content import CONTENT_FORM, Content, ContentCodec
from farmlokal.platform.web.cors import with_cors
from farmlokal.platform.web.fast_lane import FastLane
from farmlokal.platform.web.gate import Gate
from farmlokal.platform.web.lifespan import Part, lifespan
from farmlokal.platform.web.loopback import is_loopback
from farmlokal.platform.web.peers import Peers
from farmlokal.settings import DEVELOPMENT_SECRET_KEY, Settings
from farmlokal.shop.assets import Assets
from farmlokal.shop.pages import ShopPages
from farmlokal.shop.routes import ShopRoutes
from farmlokal.suppliers.wiring import Suppliers

TAGS = {
    "catalogue": "What is for sale: products, sellers, prices.",
    "tokens": "Who may call: access tokens for registered clients, and the token for the supplier.",
    "orders": "What was bought: events in, orders out.",
    "suppliers": "Where it comes from: other people's servers.",
    "operations": "How the service is doing.",
}

UNSIGNED_COST = 1
"""Units of quota that a delivery costs who did not sign it."""

LISTS = ("/api/products", "/api/facets", "/api/categories", "/api/sellers")
"""Paths whose answers are kept whole: public, and good for a second."""

PRIVATE = ("/auth/", "/oauth/", "/ops")
"""Below these paths no script of another origin may read anything, whatever `CORS_ORIGINS` says."""


Beside = Callable[[ASGIApp], Part]
"""Serves another application beside this one, for as long as it is open."""


def create_app(
    settings: Settings,
    clock: SystemClock | None = None,
    numbers: Path | None = None,
    beside: Beside | None = None,
) -> ASGIApp:
    """Wire the application. Nothing is opened before the server starts its lifespan. `numbers` is the folder
    where the workers of a server share what they count. What is for operators is left to `beside`, if given,
    where nobody needs a token for reading it and nobody is limited."""
    clock, timings = clock or SystemClock(), Timings()
    database = CountedDatabase(_database(settings), timings)
    keys = [key.get_secret_value() for key in settings.secret_key] or [DEVELOPMENT_SECRET_KEY.encode()]
    counts, limits, cached, events = RequestCounts(), LimitCounts(), CacheCounts(), WebhookCounts()
    redis = RedisConnections(settings.redis_url.get_secret_value(), clock) if settings.redis_url else None
    schema, repository = migrations.newest(), CatalogueRepository(database, clock)
    service = Catalogue(repository, CursorCodec(keys))
    cache = _cache(redis, keys[0], database, repository, clock, cached)
    oauth = authorization(database, keys, settings.issuer, clock)
    admission = _admission(settings, redis, clock, limits, oauth)
    upstream = upstream_of(settings, redis, keys[0], clock)
    suppliers = suppliers_of(settings, database, upstream, clock)
    quota = _limiter(settings, QUOTA, redis, clock, LimitCounts())
    bought = _orders(settings, database, clock, events, keys, oauth, admission)
    loop, traces = LoopDelay(clock), _traces(settings)
    counted = (counts, limits, cached, events, timings, loop)
    sources = Sources(version("farmlokal"), *counted, redis, upstream, suppliers.states)
    workers = Workers(numbers, partial(families, sources))
    ops = OpsRoutes(
        database,
        sources,
        workers,
        clock,
        expected_schema=schema,
        authorize=oauth.resources.require if settings.profile == "production" and not beside else None,
        docs_path=Path(str(files("swagger_ui_bundle") / "vendor")).glob("swagger-ui-*").__next__(),
    )
    features = [
        *CatalogueRoutes(service, CataloguePages(service, cache)).operations,
        *_edits(database, clock, oauth, service).operations,
        *OAuthRoutes(oauth.server, admission).operations,
        *UpstreamRoutes(upstream, _authorize(settings, oauth), quota, clock).operations,
        *bought.operations,
        *suppliers.operations(oauth.resources.require),
        *ops.health,
    ]
    ops.describe(openapi.document([*features, *ops.operations], version("farmlokal"), TAGS, PARTIAL, SCOPES))
    board = _dashboard(settings, oauth, keys, clock, workers, suppliers, bought, admission, bool(beside))
    stores = (redis, cache, oauth.server, upstream, suppliers, bought.commits, bought.retention)
    parts: list[Part | None] = [traces, *stores, loop, workers, board.outside, board.live]
    internal = [*openapi.routes(ops.operations), *ops.pages, *board.pages]
    routes = [*openapi.routes(features), *_shop(service, cache).pages, *(() if beside else internal)]
    if beside:
        apart = Router([*internal, *openapi.routes(ops.health)], redirect_slashes=False)
        parts.append(beside(Gate(apart, counts)))
    lives = lifespan(database, _checks(settings, database, schema), parts)
    # The bare router: the application class of the framework would wrap it in error pages of its own.
    # Nor does it redirect to a path without its last slash: the URL would be made of the caller's Host.
    router = Router(routes, redirect_slashes=False, lifespan=lives)
    app = _front(settings, router, counts, admission)
    return app if traces is None else traces.around(app)


def _front(settings: Settings, router: Router, counts: RequestCounts, admission: Admission | None) -> ASGIApp:
    """What a request passes before the routes."""
    told = settings.log_level == "debug"  # each request in the log, so each goes the long way
    app: ASGIApp = Gate(router, counts, admission, log_requests=told)
    if settings.fast_lane and not told:
        app = FastLane(app, counts, admission, LISTS, unread=settings.otlp_endpoint is None)
    return with_cors(app, settings.cors_origins, PRIVATE) if settings.cors_origins else app


def _checks(settings: Settings, database: Database, schema: str) -> list[Callable[[], Awaitable[None]]]:
    """What has to hold at the start."""
    found: list[Callable[[], Awaitable[None]]] = [partial(require_schema, database, schema)]
    return [*found, partial(require_durable, database)] if settings.profile == "production" else found


def _traces(settings: Settings) -> Traces | None:
    endpoint = settings.otlp_endpoint
    return None if endpoint is None else Traces(endpoint.get_secret_value(), version("farmlokal"))


def _database(settings: Settings) -> Database:
    replica = settings.database_replica_url
    return database_at(
        settings.database_url.get_secret_value(),
        settings.database_pool,
        None if replica is None else replica.get_secret_value(),
    )


def _edits(database: Database, clock: SystemClock, oauth: Authorization, service: Catalogue) -> EditRoutes:
    editor, bulk = CatalogueEditor(database, clock), BulkEditor(database, clock)
    return EditRoutes(oauth.resources.require, editor, bulk, service)


def _shop(service: Catalogue, cache: Cache[Content]) -> ShopRoutes:
    assets = Assets()
    return ShopRoutes(ShopPages(service, cache, assets), assets)


def _dashboard(
    settings: Settings,
    oauth: Authorization,
    keys: Sequence[bytes],
    clock: SystemClock,
    workers: Workers,
    suppliers: Suppliers,
    bought: OrdersFeature,
    admission: Admission | None,
    apart: bool,
) -> Dashboard:
    supplier = settings.supplier_url
    return dashboard(
        oauth.server,
        keys,
        clock,
        workers.families,
        suppliers,
        bought.repair,
        admission,
        development=settings.profile == "development",
        apart=apart,
        public_url=settings.public_url,
        supplier_url=None if supplier is None else supplier.get_secret_value(),
    )


def _cache(
    redis: RedisConnections | None,
    key: bytes,
    database: Database,
    repository: CatalogueRepository,
    clock: SystemClock,
    counts: CacheCounts,
) -> Cache[Content]:
    """Pages in this process, and behind Redis where there is one."""
    generations = Generations(repository.version, clock, lambda: database.stale_source)
    codec = ContentCodec()
    if redis is None:
        return MemoryCache(generations, codec, clock, counts)
    # Pages hold cursors: whoever signs with another key has pages of its own.
    namespace = blake2b(key, digest_size=32, person=f"pages {CONTENT_FORM}".encode()).digest()
    return RedisCache(redis, namespace, generations, codec, clock, counts)


def _orders(
    settings: Settings,
    database: Database,
    clock: SystemClock,
    counts: WebhookCounts,
    keys: Sequence[bytes],
    oauth: Authorization,
    admission: Admission | None,
) -> OrdersFeature:
    async def charge(request: Request) -> None:
        if admission is not None:
            await admission.require_quota(request.scope)
            await admission.charge(request.scope, UNSIGNED_COST)

    foreign = [(each.name, each.secret.get_secret_value()) for each in settings.webhook_sources]
    senders = sources([secret.get_secret_value() for secret in settings.webhook_secrets], foreign)
    authorize, days = oauth.resources.require, settings.retention_days
    return orders(database, clock, counts, keys, authorize, charge, senders, days)


def _admission(
    settings: Settings,
    redis: RedisConnections | None,
    clock: SystemClock,
    counts: LimitCounts,
    oauth: Authorization,
) -> Admission | None:
    """The rate limit as the settings have it: none, of this process, or of all that share a Redis."""
    limited = _limiter(settings, "default", redis, clock, counts)
    return limited and Admission(*limited, Peers(settings.trusted_proxies), cost, oauth.resources.identify)


def _limiter(
    settings: Settings, name: str, redis: RedisConnections | None, clock: SystemClock, counts: LimitCounts
) -> tuple[Limiter, Policy] | None:
    """A quota of its own by the numbers of the settings."""
    if settings.rate_limit is None:
        return None
    limit = settings.rate_limit
    policy = Policy(name, limit.requests, limit.window_s, limit.burst)
    if redis is None:
        return MemoryLimiter(policy, clock, counts), policy
    return RedisLimiter(redis, policy, clock, counts), policy


def _authorize(settings: Settings, oauth: Authorization) -> Authorize:
    """Who is given the upstream token: whom its scope allows; in development whoever is on this machine."""

    async def authorize(request: Request) -> Caller:
        if settings.profile == "development" and is_loopback(request.scope):
            return Caller("address", request.scope["client"][0])
        return (await oauth.resources.require(request.scope, "upstream:token")).caller

    return authorize
