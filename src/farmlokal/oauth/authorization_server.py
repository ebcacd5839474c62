"""The authorization server: tokens for clients (RFC 6749 §4.4), and what becomes of them (RFC 7009, 7662)."""

from collections.abc import Mapping
from typing import Any

import structlog
from msgspec import UNSET, Struct, UnsetType

from farmlokal.errors import Unavailable
from farmlokal.oauth import keys, scopes
from farmlokal.oauth.client_authentication import OAuthRefusal, Presented, unknown_client
from farmlokal.oauth.clients import Clients
from farmlokal.oauth.credentials import SecretDigests
from farmlokal.oauth.models import ES256, Claims, RegisteredClient, Snapshot, StoredKey
from farmlokal.oauth.registry import Registry
from farmlokal.oauth.repository import OAuthRepository
from farmlokal.oauth.tokens import LIFE_S, AccessTokens, TokenRefused
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import DuplicateKey, Transaction


class TokenAnswer(Struct, frozen=True):
    """RFC 6749 §5.1; there is no refresh token (§4.4.3)."""

    access_token: str
    expires_in: int
    scope: str
    token_type: str = "Bearer"  # noqa: S105


class Introspection(Struct, frozen=True, kw_only=True):
    """RFC 7662 §2.2; of a token that does not count, `active` alone."""

    active: bool
    scope: str | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    token_type: str | UnsetType = UNSET
    exp: int | UnsetType = UNSET
    iat: int | UnsetType = UNSET
    sub: str | UnsetType = UNSET
    aud: str | UnsetType = UNSET
    iss: str | UnsetType = UNSET
    jti: str | UnsetType = UNSET


def counts(claims: Claims, snapshot: Snapshot) -> RegisteredClient | None:
    """The client of a token whose signature and time are right; None where it was revoked or disabled."""
    client = snapshot.clients.get(claims.client_id)
    if client is None or client.disabled_at_us is not None or claims.jti in snapshot.revoked:
        return None
    return client if claims.iat * 1_000_000 > client.valid_from_us else None


class AuthorizationServer:
    """The use cases."""

    def __init__(
        self,
        registry: Registry,
        repository: OAuthRepository,
        clients: Clients,
        digests: SecretDigests,
        tokens: AccessTokens,
        clock: SystemClock,
    ) -> None:
        self._registry = registry
        self._repository = repository
        self._clients = clients
        self._digests = digests
        self._tokens = tokens
        self._clock = clock
        self._log = structlog.get_logger("farmlokal.oauth")

    @property
    def issuer(self) -> str:
        """Who signs."""
        return self._tokens.issuer

    async def open(self) -> None:
        """Begin to know who may call, with a key to sign with."""
        await self._registry.open()
        try:
            await self._signing_key(ES256)
        except Unavailable:  # the first token asks again
            self._log.warning("no signing key could be made")

    async def close(self) -> None:
        """Stop."""
        await self._registry.close()

    async def authenticate(self, presented: Presented) -> RegisteredClient:
        """The client whose secret this is. Raises `OAuthRefusal`, one for all that may be wrong.

        What this process knows may be a moment old, so nobody is refused before it has asked again.
        """
        found = self._match(await self._registry.current(), presented)
        if found is not None:
            return found
        snapshot = await self._registry.anew()
        found = self._match(snapshot, presented)
        if found is None:
            # An id that is not one of ours may be a secret in the wrong place.
            known = presented.client_id if presented.client_id in snapshot.clients else "unknown"
            self._log.info("login refused", client_id=known)
            raise unknown_client()
        return found

    async def token(self, client: RegisteredClient, form: Mapping[str, str]) -> TokenAnswer:
        """A new token. Raises `OAuthRefusal`."""
        grant = form.get("grant_type")
        if grant is None:
            raise OAuthRefusal("invalid_request", "grant_type is missing")
        if grant != "client_credentials":
            raise OAuthRefusal("unsupported_grant_type", "grant_type must be client_credentials")
        granted = client.scopes
        if "scope" in form:
            asked = scopes.parse(form["scope"])
            if asked is None or not asked <= client.scopes:
                raise OAuthRefusal("invalid_scope", "the client may not have that scope")
            granted = asked
        key = await self._signing_key(client.algorithm)
        token, claims = self._tokens.issue(client, granted, key, self._clock.now_us())
        # A third of what the whole request costs, where it is written.
        self._log.debug("token issued", client_id=client.client_id, scope=claims.scope, jti=claims.jti)
        return TokenAnswer(token, LIFE_S, claims.scope)

    async def introspect(self, client: RegisteredClient, form: Mapping[str, str]) -> Introspection:
        """Whether a token counts: a client's own, and with `ops:read` anyone's. Raises `OAuthRefusal`."""
        claims = await self._read(form)
        if claims is None or not (claims.client_id == client.client_id or "ops:read" in client.scopes):
            return Introspection(active=False)
        if counts(claims, await self._registry.current()) is None:
            return Introspection(active=False)
        return Introspection(
            active=True,
            scope=claims.scope,
            client_id=claims.client_id,
            token_type="Bearer",  # noqa: S106
            exp=claims.exp,
            iat=claims.iat,
            sub=claims.sub,
            aud=claims.aud,
            iss=claims.iss,
            jti=claims.jti,
        )

    async def revoke(self, client: RegisteredClient, form: Mapping[str, str]) -> None:
        """A client's own token counts no more, in every process within a second; any other text is no error
        (RFC 7009 §2.2). Raises `OAuthRefusal`."""
        claims = await self._read(form)
        if claims is not None and claims.client_id == client.client_id:
            await self.withdraw(claims)

    async def standing(self, claims: Claims) -> RegisteredClient | None:
        """The client of claims that we signed and that are in time; None where they count no more. Raises
        `Unavailable`."""
        snapshot = await self._registry.current()
        if claims.client_id not in snapshot.clients:  # it may be a moment old
            snapshot = await self._registry.anew()
        return counts(claims, snapshot)

    async def withdraw(self, claims: Claims) -> None:
        """These claims count no more, in every process within a second."""
        now_us = self._clock.now_us()

        async def work(tx: Transaction) -> None:
            await self._repository.revoke(tx, claims.jti, claims.client_id, claims.exp * 1_000_000, now_us)

        try:
            version = await self._repository.change(work, now_us)
        except DuplicateKey:
            return
        await self._registry.reach(version)
        self._log.info("token revoked", client_id=claims.client_id, jti=claims.jti)

    async def key_set(self) -> dict[str, list[Any]]:
        """The keys that tokens are checked with."""
        return keys.key_set((await self._registry.current()).keys, self._clock.now_us())

    def _match(self, snapshot: Snapshot, presented: Presented) -> RegisteredClient | None:
        client = snapshot.clients.get(presented.client_id)
        matches = self._digests.match(client, presented.secret, self._clock.now_us())
        return client if matches and client is not None and client.disabled_at_us is None else None

    async def _read(self, form: Mapping[str, str]) -> Claims | None:
        if "token" not in form:
            raise OAuthRefusal("invalid_request", "token is missing")
        snapshot = await self._registry.current()
        try:
            claims, _ = self._tokens.read(form["token"], snapshot.keys, self._clock.now_us())
        except TokenRefused:
            return None
        return claims

    async def _signing_key(self, algorithm: str) -> StoredKey:
        snapshot = await self._registry.current()
        key = keys.signing(snapshot.keys, algorithm, self._clock.now_us())
        if key is None:
            await self._registry.reach(await self._clients.ensure_key(algorithm))
            snapshot = await self._registry.current()
            key = keys.signing(snapshot.keys, algorithm, self._clock.now_us())
        if key is None:
            raise Unavailable("There is no key to sign with.")
        return key
