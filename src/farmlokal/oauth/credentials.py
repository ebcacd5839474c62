"""Secrets of clients: how they are made, kept and checked.

A secret is 256 random bits, so a fast keyed digest keeps it as well as a slow hash would: nobody guesses it,
and a slow hash at an endpoint that anyone may call is a lever for whoever wants to stop it (166 ms each,
docs/decisions/0015).
"""

import hmac
import secrets
from collections.abc import Sequence
from hashlib import blake2b

from farmlokal.oauth.models import RegisteredClient

SLOTS = 2
"""Most secrets of a client that open at once: the new one, and during a rotation the one before."""

_BYTES = 32


def new_secret() -> str:
    """A secret to hand out, once."""
    return secrets.token_urlsafe(_BYTES)


class SecretDigests:
    """SHA-256 keyed with each secret key: the first makes new digests, all are tried."""

    def __init__(self, secret_keys: Sequence[bytes]) -> None:
        self._keys = [blake2b(key, digest_size=32, person=b"client secrets").digest() for key in secret_keys]
        self._nobody = secrets.token_bytes(_BYTES)

    def digest(self, secret: str) -> bytes:
        """What is kept of a secret."""
        return hmac.digest(self._keys[0], secret.encode(), "sha256")

    def match(self, client: RegisteredClient | None, secret: str, now_us: int) -> bool:
        """Whether this is a live secret of the client.

        One path for all: for an unknown client, and for one with fewer secrets than `SLOTS`, the rest are
        compared with a digest that nothing has, so that each call makes the same digests and comparisons.
        """
        kept = [each.digest for each in client.secrets if each.live(now_us)] if client else []
        slots = [*kept, *[self._nobody] * SLOTS][:SLOTS]
        found = False
        for key in self._keys:
            given = hmac.digest(key, secret.encode(), "sha256")
            for digest in slots:
                found |= hmac.compare_digest(given, digest)
        return found
