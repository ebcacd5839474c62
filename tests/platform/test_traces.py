"""Traces, as a collector gets them: whose work a request is, and what of it was done elsewhere."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.faults.processes import wait_until
from tests.house.files import ROOT
from tests.support.asgi import furnish
from tests.support.catalogue import Shelf
from tests.support.provider import simulated
from tests.support.server import Caller, free_port, serving
from tests.support.servers.valkey import Valkey

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
AT_ONCE = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
END_S = 10.0
"""Longest that a server without requests may take to end; its own limit for the collector is 3 s."""


class Told(NamedTuple):
    """A span, as it came: ids in hexadecimal, attributes by name."""

    name: str
    kind: int
    trace: str
    id: str
    parent: str
    attributes: dict[str, str]
    failed: bool


class Outside:
    """A server of the outside world: what it was asked, as (path, headers, body). It answers `answer`."""

    def __init__(self, answer: bytes) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        outside = self

        class Answers(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                outside.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_GET  # noqa: N815  the library's names

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def outside(answer: bytes = b"") -> Iterator[Outside]:
    """Such a server for the length of a block."""
    made = Outside(answer)
    thread = threading.Thread(target=made.server.serve_forever, name="outside")
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()


def spans(collector: Outside) -> list[Told]:
    """All that it was sent so far."""
    found = []
    for path, headers, body in list(collector.asked):
        assert (path, headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            known = {each.key: each.value.string_value for each in resource.resource.attributes}
            assert known["service.name"] == "farmlokal"
            found += [_told(each) for scope in resource.scope_spans for each in scope.spans]
    return found


def _told(span: Span) -> Told:
    attributes: dict[str, str] = {
        each.key: each.value.string_value or str(each.value.int_value) for each in span.attributes
    }
    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
    return Told(span.name, span.kind, *ids, attributes, span.status.code == span.status.STATUS_CODE_ERROR)


def of_request(collector: Outside, path: str) -> list[Told]:
    """The span of the one request for a path, once it is there, and those below it, in their order."""

    def roots() -> list[Told]:
        return [each for each in spans(collector) if each.attributes.get("url.path") == path]

    wait_until(lambda: bool(roots()), f"the span of {path}")
    [root] = roots()
    return [root, *(each for each in spans(collector) if each.parent == root.id)]


@contextmanager
def traced(database: Path, log: Path, collector: str, more: dict[str, str] | None = None) -> Iterator[Caller]:
    """A connection to a server that tells the collector at this URL."""
    settings = {"FARMLOKAL_OTLP_ENDPOINT": collector, **AT_ONCE, **(more or {})}
    with serving(database, log, settings) as server, server.caller() as caller:
        yield caller


def test_a_request_goes_on_with_its_callers_trace(shelf: Shelf, database_path: Path, tmp_path: Path) -> None:
    """The caller's trace goes on here and is passed on to the supplier; what was asked of the database, of
    Redis and of the supplier is told below the request, and the request's line in the log names the trace. No
    span has a secret."""
    furnish(shelf)
    page = msgspec.json.encode({"products": [], "total": 0, "skip": 0, "limit": 10})
    logged = {"FARMLOKAL_LOG_LEVEL": "debug", "FARMLOKAL_LOG_FORMAT": "json"}
    with outside() as collector, outside(page) as supplier, simulated() as provider, Valkey() as valkey:
        settings = provider.settings | {"FARMLOKAL_REDIS_URL": valkey.url, **logged}
        settings["FARMLOKAL_SUPPLIER_URL"] = f"{supplier.url}/products?key=of-the-supplier"
        with traced(database_path, tmp_path / "log", collector.url, settings) as caller:
            headers = {"traceparent": TRACEPARENT, "tracestate": "shop=1", "x-request-id": "mine"}
            assert caller.ask("/external/products?limit=10", headers).status == 200
            assert caller.ask("/api/products/7", headers).status == 200
            assert caller.ask("/api/products?limit=3", headers).status == 200
            root, *below = of_request(collector, "/external/products")
            detail, *reads = of_request(collector, "/api/products/7")
            _, *listed = of_request(collector, "/api/products")
    assert (root.name, root.kind) == ("GET /external/products", Span.SPAN_KIND_SERVER)
    assert (root.trace, root.parent) == (TRACE, PARENT)
    assert root.attributes["http.response.status_code"] == "200"
    [(path, asked, _)] = supplier.asked
    [call] = [each for each in below if f"-{each.id}-" in asked["traceparent"]]
    assert (call.name, call.kind, call.trace) == ("GET", Span.SPAN_KIND_CLIENT, TRACE)
    assert call.attributes["server.address"] == "127.0.0.1"
    assert (asked["traceparent"], asked["tracestate"]) == (f"00-{TRACE}-{call.id}-01", "shop=1")
    assert (detail.name, detail.attributes["http.route"]) == ("GET /api/products/{id}", "/api/products/{id}")
    assert [each.attributes["db.system.name"] for each in reads] == ["sqlite"] * len(reads) != []
    assert "redis" in {each.attributes["db.system.name"] for each in listed}
    lines = [msgspec.json.decode(line) for line in (tmp_path / "log").read_text().splitlines() if "{" in line]
    [line] = [each for each in lines if each.get("path") == "/external/products"]
    assert (line["trace_id"], line["span_id"], line["request_id"]) == (TRACE, root.id, "mine")
    sent = b"".join(body for _, _, body in collector.asked)
    token = asked["authorization"].removeprefix("Bearer ")
    assert "of-the-supplier" in path
    for secret in ("of-the-supplier", token, provider.settings["FARMLOKAL_UPSTREAM_CLIENT_SECRET"]):
        assert secret.encode() not in sent


NO_PARENTS = (
    "",
    "00-zz-00f067aa0ba902b7-01",
    f"00-{'0' * 32}-{PARENT}-01",
    f"ff-{TRACE}-{PARENT}-01",
    "x" * 900,
)


def test_a_caller_who_names_no_trace_gets_a_new_one(database_path: Path, tmp_path: Path) -> None:
    """Without a parent, or with one that is none, a trace begins here; what fails is told as failed."""
    nobody = {"FARMLOKAL_SUPPLIER_URL": f"http://127.0.0.1:{free_port()}/"}
    with outside() as collector, traced(database_path, tmp_path / "log", collector.url, nobody) as caller:
        for number, given in enumerate(NO_PARENTS):
            asked = f"/external/products?skip={number}"
            assert caller.ask(asked, {"traceparent": given} if given else {}).status == 503

        def roots() -> list[Told]:
            return [each for each in spans(collector) if each.name == "GET /external/products"]

        wait_until(lambda: len(roots()) == len(NO_PARENTS), "all are told")
        assert len({each.trace for each in roots()} - {TRACE, "0" * 32}) == len(NO_PARENTS)
        assert {(each.parent, each.failed) for each in roots()} == {("", True)}
        calls = [
            each for each in spans(collector) if each.kind == Span.SPAN_KIND_CLIENT and each.name == "GET"
        ]
        assert {each.attributes["error.type"] for each in calls} == {"ConnectError"}


def test_an_answer_given_again_is_told_under_its_route(
    shelf: Shelf, database_path: Path, tmp_path: Path
) -> None:
    """Whatever way an answer took, its span has the template of its path; a path that is none of ours has no
    route, and a method of somebody's making no name."""
    furnish(shelf)
    with outside() as collector, traced(database_path, tmp_path / "log", collector.url) as caller:
        for _ in range(3):
            assert caller.ask("/api/products").status == 200
        caller.ask("/nothing/7", method="BREW")

        def told() -> list[str]:
            return sorted(
                each.name for each in spans(collector) if each.parent == "" and "ready" not in each.name
            )

        wait_until(lambda: told() == ["GET /api/products"] * 3 + ["_OTHER"], "all are told")


def test_a_collector_that_is_away_holds_up_nobody(database_path: Path, tmp_path: Path) -> None:
    """While nobody listens there callers are answered as ever, and the server ends in time."""
    settings = {"FARMLOKAL_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", **AT_ONCE}
    with serving(database_path, tmp_path / "log", settings) as server:
        with server.caller() as caller:
            assert [caller.ask("/api/categories").status for _ in range(50)] == [200] * 50
        assert server.process.terminate(END_S) == 0


_ASKED_ONCE = """
import asyncio, sys
if sys.argv[3]:
    sys.modules[sys.argv[3]] = None
from tests.support.asgi import application, calling
async def go():
    async with calling(application(sys.argv[1], {"FARMLOKAL_OTLP_ENDPOINT": sys.argv[2]})) as caller:
        assert (await caller.get("/api/products")).status_code == 200
asyncio.run(go())
print(sorted(name for name in sys.modules if name.split(".")[0] == "opentelemetry"))
"""


def _asked_once(database: Path, endpoint: str, without: str = "") -> "subprocess.CompletedProcess[str]":
    """One request in a process of its own, in which a package may be missing; it prints what it imported."""
    command = [sys.executable, "-c", _ASKED_ONCE, f"sqlite:///{database}", endpoint, without]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_off_imports_nothing(database_path: Path) -> None:
    """Without an endpoint nothing of OpenTelemetry is even imported."""
    assert _asked_once(database_path, "").stdout == "[]\n"
    assert "opentelemetry.sdk" in _asked_once(database_path, "http://127.0.0.1:1").stdout


def test_it_needs_its_extra(database_path: Path) -> None:
    """With an endpoint and without the extra the server does not start, and says what is missing."""
    done = _asked_once(database_path, "http://127.0.0.1:1", without="opentelemetry.sdk")
    assert done.returncode
    assert "farmlokal[traces]" in done.stderr
