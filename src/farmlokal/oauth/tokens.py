"""Access tokens as JWT (RFC 9068), written here and read here, with the pitfalls of RFC 8725 in mind.

Before any cryptography the header must be ours to the letter: a `kid` of a published key, that key's own
algorithm, the type, and nothing else. So no header chooses an algorithm, names a URL to ask, or is read in
two ways; the signature itself is the library's business.
"""

import base64
import binascii
import json
import re
import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from farmlokal.oauth import scopes
from farmlokal.oauth.keys import KeyRing
from farmlokal.oauth.models import Claims, RegisteredClient, StoredKey

LIFE_S = 600
"""How long a token lives: short, because other servers may check tokens by the key set alone."""

LEEWAY_S = 30
"""How far another instance's clock may be ahead of ours (at most a minute, RFC 8725 leaves it to us)."""

TOKEN_CHARACTERS = 2048
"""Longest token that is looked at; ours have some 600."""

TYPE = "at+jwt"

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
_HEADER = {"alg", "kid", "typ"}


class TokenRefused(Exception):
    """Not a token of ours that counts. The text is ours and says why, for the log; `unknown` when a key or a
    client is not known, which it may be in a moment."""

    def __init__(self, why: str, *, unknown: bool = False) -> None:
        super().__init__(why)
        self.unknown = unknown


class AccessTokens:
    """Tokens of one issuer, who is also their audience."""

    def __init__(self, issuer: str, ring: KeyRing) -> None:
        self.issuer = issuer
        self._ring = ring

    def issue(
        self, client: RegisteredClient, granted: frozenset[str], key: StoredKey, now_us: int
    ) -> tuple[str, Claims]:
        """A new token of this client."""
        from joserfc import jws

        now = now_us // 1_000_000
        claims = Claims(
            iss=self.issuer,
            aud=self.issuer,
            sub=client.client_id,
            client_id=client.client_id,
            iat=now,
            exp=now + LIFE_S,
            jti=secrets.token_urlsafe(16),
            scope=scopes.written(granted),
        )
        header = {"alg": key.algorithm, "kid": key.kid, "typ": TYPE}
        token = jws.serialize_compact(
            header, msgspec.json.encode(claims), self._ring.private(key), algorithms=[key.algorithm]
        )
        return token, claims

    def read(self, token: str, keys: Sequence[StoredKey], now_us: int) -> tuple[Claims, StoredKey]:
        """What a token says, and the key that signed it. Raises `TokenRefused`."""
        from joserfc import jws
        from joserfc.errors import JoseError

        key = _key_of(token, keys, now_us)
        try:
            signed = jws.deserialize_compact(token, self._ring.public(key), algorithms=[key.algorithm])
        except (JoseError, ValueError) as error:
            raise TokenRefused("signature") from error
        claims = _claims(signed.payload)
        if claims.iss != self.issuer or claims.aud != self.issuer:
            raise TokenRefused("issuer or audience")
        now = now_us / 1_000_000
        if claims.exp <= now or claims.iat > now + LEEWAY_S or claims.exp - claims.iat > LIFE_S:
            raise TokenRefused("time")
        return claims, key


def _key_of(token: str, keys: Sequence[StoredKey], now_us: int) -> StoredKey:
    match = _COMPACT.fullmatch(token) if len(token) <= TOKEN_CHARACTERS else None
    if match is None:
        raise TokenRefused("form")
    header = _once(_decoded(match[1]))
    if header.keys() != _HEADER or header["typ"] != TYPE:
        raise TokenRefused("header")
    for key in keys:
        if key.kid == header["kid"] and key.algorithm == header["alg"] and key.published(now_us):
            return key
    raise TokenRefused("key", unknown=True)


def _claims(payload: bytes) -> Claims:
    _once(payload)
    try:
        return msgspec.json.decode(payload, type=Claims)
    except msgspec.DecodeError as error:
        raise TokenRefused("claims") from error


def _decoded(part: str) -> bytes:
    padded = part + "=" * (-len(part) % 4)
    try:
        decoded = base64.urlsafe_b64decode(padded)
    except binascii.Error as error:
        raise TokenRefused("form") from error
    return decoded


def _once(text: bytes) -> dict[str, Any]:
    """A JSON object whose members are there once: of two, each reader believes another."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise TokenRefused("repeated member")
        return dict(pairs)

    try:
        read = json.loads(text, object_pairs_hook=members)
    except (ValueError, RecursionError) as error:
        raise TokenRefused("form") from error
    if not isinstance(read, dict):
        raise TokenRefused("form")
    return read
