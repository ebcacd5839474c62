"""What lies in Redis is sealed: whoever reads a dump of it has no token, and what we did not seal is none.

Loaded where there is a Redis, and not before: the library takes 4 MB of memory.
"""

import secrets
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12  # bytes, NIST SP 800-38D §8.2


class Seal:
    """AES-256-GCM under a key that is made of the secret key. `place` binds what is sealed to where it
    lies."""

    def __init__(self, secret_key: bytes, place: str) -> None:
        self._place = place.encode()
        self._cipher = AESGCM(blake2b(secret_key, digest_size=32, person=b"upstream token").digest())

    def seal(self, content: bytes) -> bytes:
        """Content that only who has the key can open."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, content, self._place)

    def open(self, sealed: bytes) -> bytes:
        """The content. Raises `ValueError` for what was not sealed here."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], self._place)
        except InvalidTag:
            raise ValueError("not sealed by us") from None
