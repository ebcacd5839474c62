"""The OpenAPI document: valid, true of every answer, and its examples work."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import httpx2
import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok
from starlette.types import ASGIApp, Receive, Scope, Send

from farmlokal.platform.database.port import READ_QUEUE_LIMIT
from tests.support.asgi import application, calling, furnish
from tests.support.catalogue import Shelf, connect, new_database, run
from tests.support.oauth import bearer, register, token_of
from tests.support.orders import event, record
from tests.support.provider import simulated

JUSTIFIED = {
    # A bug of ours, by definition; `tests/platform/web/test_gate.py` makes one.
    ("*", "500"),
    # The database away; `tests/platform/web/test_gate.py` shows readiness without it.
    ("/readyz", "503"),
    ("/.well-known/jwks.json", "503"),
}
"""Statuses that are documented and that no request to a healthy application brings about."""


SCOPES = ("orders:read", "orders:repair")
PRIVATE = ("/api/orders", "/api/webhooks")
"""Paths that need a token with one of these scopes."""


class Documented(NamedTuple):
    """The application over a small catalogue, and its own description."""

    app: ASGIApp
    document: dict[str, Any]
    database: Path
    token: str
    other_token: str


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Documented]:
    """One for this module: nothing here writes. A provider of upstream tokens is beside it, and who says
    nothing else comes with a token."""
    path = new_database(tmp_path_factory.mktemp("openapi"))
    connection = connect(path)
    furnish(Shelf(connection))
    connection.close()
    record(f"sqlite:///{path}", [event("e", "2", status="packed")])
    with simulated() as provider:
        app = application(path, provider.settings)

        async def go() -> Any:
            known = [await register(f"sqlite:///{path}", scopes) for scopes in (SCOPES, ("ops:read",))]
            async with calling(app) as caller:
                tokens = [await token_of(caller, each) for each in known]
                return (await caller.get("/openapi.json")).json(), *tokens

        document, token, other_token = run(go())
        yield Documented(with_token(app, token), document, path, token, other_token)


def with_token(app: ASGIApp, token: str) -> ASGIApp:
    """The application, for callers who come with this token to where one is needed."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        given = [name for name, _ in scope.get("headers", ())]
        if b"authorization" not in given and scope.get("path", "").startswith(PRIVATE):
            bears = (b"authorization", f"Bearer {token}".encode())
            scope = {**scope, "headers": [*scope["headers"], bears]}
        await app(scope, receive, send)

    return call


def ask(app: ASGIApp, *requests: tuple[str, dict[str, str]]) -> list[httpx2.Response]:
    """The answers to (path, headers), one after another."""

    async def go() -> list[httpx2.Response]:
        async with calling(app) as caller:
            return [await caller.get(path, headers=headers) for path, headers in requests]

    return run(go())


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, operation) of every operation that reads."""
    for path, item in document["paths"].items():
        if "get" in item:
            yield path, item["get"]


def schema_of(document: dict[str, Any], path: str, answer: httpx2.Response) -> dict[str, Any] | None:
    """The schema that the document gives for this answer; None for one without a body."""
    described = document["paths"][path]["get"]["responses"][str(answer.status_code)]
    media = answer.headers.get("content-type")
    if media is None:
        assert "content" not in described
        return None
    schema: dict[str, Any] = described["content"][media]["schema"]
    return {**schema, "components": document["components"]}


def validate(document: dict[str, Any], path: str, answer: httpx2.Response) -> None:
    """The answer is as the document says: its status, its media type, its body."""
    schema = schema_of(document, path, answer)
    if schema is not None:
        jsonschema_rs.validator_for(schema, validate_formats=True).validate(
            answer.text if answer.headers["content-type"].startswith("text/") else answer.json()
        )


def concrete(path: str) -> str:
    """A path whose parameters name things that exist."""
    return path.replace("{id}", "2")


def test_document_is_valid(documented: Documented) -> None:
    """The document is valid OpenAPI 3.1, and every operation has an id of its own and a summary."""
    OpenAPIV31SpecValidator(documented.document).validate()
    found = [operation for item in documented.document["paths"].values() for operation in item.values()]
    assert len({operation["operationId"] for operation in found}) == len(found) >= 9
    assert all(operation["summary"] for operation in found)


def test_every_parameter_has_an_example_that_works(documented: Documented) -> None:
    """Every query parameter's example is accepted, together with whatever its sort needs, and finds
    something where it is a filter."""
    asked = []
    for path, operation in operations(documented.document):
        for parameter in operation["parameters"]:
            if parameter["in"] != "query" or parameter["name"] == "cursor":
                continue
            example = parameter["example"]
            query = [
                (parameter["name"], value) for value in (example if isinstance(example, list) else [example])
            ]
            if parameter["name"] == "radiusKm":
                query.append(("pincode", "680001"))
            asked.append((path, f"{concrete(path)}?{urlencode(query)}"))
    assert len(asked) > 40
    for (path, target), answer in zip(
        asked, ask(documented.app, *((target, {}) for _, target in asked)), strict=True
    ):
        assert answer.status_code == 200, (target, answer.text)
        validate(documented.document, path, answer)
        if path == "/api/products":
            assert answer.json()["data"], target


def test_every_sort_and_choice_works(documented: Documented) -> None:
    """Every value that the document lists for a parameter is accepted."""
    needs = {"distance": "&near=10.5,76.2", "relevance": "&search=tomato"}
    asked = [
        (path, f"{concrete(path)}?{parameter['name']}={choice}{needs.get(str(choice).removeprefix('-'), '')}")
        for path, operation in operations(documented.document)
        for parameter in operation["parameters"]
        for choice in parameter["schema"].get("enum", [])
    ]
    for (path, target), answer in zip(
        asked, ask(documented.app, *((target, {}) for _, target in asked)), strict=True
    ):
        assert answer.status_code == 200, (target, answer.text)
        validate(documented.document, path, answer)


def test_parameter_schemas_admit_their_examples(documented: Documented) -> None:
    """Each parameter's example and default satisfy its own schema."""
    for _, operation in operations(documented.document):
        for parameter in operation["parameters"]:
            check = jsonschema_rs.validator_for(parameter["schema"], validate_formats=True)
            for name in ("example", "default"):
                value = parameter.get(name, parameter["schema"].get(name))
                texts = {"true": True, "false": False}
                if value is not None:
                    check.validate(
                        texts.get(str(value), value)
                        if parameter["schema"].get("type") == "boolean"
                        else value
                    )


def requests_for(path: str, conditional: bool) -> list[tuple[str, dict[str, str]]]:
    """Requests that together should bring about every documented status of a path."""
    here = concrete(path)
    found = [(here, {}), (here, {"accept": "text/html"}), (here, {"x-large": "a" * 20_000})]
    found += [
        (here + "?nonsense=1", {}),
        (path.replace("{id}", "999999"), {}),
        (path.replace("{id}", "x"), {}),
    ]
    if here == "/auth/token":
        found.append((here, {"host": "shop.example"}))
    return found + ([(here, {"if-none-match": "*"})] if conditional else [])


def test_every_documented_status_is_reached(documented: Documented) -> None:
    """Every status that the document lists for an operation is one that some request gets, and every
    status that requests get is listed. What needs a token is asked in tests/suppliers/test_openapi.py."""
    for path, operation in operations(documented.document):
        if "security" in operation:
            continue
        asked = requests_for(path, "304" in operation["responses"])
        if path.startswith(PRIVATE):
            asked += [(concrete(path), bearer(token)) for token in ("x", documented.other_token)]
        answers = ask(documented.app, *asked)
        if "429" in operation["responses"]:
            app = with_token(limited(documented.database), documented.token)
            answers += ask(app, (here := concrete(path), {}), (here, {}))
        if "503" in operation["responses"]:
            # Facets that nobody asks for cost the database nothing. Of a token the provider is away, there.
            last = concrete(path) + ("?facets=state" if "facets" in path else "")
            app = with_token(application(documented.database), documented.token)
            answers.append(busy(app, last))
        for answer in answers:
            assert str(answer.status_code) in operation["responses"], (path, answer.status_code)
            validate(documented.document, path, answer)
        reached = {str(answer.status_code) for answer in answers}
        missing = set(operation["responses"]) - reached
        assert {status for status in missing if not {(path, status), ("*", status)} & JUSTIFIED} == set(), (
            path
        )


def limited(path: Path) -> ASGIApp:
    """The application over the same database, with one request a day for each caller."""
    return application(path, {"FARMLOKAL_RATE_LIMIT": "1/86400s;burst=1"})


def busy(app: ASGIApp, path: str) -> httpx2.Response:
    """The answer of an application that has just started, to one who comes after more callers than the
    database takes. They ask for what is not cached."""

    async def go() -> httpx2.Response:
        async with calling(app) as caller:
            crowd = [caller.get("/api/products/2") for _ in range(READ_QUEUE_LIMIT + 50)]
            return (await asyncio.gather(*crowd, caller.get(path)))[-1]

    return run(go())


@pytest.mark.parametrize(
    "query",
    [
        "",
        "limit=1",
        "sort=-price&count=exact&facets=category,state,district,organic",
        "fields=id,price&lang=ml",
        "updatedSince=2020-01-01T00:00:00Z&limit=100",
        "near=10.5,76.2&sort=distance&limit=100",
        "pincode=680001&radiusKm=30",
        f"search={quote('टमाटर')}&sort=relevance&lang=hi",
        "sort=nothing&limit=0",
        "ids=999",
    ],
)
def test_listing_answers_as_described(documented: Documented, query: str) -> None:
    """Each page of a listing is as its schema says, to the last member, and holds no other member."""
    path = "/api/products"
    product = documented.document["components"]["schemas"]["Product"]["properties"]
    cursor = ""
    for _ in range(5):
        [answer] = ask(documented.app, (f"{path}?{query}{cursor}", {}))
        validate(documented.document, path, answer)
        page = answer.json()
        for row in page.get("data", []):
            assert set(row) <= set(product)
        if not page.get("nextCursor"):
            break
        cursor = f"&cursor={page['nextCursor']}"


@pytest.mark.parametrize("path", ["/api/products/{id}", "/api/products/{id}/prices", "/api/sellers/{id}"])
def test_every_row_answers_as_described(documented: Documented, path: str) -> None:
    """Every product, history and seller is as its schema says, and so is the refusal of one that is not
    there or not any more."""
    ids = [str(number) for number in range(1, 62)]
    answers = ask(documented.app, *((path.replace("{id}", number), {}) for number in ids))
    assert {answer.status_code for answer in answers} == {200, 404}
    for answer in answers:
        validate(documented.document, path, answer)


LISTED = (
    "not_a_server_error",
    "status_code_conformance",
    "response_schema_conformance",
    "content_type_conformance",
)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_generated_requests_find_no_difference(documented: Documented, mode: GenerationMode) -> None:
    """Requests generated from the document, right and wrong ones, never fail the server and always get an
    answer that the document describes."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", documented.app)
    checks: Any = CHECKS.get_by_names(list(LISTED))
    tried: list[str] = []
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        if operation.path == "/api/products:bulk":
            continue  # NDJSON, which it cannot write; tests/contracts/test_editing.py can

        @given(case=operation.as_strategy(mode))
        @settings(
            max_examples=25,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def call(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(checks=checks)
            tried.append(case.operation.label)

        with suppress(Unsatisfiable):  # an operation without parameters cannot be asked wrongly
            call()
    assert len(tried) > 100
