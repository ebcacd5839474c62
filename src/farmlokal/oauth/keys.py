"""Signing keys: made here, sealed for the database, published as a key set (RFC 7517).

The library of JOSE is imported when a key is first used: it takes 12 MB and a quarter of a second, which a
process that only serves the catalogue does not pay.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from farmlokal.errors import Unavailable
from farmlokal.oauth.models import ES256, StoredKey
from farmlokal.oauth.seal import Seal

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, RSAKey

RSA_BITS = 2048
"""RFC 7518 §3.3: the least; 3072 would sign in a third of the speed for keys that live for months."""


def new_key(algorithm: str, seal: Seal, now_us: int, signs_from_us: int) -> StoredKey:
    """A new key, which signs from then on. Making an RSA key takes a tenth of a second or more."""
    from joserfc.jwk import ECKey, RSAKey

    key: ECKey | RSAKey = ECKey.generate_key("P-256") if algorithm == ES256 else RSAKey.generate_key(RSA_BITS)
    kid = key.thumbprint()
    public = {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": algorithm}
    return StoredKey(
        kid=kid,
        algorithm=algorithm,
        public_jwk=msgspec.json.encode(public).decode(),
        sealed_jwk=seal.seal(msgspec.json.encode(key.as_dict(private=True)), kid),
        created_at_us=now_us,
        signs_from_us=signs_from_us,
        expires_at_us=None,
    )


def signing(keys: Sequence[StoredKey], algorithm: str, now_us: int) -> StoredKey | None:
    """The key that signs now: the last one whose time has come."""
    usable = [key for key in keys if key.algorithm == algorithm and key.published(now_us)]
    begun = [key for key in usable if key.signs_from_us <= now_us]
    return max(begun, key=lambda key: key.signs_from_us, default=None)


def key_set(keys: Sequence[StoredKey], now_us: int) -> dict[str, list[Any]]:
    """The public halves of all that count now, and of the next one (RFC 7517 §5)."""
    return {"keys": [msgspec.json.decode(key.public_jwk) for key in keys if key.published(now_us)]}


class KeyRing:
    """Keys ready for use, by their id: opened once each, and forgotten when they are gone."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal
        self._private: dict[str, Any] = {}
        self._public: dict[str, Any] = {}
        self._log = structlog.get_logger("farmlokal.oauth")

    def keep(self, keys: Sequence[StoredKey]) -> None:
        """Forget all but these."""
        kept = {key.kid for key in keys}
        for opened in (self._private, self._public):
            for kid in opened.keys() - kept:
                del opened[kid]

    def private(self, key: StoredKey) -> Any:
        """To sign with. Raises `Unavailable` for a key that was sealed under another secret key."""
        if key.kid not in self._private:
            try:
                jwk = msgspec.json.decode(self._seal.open(key.sealed_jwk, key.kid))
            except ValueError:
                self._log.error("signing key sealed under another secret key", kid=key.kid)
                raise Unavailable("The signing key cannot be opened.", retry_after_s=60) from None
            self._private[key.kid] = _imported(key.algorithm, jwk)
        return self._private[key.kid]

    def public(self, key: StoredKey) -> Any:
        """To verify with."""
        if key.kid not in self._public:
            self._public[key.kid] = _imported(key.algorithm, msgspec.json.decode(key.public_jwk))
        return self._public[key.kid]


def _imported(algorithm: str, jwk: Any) -> "ECKey | RSAKey":
    from joserfc.jwk import ECKey, RSAKey

    return ECKey.import_key(jwk) if algorithm == ES256 else RSAKey.import_key(jwk)
