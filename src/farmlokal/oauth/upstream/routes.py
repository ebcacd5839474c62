"""`GET /auth/token`: the upstream token, for those of our own programs that call the supplier themselves."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from math import floor

import msgspec
import structlog
from msgspec import UNSET, Struct, UnsetType
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from farmlokal.errors import RateLimited, Unavailable
from farmlokal.oauth.upstream.source import TokenSource
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.rate_limit import Caller, Limiter, Policy
from farmlokal.platform.web import negotiation
from farmlokal.platform.web.openapi import Operation
from farmlokal.platform.web.parameters import read

LEAST_S = 30
"""No token is given away with less life (contract)."""

QUOTA = "upstream-token"
"""Name of the quota that tokens are taken from."""

Authorize = Callable[[Request], Awaitable[Caller]]
"""Whose request it is. Raises `Unauthenticated` or `Forbidden`."""

_NEVER_STORED = {"cache-control": "no-store", "pragma": "no-cache"}  # both, RFC 6749 §5.1


class TokenAnswer(Struct, frozen=True):
    """The token under its old name and under that of RFC 6749, and the whole seconds of life that it has
    left."""

    token: str
    access_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105
    scope: str | UnsetType = UNSET


class UpstreamRoutes:
    """The endpoint. `source` is None where no provider is set, `quota` where no limit is."""

    def __init__(
        self,
        source: TokenSource | None,
        authorize: Authorize,
        quota: tuple[Limiter, Policy] | None,
        clock: SystemClock,
    ) -> None:
        self._source = source
        self._authorize = authorize
        self._quota = quota
        self._clock = clock
        self._log = structlog.get_logger("farmlokal.oauth")

    async def token(self, request: Request) -> Response:
        """GET /auth/token."""
        caller = await self._authorize(request)
        await self._require_quota(caller)
        if not negotiation.accepts(", ".join(request.headers.getlist("accept")), "application/json"):
            raise HTTPException(HTTPStatus.NOT_ACCEPTABLE, "this endpoint answers in JSON")
        read(request.scope["query_string"], [])  # nobody forces a refresh from outside
        if self._source is None:
            raise Unavailable("No provider of upstream tokens is set up.", retry_after_s=60)
        token = await self._source.get(LEAST_S)
        left_s = floor(token.left_s(self._clock.lived_s()))
        if left_s < LEAST_S:
            raise Unavailable("The token has just come too near its end.")
        answer = TokenAnswer(token.value, token.value, left_s, scope=token.scope or UNSET)
        self._log.info(
            "upstream token given away", to=caller.key, token_sha256=token.name, seconds_left=left_s
        )
        return Response(msgspec.json.encode(answer), headers=_NEVER_STORED, media_type="application/json")

    @property
    def operations(self) -> list[Operation]:
        """The endpoint with its description."""
        return [
            Operation(
                "/auth/token",
                self.token,
                "getUpstreamToken",
                "The token to call the supplier with",
                TokenAnswer,
                "tokens",
                description=_DESCRIPTION,
                refusals=[
                    HTTPStatus.BAD_REQUEST,
                    HTTPStatus.UNAUTHORIZED,
                    HTTPStatus.NOT_ACCEPTABLE,
                    HTTPStatus.SERVICE_UNAVAILABLE,
                ],
            )
        ]

    async def _require_quota(self, caller: Caller) -> None:
        if self._quota is None:
            return
        limiter, policy = self._quota
        decision = await limiter.ask(caller, 1)
        if not decision.admitted:
            raise RateLimited(
                f"The quota of tokens is spent; try again in {decision.retry_s} s.",
                retry_after_s=decision.retry_s,
                policy=policy.name,
            )


_DESCRIPTION = (
    "It has at least 30 s of life left, and `expires_in` is what is left, not what it was issued with. It is "
    "shared: everyone is given the same one until it is renewed. Needs the scope `upstream:token`; in "
    "development callers on this machine need none."
)
