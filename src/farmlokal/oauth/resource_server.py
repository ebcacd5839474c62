"""Whether a request may do what it asks: its bearer token (RFC 6750), and the scope in it.

A token's signature is checked once a process and remembered; whether the token still counts is asked of the
registry each time, which costs two look-ups in memory. So a revoked token is refused within a second
however often it was seen before.
"""

from collections.abc import Awaitable, Callable
from hashlib import blake2b, sha256
from typing import Any

import structlog

from farmlokal.errors import Forbidden, RateLimited, Unauthenticated, Unavailable
from farmlokal.oauth.authorization_server import counts
from farmlokal.oauth.models import Claims, Principal, Snapshot
from farmlokal.oauth.registry import Registry
from farmlokal.oauth.tokens import AccessTokens, TokenRefused
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.rate_limit import Caller

REMEMBERED = 10_000
"""Most tokens whose signature is known to be right: some 10 MB. The oldest goes first."""

_PRINCIPAL = "farmlokal.principal"


class ResourceServer:
    """In front of every route that is not for everyone."""

    def __init__(self, registry: Registry, tokens: AccessTokens, clock: SystemClock) -> None:
        self._registry = registry
        self._tokens = tokens
        self._clock = clock
        self._read: dict[bytes, tuple[Claims, str]] = {}
        self._log = structlog.get_logger("farmlokal.oauth")

    async def identify(self, scope: Any, before: Callable[[], Awaitable[None]]) -> Caller | None:
        """Whose quota a request with a good token spends; None for any other.

        `before` is called before a signature is checked, and raises for whoever has no quota left for that.
        """
        try:
            return (await self._principal(scope, before)).caller
        except RateLimited:
            raise
        except (Unauthenticated, Unavailable):  # for the route to say, where it is not for everyone
            return None

    async def require(self, scope: Any, needed: str) -> Principal:
        """On whose behalf a request comes. Raises `Unauthenticated`, and `Forbidden` without the scope."""
        principal = await self._principal(scope, _nothing)
        if needed not in principal.scopes:
            raise Forbidden(f"This needs the scope {needed}.", scope=needed)
        return principal

    async def _principal(self, scope: Any, before: Callable[[], Awaitable[None]]) -> Principal:
        """Once a request: who asks again is told the same."""
        known = scope.get(_PRINCIPAL)
        if known is None:
            token = _bearer(scope)
            try:
                known = await self._verified(token, before)
            except TokenRefused as refusal:
                self._log.info("token refused", because=str(refusal), token_sha256=_name(token))
                known = Unauthenticated("The access token does not count.", error="invalid_token")
            scope[_PRINCIPAL] = known
        if isinstance(known, Unauthenticated):
            raise known
        principal: Principal = known
        return principal

    async def _verified(self, token: str, before: Callable[[], Awaitable[None]]) -> Principal:
        try:
            return await self._counting(token, await self._registry.current(), before)
        except TokenRefused as refusal:
            if not refusal.unknown:
                raise
        # A key or a client may be a moment old: nobody is refused before the database was asked again.
        return await self._counting(token, await self._registry.anew(), _nothing)

    async def _counting(
        self, token: str, snapshot: Snapshot, before: Callable[[], Awaitable[None]]
    ) -> Principal:
        now_us = self._clock.now_us()
        digest = blake2b(token.encode("utf-8", "surrogateescape"), digest_size=16).digest()
        found = self._read.get(digest)
        if found is None:
            await before()
            claims, key = self._tokens.read(token, snapshot.keys, now_us)
            while len(self._read) >= REMEMBERED:
                del self._read[next(iter(self._read))]
            found = self._read[digest] = claims, key.kid
        claims, kid = found
        if claims.exp * 1_000_000 <= now_us:
            raise TokenRefused("time")
        if not any(key.kid == kid and key.published(now_us) for key in snapshot.keys):
            raise TokenRefused("key", unknown=True)
        client = counts(claims, snapshot)
        if client is None:
            raise TokenRefused("revoked", unknown=claims.client_id not in snapshot.clients)
        return Principal(client.client_id, frozenset(claims.scope.split()) & client.scopes, client.seller_id)


def _bearer(scope: Any) -> str:
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if not given:
        raise Unauthenticated("This needs an access token.")
    scheme, _, token = given[0].partition(b" ")
    if scheme.lower() != b"bearer":
        raise Unauthenticated("This needs an access token; other credentials do not do.")
    if len(given) > 1:
        raise Unauthenticated("There are two Authorization headers.", error="invalid_token")
    return str(token.strip(b" "), "latin-1")


def _name(token: str) -> str:
    """What the log knows a token by."""
    return sha256(token.encode()).hexdigest()[:8]


async def _nothing() -> None:
    return None
