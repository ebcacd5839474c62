"""Traces as OpenTelemetry has them: where the time of a request went, here and at those whom we asked.

Off unless an operator says where they go: then no request passes through anything here, nothing of
OpenTelemetry is imported, and whoever would tell of its work looks into one context variable. What is traced
goes along in that variable, into every task that a request begins, so that nobody has to be handed it. Work
that outlives its request (a watch, a refresh that others wait for) is not told once that is answered: it is
nobody's any more.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextvars import ContextVar
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from structlog.contextvars import bound_contextvars

from farmlokal.errors import Unavailable

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

CLOSE_S = 3.0
"""Longest that the last spans may take to be sent when the server ends: a collector that is away must not
hold up a drain."""

PATH_CHARACTERS = 512
"""Most that is told of a path, which is the caller's."""

METHODS = frozenset(("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"))

App = Callable[[Any, Any, Any], Awaitable[None]]
Attributes = Mapping[str, str | int]

_REQUEST: ContextVar["_Request | None"] = ContextVar("farmlokal.traced_request", default=None)


class Span:
    """Work that is under way, for the length of a `with`. Of this one nobody hears."""

    headers: Mapping[str, str] = MappingProxyType({})
    """What tells another server whose work it does (W3C Trace Context)."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def note(self, name: str, value: str | int) -> None:
        """Tell one thing more of it."""


_UNTOLD = Span()


def span(name: str, attributes: Attributes) -> Span:
    """Something that is asked of another server, told as part of the request that is under way, if that is
    traced. Names are OpenTelemetry's (semantic conventions); a value may hold no secret."""
    request = _REQUEST.get()
    return _UNTOLD if request is None or request.answered else _ClientSpan(request.tracer, name, attributes)


class Traces:
    """Sends what is traced to `endpoint`, the base of a collector that speaks OTLP over HTTP, in a thread of
    its own, at most 2,048 spans behind. The rest is OpenTelemetry's own settings (``OTEL_…``)."""

    def __init__(self, endpoint: str, version: str) -> None:
        self._endpoint = endpoint.rstrip("/") + "/v1/traces"
        self._version = version
        self._provider: TracerProvider | None = None
        self._tracer: trace.Tracer | None = None

    async def open(self) -> None:
        """Make ready; a collector that is away is no error. Raises `Unavailable` without the extra."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import OTELResourceDetector, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise Unavailable("FARMLOKAL_OTLP_ENDPOINT needs the extra `traces`: farmlokal[traces]") from None
        ours = Resource({"service.name": "farmlokal", "service.version": self._version})
        resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(self._endpoint)))
        self._tracer = self._provider.get_tracer("farmlokal", self._version)

    async def close(self) -> None:
        """Send what is left, for `CLOSE_S` at most."""
        if self._provider is None:
            return
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def end(provider: "TracerProvider" = self._provider) -> None:
            provider.shutdown()
            loop.call_soon_threadsafe(ended.set)

        # A daemon, since it may go on for as long as the exporter's own limit, and the process does not wait.
        threading.Thread(target=end, name="traces-end", daemon=True).start()
        try:
            async with asyncio.timeout(CLOSE_S):
                await ended.wait()
        except TimeoutError:
            pass

    def around(self, app: App) -> App:
        """The same ASGI application with each request a span."""

        async def traced(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http" and self._tracer is not None:
                await _traced(self._tracer, app, scope, receive, send)
            else:
                await app(scope, receive, send)

        return traced


class _Request:
    """The request to which the spans of a context belong."""

    __slots__ = ("answered", "tracer")

    def __init__(self, tracer: "trace.Tracer") -> None:
        self.tracer = tracer
        self.answered = False


class _ClientSpan(Span):
    def __init__(self, tracer: "trace.Tracer", name: str, attributes: Attributes) -> None:
        from opentelemetry.trace import SpanKind

        self._work: AbstractContextManager[trace.Span] = tracer.start_as_current_span(
            name,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,  # its text may be another server's
            set_status_on_exception=False,
        )

    @property
    def headers(self) -> Mapping[str, str]:  # type: ignore[override]
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        return carrier

    def __enter__(self) -> Self:
        self._span = self._work.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            from opentelemetry.trace import StatusCode

            self._span.set_attribute("error.type", kind.__name__)
            self._span.set_status(StatusCode.ERROR)
        self._work.__exit__(None, None, None)

    def note(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)


async def _traced(tracer: "trace.Tracer", app: App, scope: Any, receive: Any, send: Any) -> None:
    from opentelemetry.trace import SpanKind, format_span_id, format_trace_id
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    status = 0

    async def told(message: MutableMapping[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    method = scope["method"] if scope["method"] in METHODS else "_OTHER"
    with tracer.start_as_current_span(
        method,
        context=TraceContextTextMapPropagator().extract(_carrier(scope["headers"])),
        kind=SpanKind.SERVER,
        attributes={"http.request.method": method, "url.path": scope["path"][:PATH_CHARACTERS]},
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        of, request = current.get_span_context(), _Request(tracer)
        token = _REQUEST.set(request)
        try:
            with bound_contextvars(trace_id=format_trace_id(of.trace_id), span_id=format_span_id(of.span_id)):
                await app(scope, receive, told)
        finally:
            request.answered = True
            _REQUEST.reset(token)
            _name(current, scope, method, status)


def _carrier(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Whose work it is; of several parents none (W3C Trace Context, 3.2)."""
    found: dict[str, list[str]] = {"traceparent": [], "tracestate": []}
    for name, value in headers:
        if name in (b"traceparent", b"tracestate"):
            found[name.decode()].append(value.decode("latin-1"))
    if len(found["traceparent"]) != 1:
        return {}
    return {name: ",".join(values) for name, values in found.items() if values}


def _name(current: "trace.Span", scope: Any, method: str, status: int) -> None:
    """What is only known at the end: the template of the path, and what was answered."""
    from opentelemetry.trace import StatusCode

    route = getattr(scope.get("route"), "path", None)
    if route is None and method == "GET" and status in (200, 304):
        route = scope["path"]  # answered by the fast lane, whose few paths are templates themselves
    if route is not None:
        current.update_name(f"{method} {route}")
        current.set_attribute("http.route", route)
    if status:
        current.set_attribute("http.response.status_code", status)
    if status >= 500:
        current.set_status(StatusCode.ERROR)
