"""Operations over HTTP: `/healthz`, `/readyz`, `/metrics`, `/openapi.json`, `/docs`."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from farmlokal.errors import NotFound
from farmlokal.oauth.upstream import TokenState
from farmlokal.ops.families import Sources
from farmlokal.ops.health import Readiness, check_database, check_redis
from farmlokal.ops.workers import Workers
from farmlokal.platform import exposition
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import Database
from farmlokal.platform.metrics import Memory, memory
from farmlokal.platform.redis import RedisState
from farmlokal.platform.web import negotiation
from farmlokal.platform.web.openapi import Operation
from farmlokal.suppliers.counts import SupplierState

DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)
"""Swagger UI writes style attributes; it runs no inline script and asks nobody but us."""

DOCS_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}

_DOCS_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>FarmLokal API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"""
_DOCS_START = (
    'SwaggerUIBundle({url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null});\n'
)


Authorize = Callable[[Any, str], Awaitable[object]]
"""Takes a request's scope and the one a token needs. Raises `Unauthenticated` or `Forbidden`."""

SCOPE = "ops:read"


class Alive(Struct, frozen=True):
    """The process answers."""

    status: str = "ok"


class RateLimiting(Struct, frozen=True, rename="camel"):
    """Requests that the limiter admitted and refused; of both, those decided while Redis did not answer."""

    admitted: int
    refused: int
    by_fallback: int


class Metrics(Struct, frozen=True):
    """This process: seconds since it started, memory in bytes, answers by class of status, lookups in the
    cache by outcome (and errors of Redis that were gone around), Redis and the upstream token where there is
    one, deliveries of events by what came of them, each supplier by our name for it."""

    status: str
    uptime: float
    memory: Memory
    requests: Mapping[str, int]
    in_flight: int = msgspec.field(name="inFlight")
    cache: Mapping[str, int]
    redis: RedisState | None
    webhooks: Mapping[str, int]
    rate_limit: RateLimiting = msgspec.field(name="rateLimit")
    upstream_token: TokenState | None = msgspec.field(name="upstreamToken")
    suppliers: Mapping[str, SupplierState]


class OpsRoutes:
    """The endpoints. `authorize` asks for a scope where strangers have no business (production)."""

    def __init__(
        self,
        database: Database,
        sources: Sources,
        workers: Workers,
        clock: SystemClock,
        *,
        expected_schema: str,
        authorize: Authorize | None,
        docs_path: Path,
    ) -> None:
        self._database = database
        self._of = sources
        self._workers = workers
        self._clock = clock
        self._expected_schema = expected_schema
        self._authorize = authorize
        self._docs_path = docs_path
        self._started_s = clock.monotonic_s()
        self._document = b"{}"

    def describe(self, document: Mapping[str, Any]) -> None:
        """Serve this at `/openapi.json`."""
        self._document = msgspec.json.encode(document)

    async def healthz(self, _request: Request) -> Response:
        """GET /healthz."""
        return _json(Alive())

    async def readyz(self, _request: Request) -> Response:
        """GET /readyz."""
        checks = {"database": await check_database(self._database, self._expected_schema)}
        if not all(check.ok for check in checks.values()):
            return _json(Readiness("not ready", checks), HTTPStatus.SERVICE_UNAVAILABLE)
        if self._of.redis is not None:
            checks["redis"] = check_redis(self._of.redis.state())
        return _json(Readiness("ready" if all(check.ok for check in checks.values()) else "degraded", checks))

    async def metrics(self, request: Request) -> Response:
        """GET /metrics: JSON of this process, or for a scraper the text of all workers."""
        await self._require(request)
        accept = ", ".join(request.headers.getlist("accept"))
        if not negotiation.accepts(accept, "application/json") or _prefers_text(accept):
            shown = exposition.text(self._workers.families())
            headers = {"cache-control": "no-store", "content-type": exposition.MEDIA_TYPE, "vary": "Accept"}
            return Response(shown, headers=headers)
        of = self._of
        uptime = self._clock.monotonic_s() - self._started_s
        answered = dict(sorted(of.requests.by_status_class.items()))
        limiting = RateLimiting(of.limits.admitted, of.limits.refused, of.limits.by_fallback)
        return _json(
            Metrics(
                status="ok",
                uptime=round(uptime, 3),
                memory=memory(),
                requests=answered,
                in_flight=of.requests.in_flight,
                cache=of.cache.by_name,
                rate_limit=limiting,
                webhooks=dict(sorted(of.events.by_outcome.items())),
                redis=of.redis.state() if of.redis else None,
                upstream_token=of.upstream.state() if of.upstream else None,
                suppliers=of.suppliers(),
            )
        )

    async def openapi(self, request: Request) -> Response:
        """GET /openapi.json."""
        await self._require(request)
        return Response(self._document, media_type="application/json")

    async def docs(self, request: Request) -> Response:
        """GET /docs."""
        await self._require(request)
        return HTMLResponse(_DOCS_PAGE, headers={"content-security-policy": DOCS_POLICY})

    async def docs_asset(self, request: Request) -> Response:
        """GET /docs/{name}: Swagger UI, from the package that carries it."""
        await self._require(request)
        name = request.path_params["name"]
        if name == "start.js":
            return Response(_DOCS_START, media_type="text/javascript")
        if name not in DOCS_ASSETS:
            raise NotFound("There is no such page.")
        return FileResponse(self._docs_path / name, media_type=DOCS_ASSETS[name])

    @property
    def health(self) -> list[Operation]:
        """For supervisors and balancers: what the OpenAPI document lists of these."""
        unready = {
            HTTPStatus.SERVICE_UNAVAILABLE: "Some dependency cannot serve; `checks` says which and why."
        }
        return [
            Operation(
                "/healthz", self.healthz, "live", "The process answers", Alive, "operations", limited=False
            ),
            Operation(
                "/readyz",
                self.readyz,
                "ready",
                "Every dependency answers",
                Readiness,
                "operations",
                more_statuses=unready,
                limited=False,
            ),
        ]

    @property
    def operations(self) -> list[Operation]:
        """For operators: what the OpenAPI document lists of these."""
        return [
            Operation(
                "/metrics",
                self.metrics,
                "metrics",
                "What this process has done since it started",
                Metrics,
                "operations",
                scope=SCOPE if self._authorize else "",
                text_type=exposition.MEDIA_TYPE,
            ),
        ]

    @property
    def pages(self) -> list[BaseRoute]:
        """Routes that are no part of the API."""
        return [
            Route("/openapi.json", self.openapi),
            Route("/docs", self.docs),
            Route("/docs/{name}", self.docs_asset),
        ]

    async def _require(self, request: Request) -> None:
        if self._authorize is not None:
            await self._authorize(request.scope, SCOPE)


def _prefers_text(accept: str) -> bool:
    """A scraper names its own format before `*/*`."""
    return "text/plain" in accept or "application/openmetrics-text" in accept


def _json(value: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    body = msgspec.json.encode(value)
    return Response(body, status, {"cache-control": "no-store"}, "application/json")
