"""The OpenAPI 3.1 document, made of the same values that serve: parameters that parse, structs that encode.

A description that is written beside the code drifts from it. So an `Operation` names the parameters its
route reads and the struct its route answers with, and the document is derived.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from farmlokal.platform.web import problem
from farmlokal.platform.web.parameters import Parameter


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint: its route and its description.

    `parameters` stand in the query, `path_parameters` in the path; `answer` is the struct of the `status`,
    None for no body; `refusals` are the statuses it may refuse with, besides those that every endpoint may;
    `more_headers` are the headers of the 200 that others have not; a `limited` one spends the caller's quota.
    `text_type` is the media type of a form that is plain text. A `body` says what is to be sent; `scope` is
    what a bearer token needs; one with `client_authentication` takes the credentials of a client instead.
    """

    path: str
    endpoint: Callable[..., Any]
    operation_id: str
    summary: str
    answer: type[msgspec.Struct] | None
    tag: str
    description: str = ""
    parameters: Sequence[Parameter] = ()
    path_parameters: Sequence[Parameter] = ()
    example: Any = None
    refusals: Sequence[HTTPStatus] = ()
    conditional: bool = False
    more_headers: Mapping[str, Any] = field(default_factory=dict)
    more_statuses: Mapping[HTTPStatus, str] = field(default_factory=dict)
    limited: bool = True
    method: str = "GET"
    status: HTTPStatus = HTTPStatus.OK
    media_type: str = "application/json"
    text_type: str = ""
    body: "Body | None" = None
    headers: Sequence[Mapping[str, Any]] = ()
    scope: str = ""
    client_authentication: bool = False
    refused_as: type[msgspec.Struct] = problem.Problem


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carries: its media type, its schema or the struct that has one, and an example that
    works."""

    media_type: str
    schema: Mapping[str, Any] | type[msgspec.Struct]
    example: Any


def routes(operations: Sequence[Operation]) -> list[Route]:
    """One route a path, whatever methods it takes, so that 405 lists all of them (HEAD goes with GET)."""
    paths: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = operation
    return [_route(path, by_method) for path, by_method in paths.items()]


def _route(path: str, by_method: Mapping[str, Operation]) -> Route:
    name = path if len(by_method) > 1 else next(iter(by_method.values())).operation_id
    return Route(path, _Endpoint(by_method), methods=[*by_method], name=name)


class _Endpoint:
    """What answers a path. An application and not a function, which the framework would wrap three times to
    look for handlers of errors, of which there are none: the gate has them."""

    def __init__(self, by_method: Mapping[str, Operation]) -> None:
        self._by_method = {method: operation.endpoint for method, operation in by_method.items()}
        if "GET" in self._by_method:
            self._by_method["HEAD"] = self._by_method["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._by_method[scope["method"]](Request(scope, receive, send))
        await answer(scope, receive, send)


ALWAYS = (
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
)
"""What any endpoint may answer, whatever it does."""

_EXPLAINED = {
    HTTPStatus.BAD_REQUEST: "A parameter is unknown, repeated or out of range; `errors` names each.",
    HTTPStatus.UNAUTHORIZED: "Nobody vouches for the caller; WWW-Authenticate says how one may.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time.",
    HTTPStatus.CONFLICT: "Another change came first, or is under way; read again, then try again.",
    HTTPStatus.PRECONDITION_FAILED: "The caller's copy, named by If-Match, is not the current one.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than this takes.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is of another type than this takes.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Well formed, and impossible; a person has to look.",
    HTTPStatus.NOT_FOUND: "There is no such thing, or there is none any more.",
    HTTPStatus.FORBIDDEN: "The caller may not see this.",
    HTTPStatus.NOT_ACCEPTABLE: "The Accept header excludes JSON, which is all there is.",
    HTTPStatus.TOO_MANY_REQUESTS: "The caller's quota is spent; Retry-After says when to try again.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The request's headers are larger than 16 kB together.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "A bug; `requestId` finds it in the log.",
    HTTPStatus.SERVICE_UNAVAILABLE: "What this needs cannot answer now; Retry-After says when to try again.",
}
_COMPONENTS = "#/components/schemas/{name}"


def document(
    operations: Sequence[Operation],
    version: str,
    tags: Mapping[str, str],
    partial: Sequence[type[msgspec.Struct]] = (),
    scopes: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """The OpenAPI document of these operations; of `partial` structs a caller may get some members only;
    `scopes` are those that tokens may have."""
    named = [struct for each in operations for struct in (each.answer, each.refused_as) if struct is not None]
    bodies = [operation.body.schema for operation in operations if operation.body is not None]
    named += [body for body in bodies if isinstance(body, type)]
    structs: list[type[msgspec.Struct]] = list(dict.fromkeys([*named, problem.Problem]))
    schemas, components = msgspec.json.schema_components(structs, ref_template=_COMPONENTS)
    references: dict[type, Any] = dict(zip(structs, schemas, strict=True))
    for struct in partial:
        components[struct.__name__].pop("required", None)
    paths: dict[str, Any] = {}
    for operation in operations:
        path = operation.path.replace(":path}", "}")  # a route's own word for a value with slashes in it
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "FarmLokal",
            "version": version,
            "summary": "A marketplace of produce from farmers near you.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": description} for name, description in tags.items()],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _security_schemes(scopes)},
    }


def _security_schemes(scopes: Mapping[str, str]) -> dict[str, Any]:
    flow = {"tokenUrl": "/oauth/token", "scopes": dict(scopes)}
    return {
        "token": {"type": "oauth2", "flows": {"clientCredentials": flow}},
        "client": {"type": "http", "scheme": "basic"},
    }


def _operation(operation: Operation, references: Mapping[type, Any]) -> dict[str, Any]:
    responses = {str(operation.status.value): _success(operation, references)}
    if operation.conditional:
        responses["304"] = {"description": "What the caller holds by If-None-Match is current."}
    for status, explained in operation.more_statuses.items():
        struct = operation.answer if operation.refused_as is problem.Problem else operation.refused_as
        responses[str(status.value)] = {
            "description": explained,
            "content": {"application/json": {"schema": references[struct]}} if struct else {},
        }
    limited = [HTTPStatus.TOO_MANY_REQUESTS] if operation.limited else []
    private = [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN] if operation.scope else []
    for status in sorted({*operation.refusals, *limited, *private, *ALWAYS}):
        responses[str(status.value)] = {
            "description": _EXPLAINED[status],
            "content": {problem.MEDIA_TYPE: {"schema": references[problem.Problem]}},
        }
    described = {
        "operationId": operation.operation_id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [
            *(_parameter(parameter, "path") for parameter in operation.path_parameters),
            *(_parameter(parameter, "query") for parameter in operation.parameters),
            *([_IF_NONE_MATCH] if operation.conditional else []),
            *operation.headers,
        ],
        "responses": responses,
    }
    if operation.scope:
        described["security"] = [{"token": [operation.scope]}]
    if operation.client_authentication:
        described["security"] = [{"client": []}]
    if operation.body is not None:
        body = operation.body.schema
        schema = references[body] if isinstance(body, type) else body
        content = {"schema": schema, "example": operation.body.example}
        described["requestBody"] = {"required": True, "content": {operation.body.media_type: content}}
    if operation.description:
        described["description"] = operation.description
    return described


def _success(operation: Operation, references: Mapping[type, Any]) -> dict[str, Any]:
    headers = {**_HEADERS, **operation.more_headers, **(_QUOTA_HEADERS if operation.limited else {})}
    answered: dict[str, Any] = {"description": operation.summary, "headers": headers}
    if operation.answer is not None:
        content: dict[str, Any] = {"schema": references[operation.answer]}
        if operation.example is not None:
            content["example"] = operation.example
        answered["content"] = {operation.media_type: content}
        if operation.text_type:
            answered["content"][operation.text_type] = {"schema": {"type": "string"}}
    return answered


def _parameter(parameter: Parameter, place: str) -> dict[str, Any]:
    schema: dict[str, Any] = dict(parameter.kind.schema)
    if parameter.default is not None:
        schema["default"] = parameter.default
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": place,
        "required": place == "path",
        "description": f"{parameter.description} Accepted: {parameter.kind.accepted}.",
    }
    if parameter.repeatable:
        schema = {"type": "array", "items": schema}
        described |= {"style": "form", "explode": True}
    described["schema"] = schema
    if parameter.example is not None:
        described["example"] = [parameter.example] if parameter.repeatable else parameter.example
    return described


_HEADERS = {
    "X-Request-ID": {
        "description": "The id under which the log knows the request.",
        "schema": {"type": "string"},
    }
}
_QUOTA_HEADERS = {
    "RateLimit-Policy": {
        "description": "The caller's quota: `q` units in `w` seconds. Absent where no limit is set.",
        "schema": {"type": "string", "examples": ['"default";q=600;w=60']},
    },
    "RateLimit": {
        "description": "What is left of it: `r` units now, and more in `t` seconds.",
        "schema": {"type": "string", "examples": ['"default";r=50;t=1']},
    },
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of the copy that the caller holds.",
    "schema": {"type": "string"},
}
