"""Cursors: where a page ended, in a form that callers can keep and cannot change.

``v1.<payload>.<mac>``: the payload is MessagePack in base64url, the mac 128 bits of HMAC-SHA256 over the
*text* before it. The text is compared, never decoded, so that the several base64 spellings of one value
(``YQ``, ``YR``) are one cursor and forgeries. The payload names the query it belongs to by fingerprint: a
cursor of another sort, filter or endpoint is refused, since its key would mean another place there.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from farmlokal.errors import Fault, Invalid

Key = int | str | bytes | None

CURSOR_LENGTH = 1024
"""Longest cursor in characters (contract: ≤ 1 kB; a 300-byte name gives about 460)."""

_ACCEPTED = "a nextCursor or prevCursor of this very query, unchanged"


class Position(msgspec.Struct, frozen=True, array_like=True):
    """A place between rows: next to the row with this sort key and tie-break.

    `inclusive` means that the row itself, should it exist, comes with the page: an empty page has no row to
    stand on, so the way back from it starts at the cursor's own row.
    """

    key: Key
    tie: int | str
    backward: bool = False
    inclusive: bool = False


class _Wire(msgspec.Struct, frozen=True, array_like=True):
    """A payload as it is decoded: MessagePack itself tells integers, text, bytes and nil apart."""

    fingerprint: bytes
    position: tuple[Any, Any, bool, bool]


class _Payload(msgspec.Struct, frozen=True, array_like=True):
    fingerprint: bytes
    position: Position


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Wire)


def fingerprint(endpoint: str, identity: Sequence[object]) -> bytes:
    """64 bits that name a query: the same for the same rows in the same order, whatever the page size."""
    return blake2b(_encoder.encode([endpoint, *identity]), digest_size=8).digest()


class CursorCodec:
    """Signs with the first key, accepts all: so keys rotate without breaking a walk in progress."""

    def __init__(self, secret_keys: Sequence[bytes]) -> None:
        self._keys = [blake2b(key, person=b"farmlokal-cursor").digest() for key in secret_keys]

    def encode(self, position: Position, of: bytes) -> str:
        """The cursor for a position in the query with fingerprint `of`."""
        payload = urlsafe_b64encode(_encoder.encode(_Payload(of, position))).rstrip(b"=")
        signed = b"v1." + payload
        return (signed + b"." + self._mac(self._keys[0], signed)).decode()

    def decode(self, cursor: str, of: bytes) -> Position:
        """The position; raises `Invalid` for a forgery, a fragment, or another query's cursor."""
        signed, _, mac = cursor.encode("utf-8", "replace").rpartition(b".")
        genuine = any(hmac.compare_digest(self._mac(key, signed), mac) for key in self._keys)
        if len(cursor) > CURSOR_LENGTH or not genuine:
            raise Invalid("The cursor is not one of ours.", Fault("cursor", "forged", _ACCEPTED))
        encoded = signed.removeprefix(b"v1.")
        payload = _decoder.decode(urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4)))
        if payload.fingerprint != of:
            raise Invalid(
                "The cursor belongs to another sort, filter or endpoint.",
                Fault("cursor", "foreign", _ACCEPTED),
            )
        return Position(*payload.position)

    @staticmethod
    def _mac(key: bytes, signed: bytes) -> bytes:
        return urlsafe_b64encode(hmac.digest(key, signed, "sha256")[:16]).rstrip(b"=")
