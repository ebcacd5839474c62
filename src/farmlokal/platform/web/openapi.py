"""The OpenAPI 3.1 document, made of the same values that serve: parameters that parse, structs that encode.

A description that is written beside the code drifts from it. So an `Operation` names the parameters its
route reads and the struct its route answers with, and the document is derived.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.routing import Route

from farmlokal.platform.web import problem
from farmlokal.platform.web.parameters import Parameter


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint: its route and its description.

    `body` is the struct that describes the request's body, where it has one.
    `parameters` stand in the query, `path_parameters` in the path; `answer` is the struct of the 200;
    `refusals` are the statuses it may refuse with, besides those that every endpoint may; `more_headers` are
    the headers of the 200 that others have not; a `limited` one spends the caller's quota.
    """

    path: str
    endpoint: Callable[..., Any]
    operation_id: str
    summary: str
    answer: type[msgspec.Struct]
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
    body: type[msgspec.Struct] | None = None

    @property
    def route(self) -> Route:
        """The route that serves it (a GET's HEAD with it)."""
        return Route(self.path, self.endpoint, methods=[self.method], name=self.operation_id)


ALWAYS = (
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
)
"""What any endpoint may answer, whatever it does."""

_EXPLAINED = {
    HTTPStatus.BAD_REQUEST: "A parameter or member is unknown, repeated, malformed or out of range; `errors`"
    " names each.",
    HTTPStatus.UNAUTHORIZED: "Nobody vouches for the caller; WWW-Authenticate names what would.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time.",
    HTTPStatus.CONFLICT: "The same is being done already; Retry-After says when to try again.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is said to be something other than JSON, or compressed.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Well formed, and impossible; a person has to look.",
    HTTPStatus.NOT_FOUND: "There is no such thing, or there is none any more.",
    HTTPStatus.FORBIDDEN: "The caller may not see this.",
    HTTPStatus.NOT_ACCEPTABLE: "The Accept header excludes JSON, which is all there is.",
    HTTPStatus.TOO_MANY_REQUESTS: "The caller's quota is spent; Retry-After says when to try again.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The request's headers are larger than 16 kB together.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "A bug; `requestId` finds it in the log.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database cannot answer now; Retry-After says when to try again.",
}
_COMPONENTS = "#/components/schemas/{name}"


def document(
    operations: Sequence[Operation],
    version: str,
    tags: Mapping[str, str],
    partial: Sequence[type[msgspec.Struct]] = (),
) -> dict[str, Any]:
    """The OpenAPI document of these operations; of `partial` structs a caller may get some members only."""
    bodies = [operation.body for operation in operations if operation.body is not None]
    answers = [operation.answer for operation in operations]
    structs: list[type[msgspec.Struct]] = list(dict.fromkeys([*answers, *bodies, problem.Problem]))
    schemas, components = msgspec.json.schema_components(structs, ref_template=_COMPONENTS)
    references: dict[type, Any] = dict(zip(structs, schemas, strict=True))
    for struct in partial:
        components[struct.__name__].pop("required", None)
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, references)
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
        "components": {"schemas": components},
    }


def _operation(operation: Operation, references: Mapping[type, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": references[operation.answer]}
    if operation.example is not None:
        content["example"] = operation.example
    responses: dict[str, Any] = {
        "200": {
            "description": operation.summary,
            "content": {"application/json": content},
            "headers": {
                **_HEADERS,
                **operation.more_headers,
                **(_QUOTA_HEADERS if operation.limited else {}),
            },
        }
    }
    if operation.conditional:
        responses["304"] = {"description": "What the caller holds by If-None-Match is current."}
    for status, explained in operation.more_statuses.items():
        responses[str(status.value)] = {
            "description": explained,
            "content": {"application/json": {"schema": references[operation.answer]}},
        }
    limited = [HTTPStatus.TOO_MANY_REQUESTS] if operation.limited else []
    for status in sorted({*operation.refusals, *limited, *ALWAYS}):
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
        ],
        "responses": responses,
    }
    if operation.body is not None:
        schema = references[operation.body]
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if operation.description:
        described["description"] = operation.description
    return described


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
