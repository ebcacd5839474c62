"""An upstream token, and how one is read from what a provider says, which may be anything.

Read strictly (RFC 6749 §5.1, §7.1): what is not understood is not used, and a life is never made longer
than it was said to be.
"""

import math
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from farmlokal.oauth.upstream.law import Timing

_TOKEN = re.compile(
    r"[\x21-\x7e]{1,8192}"
)  # what fits into a header, and no more of it than a header may have
_SCOPE = re.compile(
    r"[\x21\x23-\x5b\x5d-\x7e]{1,200}(?: [\x21\x23-\x5b\x5d-\x7e]{1,200}){0,49}"
)  # RFC 6749 §3.3


class Grant(NamedTuple):
    """What a provider gave: the token, its scope where one is known, its life in seconds from the request
    on."""

    value: str
    scope: str | None
    life_s: float


class NoGrant(Exception):
    """A provider gave nothing that can be used. The text is a few words of ours, never the provider's;
    `retry_after_s` is what it asked for, if anything."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class _Answer(Struct):
    access_token: Any = None
    token_type: Any = None
    expires_in: Any = UNSET
    scope: Any = None


_decoder = msgspec.json.Decoder(_Answer)


def read_grant(body: bytes, asked_scope: str | None, timing: Timing) -> Grant:
    """The grant in the body of a 200. Raises `NoGrant`."""
    try:
        answer = _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise NoGrant("no token answer") from None
    if not isinstance(answer.access_token, str) or not _TOKEN.fullmatch(answer.access_token):
        raise NoGrant("no access token")
    if not isinstance(answer.token_type, str) or answer.token_type.lower() != "bearer":
        raise NoGrant("unknown token type")
    scope = answer.scope if isinstance(answer.scope, str) and _SCOPE.fullmatch(answer.scope) else asked_scope
    return Grant(answer.access_token, scope, _life_s(answer.expires_in, timing))


def _life_s(given: object | UnsetType, timing: Timing) -> float:
    if given is UNSET:
        return timing.unknown_life_s
    if isinstance(given, bool) or not isinstance(given, int | float) or not given > 0:
        raise NoGrant("no life")
    return min(float(math.floor(min(given, 1e9))), timing.most_life_s)


@dataclass(frozen=True, slots=True)
class UpstreamToken:
    """A token in this process. `id` is the SHA-256 of its value in hexadecimal; `ends_s` and `early_s`,
    from when on the next one is fetched, are instants of `SystemClock.lived_s`."""

    value: str = field(repr=False)
    scope: str | None
    id: str
    ends_s: float
    early_s: float

    @classmethod
    def of(
        cls, value: str, scope: str | None, life_s: float, ends_s: float, timing: Timing
    ) -> "UpstreamToken":
        """A token that was given a life of `life_s` and ends at `ends_s`."""
        return cls(value, scope, identity(value), ends_s, ends_s - _early(life_s, timing))

    @property
    def name(self) -> str:
        """By which a log may know it: the first 8 digits of its SHA-256."""
        return self.id[:8]

    def left_s(self, now_s: float) -> float:
        """Life that is left."""
        return self.ends_s - now_s


def identity(value: str) -> str:
    """SHA-256 in hexadecimal."""
    return sha256(value.encode()).hexdigest()


def _early(life_s: float, timing: Timing) -> float:
    """Seconds before its end from which on the next token is fetched ahead of need.

    The share of its life, ± 10 % so that instances do not all think of it at once. A short-lived token's
    would fall into the time in which callers wait already, so half of it is added to that; and half a life
    where even that is more than there is.
    """
    share = min(timing.early_share * life_s, timing.early_most_s) * random.uniform(0.9, 1.1)  # noqa: S311
    early = max(share, timing.least_s + share / 2)
    longest = life_s - timing.apart_s
    return min(early, longest) if longest >= timing.least_s else life_s / 2


class TokenCounts:
    """What was done about upstream tokens. Bounded: six names."""

    def __init__(self) -> None:
        names = ("fetched", "failed", "adopted", "rejected", "held", "alone")
        self.by_name: Counter[str] = Counter(dict.fromkeys(names, 0))
