"""Whether a delivery comes from somebody who knows the secret, asked of its raw bytes, before it is read.

Headers are bytes from strangers. What is not exactly as its scheme has it is refused like a wrong signature:
`int` would take ``1_700_000_000`` and full-width digits, and a lenient base64 drops what is none of it.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from farmlokal.errors import Unauthenticated

TOLERANCE_S = 300
"""How far a sender's clock may be from ours, in both directions (Standard Webhooks asks for five minutes)."""

SIGNATURES = 10
"""Most signatures of one delivery: a sender that rotates has two."""

_TIMESTAMP = re.compile(rb"[0-9]{1,12}")
_HEXADECIMAL = re.compile(rb"[0-9a-f]{64}")

Headers = Mapping[bytes, Sequence[bytes]]
"""Values by lower-case name, as they came."""


class Unsigned(Unauthenticated):
    """A delivery whose signature is missing, wrong or too old."""

    challenge = "StandardWebhooks"


class Scheme(Protocol):
    """A way of signing."""

    def verify(self, headers: Headers, body: bytes, now_s: int) -> None:
        """Raises `Unsigned`."""


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers of a request by name."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in raw:
        found.setdefault(name, []).append(value)
    return found


class StandardWebhooks:
    """https://github.com/standard-webhooks/standard-webhooks: HMAC-SHA256 of id, timestamp and body."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        """`secrets` are keys as bytes; each of them vouches, so that they rotate."""
        self._secrets = _required(secrets)

    def verify(self, headers: Headers, body: bytes, now_s: int) -> None:
        """Raises `Unsigned`."""
        identity, timestamp = _one(headers, b"webhook-id"), _one(headers, b"webhook-timestamp")
        if not _TIMESTAMP.fullmatch(timestamp):
            raise Unsigned("The webhook-timestamp is no time.")
        if abs(int(timestamp) - now_s) > TOLERANCE_S:
            raise Unsigned(f"The webhook-timestamp is more than {TOLERANCE_S} s from our time.")
        given = _one(headers, b"webhook-signature").split(b" ")
        if len(given) > SIGNATURES:
            raise Unsigned(f"There are more than {SIGNATURES} signatures.")
        signed = b".".join((identity, timestamp, body))
        # A version that is not ours may stand beside one that is.
        offered = [_decoded(each[3:]) for each in given if each.startswith(b"v1,")]
        _require_match(self._secrets, signed, [each for each in offered if each])


def sign(secret: bytes, identity: str, at_s: int, body: bytes) -> dict[str, str]:
    """The headers of a delivery, as `StandardWebhooks` takes them."""
    mac = hmac.digest(secret, b".".join((identity.encode(), str(at_s).encode(), body)), "sha256")
    signature = f"v1,{base64.b64encode(mac).decode()}"
    return {"webhook-id": identity, "webhook-timestamp": str(at_s), "webhook-signature": signature}


class BodyHmac:
    """HMAC-SHA256 of the body alone, in one header: Razorpay, Shopify, GitHub and many others. It says
    nothing of time: a delivery that is sent again has its id again, or changes nothing."""

    def __init__(
        self, secrets: Sequence[bytes], header: bytes, *, prefix: bytes = b"", hexadecimal: bool = True
    ) -> None:
        self._secrets = _required(secrets)
        self._header = header
        self._prefix = prefix
        self._hexadecimal = hexadecimal

    def verify(self, headers: Headers, body: bytes, now_s: int) -> None:  # noqa: ARG002  the scheme's
        """Raises `Unsigned`."""
        given = _one(headers, self._header)
        text = given.removeprefix(self._prefix)
        if len(text) + len(self._prefix) != len(given):
            raise Unsigned(f"The {self._header.decode()} is malformed.")
        if self._hexadecimal:
            offered = binascii.unhexlify(text) if _HEXADECIMAL.fullmatch(text) else b""
        else:
            offered = _decoded(text)
        _require_match(self._secrets, body, [offered] if offered else [])


def _required(secrets: Sequence[bytes]) -> list[bytes]:
    if not secrets or not all(secrets):
        raise ValueError("a scheme without a secret would vouch for everybody")
    return list(secrets)


def _one(headers: Headers, name: bytes) -> bytes:
    values = headers.get(name, ())
    if len(values) != 1 or not values[0]:
        what = "missing" if not values else "malformed"
        raise Unsigned(f"The {name.decode()} is {what}.")
    return values[0]


def _decoded(text: bytes) -> bytes:
    """Base64, strictly; nothing for anything else."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _require_match(secrets: Sequence[bytes], signed: bytes, offered: Sequence[bytes]) -> None:
    for secret in secrets:
        expected = hmac.digest(secret, signed, "sha256")
        if any(hmac.compare_digest(expected, each) for each in offered):
            return
    raise Unsigned("The signature does not fit the body.")
