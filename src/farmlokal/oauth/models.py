"""The words of the authorization server, without I/O."""

from collections.abc import Mapping

from msgspec import Struct

from farmlokal.platform.rate_limit import Caller

ES256, RS256 = "ES256", "RS256"
ALGORITHMS = (ES256, RS256)
"""What tokens may be signed with; the first where nobody says otherwise."""


class StoredSecret(Struct, frozen=True):
    """The keyed digest of a secret; `expires_at_us` is None until it is rotated."""

    digest: bytes
    created_at_us: int
    expires_at_us: int | None

    def live(self, now_us: int) -> bool:
        """Whether it opens anything now."""
        return self.expires_at_us is None or now_us < self.expires_at_us


class RegisteredClient(Struct, frozen=True, kw_only=True):
    """A program that may ask for tokens. Tokens issued before `valid_from_us` are revoked."""

    client_id: str
    name: str
    scopes: frozenset[str]
    algorithm: str
    seller_id: int | None
    valid_from_us: int
    created_at_us: int
    disabled_at_us: int | None
    secrets: tuple[StoredSecret, ...] = ()


class StoredKey(Struct, frozen=True, kw_only=True):
    """A signing key: it signs from `signs_from_us` until a newer one does; published until it expires."""

    kid: str
    algorithm: str
    public_jwk: str
    sealed_jwk: bytes
    created_at_us: int
    signs_from_us: int
    expires_at_us: int | None

    def published(self, now_us: int) -> bool:
        """Whether its signatures count now."""
        return self.expires_at_us is None or now_us < self.expires_at_us


class Snapshot(Struct, frozen=True):
    """All that the server knows, as of one version: who may call, keys, tokens that count no more."""

    version: int
    clients: Mapping[str, RegisteredClient]
    keys: tuple[StoredKey, ...]
    revoked: frozenset[str]


class Claims(Struct, frozen=True, kw_only=True):
    """What a token says that we signed (RFC 9068 §2.2). Instants are whole seconds."""

    iss: str
    aud: str
    sub: str
    client_id: str
    iat: int
    exp: int
    jti: str
    scope: str = ""


class Principal(Struct, frozen=True):
    """On whose behalf a request comes, and what it may do. `seller_id` binds it to one seller."""

    client_id: str
    scopes: frozenset[str]
    seller_id: int | None

    @property
    def caller(self) -> Caller:
        """Whose quota it spends."""
        return Caller("client", self.client_id)
