"""Refusals as problem documents (RFC 9457): the one place that knows which refusal is which status.

Next to the standard members stands `error`, the one word that callers of the first system read, and
`requestId`, under which the log knows the request.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec
from msgspec import UNSET, Struct, UnsetType

from farmlokal import errors

STATUS: dict[type[errors.DomainError], HTTPStatus] = {
    errors.Invalid: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    errors.Unprocessable: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

MEDIA_TYPE = "application/problem+json"

QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
"""Type of every 429 (draft-ietf-httpapi-ratelimit-headers-10); the other refusals are their status."""


class ParameterFault(Struct, frozen=True):
    """One wrong parameter: which, a code for programs, and what would have been accepted."""

    parameter: str
    code: str
    accepted: str


class Problem(Struct, frozen=True, rename="camel", kw_only=True):
    """Why a request was refused."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    error: str
    errors: list[ParameterFault] | UnsetType = UNSET
    violated_policies: list[str] | UnsetType = msgspec.field(name="violated-policies", default=UNSET)


def body(
    status: HTTPStatus,
    detail: str,
    path: str,
    request_id: str,
    faults: Sequence[errors.Fault] = (),
    violated_policies: Sequence[str] = (),
) -> bytes:
    """The document for a status. `path` is the caller's own; the document says nothing of ours."""
    too_many = status == HTTPStatus.TOO_MANY_REQUESTS
    return msgspec.json.encode(
        Problem(
            type=QUOTA_EXCEEDED if too_many else "about:blank",
            title=status.phrase,
            status=status,
            detail=detail,
            instance=path[:200],
            request_id=request_id,
            error="Too many requests" if too_many else detail,
            errors=[ParameterFault(*_of(fault)) for fault in faults] or UNSET,
            violated_policies=list(violated_policies) or UNSET,
        )
    )


def _of(fault: errors.Fault) -> tuple[str, str, str]:
    return fault.parameter, fault.code, fault.accepted


def of_error(error: errors.DomainError) -> tuple[HTTPStatus, Mapping[str, str]]:
    """The status of a domain error, and the headers that go with it."""
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    if isinstance(error, errors.Unauthenticated):
        if error.challenge != "Bearer":
            return status, {"www-authenticate": error.challenge}
        return status, {"www-authenticate": _challenge(error=error.error)}
    if isinstance(error, errors.Forbidden) and error.scope:
        return status, {"www-authenticate": _challenge(error="insufficient_scope", scope=error.scope)}
    retry_after_s = getattr(error, "retry_after_s", None)
    return status, {} if retry_after_s is None else {"retry-after": str(retry_after_s)}


def _challenge(**parameters: str) -> str:
    """RFC 6750 §3. Whoever sent no token is told no error."""
    given = {"realm": "farmlokal", **parameters}
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in given.items() if value)
