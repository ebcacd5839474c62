"""The authorization server over HTTP. Refusals of `/oauth/` are in the form of RFC 6749 §5.2, nothing of
what a caller sent is in any of them, and nothing is ever stored (§5.1)."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from farmlokal.oauth.authorization_server import AuthorizationServer, Introspection, TokenAnswer
from farmlokal.oauth.client_authentication import FORM_BYTES, OAuthRefusal, form_of, presented
from farmlokal.oauth.clients import KEY_SET_AGE_S
from farmlokal.oauth.models import Principal, RegisteredClient
from farmlokal.oauth.scopes import SCOPES
from farmlokal.platform.web.admission import Admission, Headers
from farmlokal.platform.web.body import read_body
from farmlokal.platform.web.openapi import Body, Operation

METADATA_PATH = "/.well-known/oauth-authorization-server"

_NEVER_STORED = {"cache-control": "no-store", "pragma": "no-cache"}
_PUBLISHED = {"cache-control": f"public, max-age={KEY_SET_AGE_S}"}

Form = Mapping[str, str]
_Answer = Callable[[RegisteredClient, Form], Awaitable[Struct | None]]


class Refusal(Struct, frozen=True):
    """RFC 6749 §5.2."""

    error: str
    error_description: str


class KeySet(Struct, frozen=True):
    """RFC 7517 §5."""

    keys: list[dict[str, Any]]


class Metadata(Struct, frozen=True, kw_only=True):
    """RFC 8414 §2."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    introspection_endpoint: str
    revocation_endpoint: str
    scopes_supported: list[str]
    response_types_supported: list[str]
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    introspection_endpoint_auth_methods_supported: list[str]
    revocation_endpoint_auth_methods_supported: list[str]
    service_documentation: str


class OAuthRoutes:
    """The endpoints. Without an `admission` nobody is limited."""

    def __init__(self, server: AuthorizationServer, admission: Admission | None) -> None:
        self._server = server
        self._admission = admission

    async def token(self, request: Request) -> Response:
        """POST /oauth/token."""
        return await self._answered(request, self._server.token)

    async def introspect(self, request: Request) -> Response:
        """POST /oauth/introspect."""
        return await self._answered(request, self._server.introspect)

    async def revoke(self, request: Request) -> Response:
        """POST /oauth/revoke."""
        return await self._answered(request, self._server.revoke)

    async def key_set(self, _request: Request) -> Response:
        """GET /.well-known/jwks.json."""
        return _json(KeySet(**await self._server.key_set()), _PUBLISHED)

    async def metadata(self, _request: Request) -> Response:
        """GET /.well-known/oauth-authorization-server."""
        base, methods = self._server.issuer, ["client_secret_basic", "client_secret_post"]
        told = Metadata(
            issuer=base,
            token_endpoint=f"{base}/oauth/token",
            jwks_uri=f"{base}/.well-known/jwks.json",
            introspection_endpoint=f"{base}/oauth/introspect",
            revocation_endpoint=f"{base}/oauth/revoke",
            scopes_supported=list(SCOPES),
            response_types_supported=[],
            grant_types_supported=["client_credentials"],
            token_endpoint_auth_methods_supported=methods,
            introspection_endpoint_auth_methods_supported=methods,
            revocation_endpoint_auth_methods_supported=methods,
            service_documentation=f"{base}/docs",
        )
        return _json(told, _PUBLISHED)

    async def _answered(self, request: Request, answer: _Answer) -> Response:
        """One request of a client: who it is, whether it may now, what it asked for.

        Whoever fails at the first pays from the quota of its address; a client that is known spends its own.
        """
        told: Headers = []
        try:
            if self._admission is not None:
                await self._admission.require_quota(request.scope)
            form, client = await self._read(request)
            if self._admission is not None:
                told = await self._admission.spend(Principal(client.client_id, client.scopes, None).caller, 1)
            answered = await answer(client, form)
            response = Response(headers=_NEVER_STORED) if answered is None else _json(answered, _NEVER_STORED)
        except OAuthRefusal as refusal:
            response = _refused(refusal)
        response.raw_headers.extend(told)
        return response

    async def _read(self, request: Request) -> tuple[Form, RegisteredClient]:
        """The form, and the client that it is from. Raises `OAuthRefusal`, which the address has paid for."""
        body = await read_body(request, FORM_BYTES)
        types = request.headers.getlist("content-type")
        try:
            form = form_of(types, request.scope["query_string"], body)
            who = presented(request.headers.getlist("authorization"), form)
            return form, await self._server.authenticate(who)
        except OAuthRefusal:
            if self._admission is not None:
                await self._admission.charge(request.scope, 1)
            raise

    @property
    def operations(self) -> list[Operation]:
        """Every endpoint with its description."""
        refusals = {
            HTTPStatus.BAD_REQUEST: "Malformed, or not allowed; `error` is a word of RFC 6749 §5.2.",
            HTTPStatus.UNAUTHORIZED: "The client is not known, or its secret is wrong.",
        }
        form: dict[str, Any] = {
            "tag": "tokens",
            "method": "POST",
            "client_authentication": True,
            "refused_as": Refusal,
            "more_statuses": refusals,
            "refusals": [HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.SERVICE_UNAVAILABLE],
        }
        return [
            Operation(
                "/oauth/token",
                self.token,
                "issueToken",
                "A new access token",
                TokenAnswer,
                body=_form({"grant_type": "client_credentials", "scope": "catalog:write"}),
                **form,
            ),
            Operation(
                "/oauth/introspect",
                self.introspect,
                "introspectToken",
                "Whether a token counts: a client's own, and with `ops:read` anyone's",
                Introspection,
                body=_form({"token": "a token"}),
                **form,
            ),
            Operation(
                "/oauth/revoke",
                self.revoke,
                "revokeToken",
                "A client's own token counts no more, everywhere within a second",
                None,
                body=_form({"token": "a token"}),
                **form,
            ),
            Operation(
                "/.well-known/jwks.json",
                self.key_set,
                "getKeySet",
                "The keys that tokens are checked with",
                KeySet,
                "tokens",
                refusals=[HTTPStatus.SERVICE_UNAVAILABLE],
            ),
            Operation(
                METADATA_PATH,
                self.metadata,
                "getAuthorizationServer",
                "What the authorization server does, and where",
                Metadata,
                "tokens",
            ),
        ]


def _form(example: Mapping[str, str]) -> Body:
    members = {name: {"type": "string"} for name in (*example, "client_id", "client_secret")}
    return Body("application/x-www-form-urlencoded", {"type": "object", "properties": members}, example)


def _refused(refusal: OAuthRefusal) -> Response:
    """§5.2: 401 for a client that is not known, 400 for all else."""
    if refusal.error == "invalid_client":
        status, more = HTTPStatus.UNAUTHORIZED, {"www-authenticate": 'Basic realm="farmlokal"'}
    else:
        status, more = HTTPStatus.BAD_REQUEST, {}
    return _json(Refusal(refusal.error, refusal.description), {**_NEVER_STORED, **more}, status)


def _json(value: Struct, headers: Mapping[str, str], status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(msgspec.json.encode(value), status, headers, "application/json")
