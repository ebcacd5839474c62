"""Who looks at the dashboard: a signed cookie, which the registry of clients can end at any time.

The cookie is claims as a token has them, under a mac of ours; so what ends a token ends a session, by the
same law: its client is disabled or unknown, or it was withdrawn itself (logout). It is no JWT: no other
program is to read it, and as a bearer token it is worth nothing.
"""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b

import msgspec
from msgspec import Struct

from farmlokal.oauth.authorization_server import AuthorizationServer
from farmlokal.oauth.client_authentication import OAuthRefusal, Presented
from farmlokal.oauth.models import Claims
from farmlokal.platform.clock import SystemClock

LIFE_S = 8 * 3600
"""How long a session lasts, whatever is done in it: a day's work."""

COOKIE_CHARACTERS = 1024
SEE = "ops:read"

NOBODY = ""
"""The client of a visitor who needs no login: see `Access`."""


class Session(Struct, frozen=True):
    """Somebody who may look, with the scopes that the client has now, and the word that each action of the
    page must carry."""

    client_id: str
    scopes: frozenset[str]
    csrf: str = ""


class Sessions:
    """Signs with the first key, accepts all."""

    def __init__(self, server: AuthorizationServer, secret_keys: Sequence[bytes], clock: SystemClock) -> None:
        self._server = server
        self._clock = clock
        self._keys = [blake2b(key, digest_size=32, person=b"ops sessions").digest() for key in secret_keys]

    async def login(self, presented: Presented) -> str:
        """The cookie of a client who may look. Raises `OAuthRefusal`, one for all that may be wrong."""
        client = await self._server.authenticate(presented)
        if SEE not in client.scopes:
            raise OAuthRefusal("invalid_client", "the client may not look")
        return self.begin(client.client_id)

    def begin(self, client_id: str) -> str:
        """The cookie of a new session."""
        now_s = self._clock.now_us() // 1_000_000
        claims = Claims(
            iss="ops",
            aud="ops",
            sub=client_id,
            client_id=client_id,
            iat=now_s,
            exp=now_s + LIFE_S,
            jti=secrets.token_urlsafe(16),
        )
        payload = urlsafe_b64encode(msgspec.msgpack.encode(claims)).rstrip(b"=")
        return (payload + b"." + self._mac(self._keys[0], b"cookie", payload)).decode()

    async def read(self, cookie: str) -> Session | None:
        """The session; None for what is forged, over, or of a client that may not look any more. Raises
        `Unavailable` while that cannot be told."""
        claims = self._claims(cookie)
        if claims is None:
            return None
        csrf = self._mac(self._keys[0], b"csrf", claims.jti.encode()).decode()
        if claims.client_id == NOBODY:
            return Session(NOBODY, frozenset({SEE}), csrf)
        client = await self._server.standing(claims)
        if client is None or SEE not in client.scopes:
            return None
        return Session(client.client_id, client.scopes, csrf)

    async def end(self, cookie: str) -> None:
        """The cookie counts no more, in every process within a second. Raises `Unavailable`."""
        claims = self._claims(cookie)
        if claims is not None and claims.client_id != NOBODY:
            await self._server.withdraw(claims)

    def _claims(self, cookie: str) -> Claims | None:
        payload, _, mac = cookie.encode("utf-8", "replace").partition(b".")
        genuine = any(hmac.compare_digest(self._mac(key, b"cookie", payload), mac) for key in self._keys)
        if len(cookie) > COOKIE_CHARACTERS or not genuine:
            return None
        encoded = urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))
        claims = msgspec.msgpack.decode(encoded, type=Claims)
        return claims if claims.exp * 1_000_000 > self._clock.now_us() else None

    @staticmethod
    def _mac(key: bytes, purpose: bytes, text: bytes) -> bytes:
        digest = hmac.digest(key, purpose + b" " + text, "sha256")
        return urlsafe_b64encode(digest).rstrip(b"=")
