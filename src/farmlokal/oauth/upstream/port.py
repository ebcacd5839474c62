"""What a token source needs of the store that instances share. Both adapters run
tests/contracts/test_token_store.py.
"""

from dataclasses import dataclass
from typing import Protocol

from farmlokal.oauth.upstream.token import Grant, UpstreamToken


@dataclass(frozen=True, slots=True)
class Found:
    """Another token than the one that would not do."""

    token: UpstreamToken


@dataclass(frozen=True, slots=True)
class Locked:
    """Another instance is calling, for `wait_s` at most."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class Held:
    """Nobody calls for `wait_s`: the last call failed, or was a moment ago."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class Granted:
    """The right to call, of this instance. `since_s` is before it was given, on `SystemClock.lived_s`, and
    `at` when it was given, on the store's clock in milliseconds: lives are counted from there. `alone`
    when it was given without the other instances; `replaces` is the id of a stored token that nobody can
    read."""

    owner: str
    since_s: float
    at: int
    alone: bool = False
    replaces: bytes = b""


class TokenStore(Protocol):
    """One token, shared."""

    async def claim(
        self, owner: str, known: str, *, rejected: bool = False
    ) -> Found | Locked | Held | Granted:
        """Ask for the right to call the provider. `known` is the id of the token that will not do, or
        nothing; `rejected` says that a resource refused it. `owner` is 128 random bits, the same for each
        try of one refresh."""

    async def settle(self, granted: Granted, grant: Grant, rejected: str = "") -> UpstreamToken | None:
        """Store what the call brought, unless something better is there, and give the right back; what is
        stored then. A life is counted from the claim. `rejected` is the id of the token to be replaced."""

    async def fail(self, granted: Granted, wait_s: float) -> float:
        """Give the right back after a call that brought nothing; seconds until the next one, `wait_s` at
        least."""

    async def abandon(self, granted: Granted) -> None:
        """Give the right back without having called."""
