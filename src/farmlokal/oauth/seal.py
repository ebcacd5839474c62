"""What lies in the database or in Redis is sealed: whoever has a copy of it has no key and no token."""

import secrets
from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12  # bytes, NIST SP 800-38D §8.2

SIGNING_KEYS, UPSTREAM_TOKEN = "signing keys", "upstream token"
"""What is sealed."""


class Seal:
    """AES-256-GCM under the first of the secret keys; what was sealed under a later one opens, too.

    `purpose`, of 16 letters at most, keeps what is sealed for one from opening for another."""

    def __init__(self, secret_keys: Sequence[bytes], purpose: str) -> None:
        person = purpose.encode()
        self._keys = [blake2b(key, digest_size=32, person=person).digest() for key in secret_keys]

    @cached_property
    def _ciphers(self) -> "list[AESGCM]":
        """Made when a key is first needed: the library takes 10 MB."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return [AESGCM(key) for key in self._keys]

    def seal(self, content: bytes, place: str) -> bytes:
        """Content that only who has the key can open, and only as what lies at `place`."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._ciphers[0].encrypt(nonce, content, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """The content. Raises `ValueError` for what none of our keys sealed there."""
        from cryptography.exceptions import InvalidTag

        for cipher in self._ciphers:
            try:
                return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], place.encode())
            except InvalidTag:
                continue
        raise ValueError("not sealed by us")
