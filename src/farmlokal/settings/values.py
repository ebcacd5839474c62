"""Text in, frozen value out: the kinds of value that settings have.

Every kind refuses with what it accepts, and never with what it was given: the text may be a secret.
Numbers are matched as ASCII digits first, because `int` also takes `1_000` and full-width digits.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Generic, TypeVar

from farmlokal.platform.logs import MASK

T = TypeVar("T")

SECRET_KEY_BYTES = 32
"""Shortest signing key: as long as the output of SHA-256, what RFC 2104 §3 and RFC 7518 §3.2 ask for."""

LIST_ITEMS = 100
"""Most items of a comma list. Ours: far above any list an operator writes by hand."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_RATE_LIMIT = re.compile(r"([0-9]{1,7})/([0-9]{1,5})s(?:;burst=([0-9]{1,7}))?")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")  # RFC 6749 §3.3


class Refused(ValueError):
    """The one way a value is turned away: `accepted` finishes the sentence "this setting takes …"."""

    def __init__(self, code: str, accepted: str) -> None:
        super().__init__(accepted)
        self.code = code
        self.accepted = accepted


@dataclass(frozen=True, slots=True, repr=False)
class Secret(Generic[T]):
    """A value that prints as `***`: only who asks for it by name has it."""

    _value: T

    def get_secret_value(self) -> T:
        """What must not be printed."""
        return self._value

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self}')"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`requests` in every `window_s` seconds, and up to `burst` at once on top of the even flow."""

    requests: int
    window_s: int
    burst: int

    def __str__(self) -> str:
        return f"{self.requests}/{self.window_s}s;burst={self.burst}"


@dataclass(frozen=True, slots=True)
class WebhookSource:
    """A sender with a scheme of its own, and the secret it signs with. A repeated name rotates."""

    name: str
    secret: Secret[bytes]

    def __str__(self) -> str:
        return f"{self.name}={MASK}"


def plain(text: str) -> str:
    """One line of text. A control character would break the line of a log or split a header."""
    if _CONTROL.search(text):
        raise Refused("malformed", "one line of text without control characters")
    return text


def secret_text(text: str) -> Secret[str]:
    return Secret(plain(text))


def optional(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    """`parse`, and None for a setting that is not given."""
    return lambda text: parse(text) if text else None


def separated(parse: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """A comma list of what `parse` takes. An empty item is refused: a secret or a host got lost there."""

    def parse_all(text: str) -> tuple[T, ...]:
        items = [item.strip() for item in plain(text).split(",")] if text else []
        if len(items) > LIST_ITEMS or not all(items):
            raise Refused("malformed", f"1 to {LIST_ITEMS} items separated by commas, none of them empty")
        return tuple(parse(item) for item in items)

    return parse_all


def switch(text: str) -> bool:
    """On or off."""
    return one_of("on", "off")(text) == "on"


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise Refused("unknown", " or ".join(choices))
        return text.lower()

    return parse


def whole_number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise Refused("out_of_range", f"a whole number from {least} to {most}")
        return int(text)

    return parse


def network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        raise Refused(
            "malformed", "networks such as 10.0.0.0/8 or fd00::/8, no bits set after the prefix"
        ) from None


def rate_limit(text: str) -> RateLimit | None:
    """`600/60s;burst=60`, or `off`. Without a burst it is a tenth of the requests, as in the default."""
    if text.lower() == "off":
        return None
    match = _RATE_LIMIT.fullmatch(text)
    requests, window_s = (int(match[1]), int(match[2])) if match else (0, 0)
    burst = int(match[3]) if match and match[3] else max(1, requests // 10)
    if not (1 <= requests <= 1_000_000 and 1 <= window_s <= 86_400 and 1 <= burst <= 1_000_000):
        raise Refused("malformed", "requests/seconds such as 600/60s;burst=60 (to 1000000/86400s), or off")
    return RateLimit(requests, window_s, burst)


def scope(text: str) -> str:
    if not _SCOPE.fullmatch(text):
        raise Refused("malformed", "scope names separated by single spaces")
    return text


def secret_key(text: str) -> Secret[bytes]:
    key = text.encode()
    if len(key) < SECRET_KEY_BYTES:
        raise Refused("too_short", f"keys of at least {SECRET_KEY_BYTES} bytes each, the signing one first")
    return Secret(key)


def webhook_secret(text: str) -> Secret[bytes]:
    """The key of one sender: `whsec_` and base64 as Standard Webhooks prints it, or the bytes themselves."""
    encoded = text.removeprefix("whsec_")
    try:
        key = text.encode() if encoded == text else base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise Refused("malformed", "secrets as plain text, or whsec_ followed by base64")
    return Secret(key)


def webhook_source(*names: str) -> Callable[[str], WebhookSource]:
    def parse(text: str) -> WebhookSource:
        name, _, secret = text.partition("=")
        if name not in names or not secret:
            raise Refused("malformed", f"name=secret items, a name being one of {', '.join(names)}")
        return WebhookSource(name, Secret(secret.encode()))

    return parse
