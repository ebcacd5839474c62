"""The law and the port.

The law: what a caller is admitted in *any* window of T seconds costs at most burst + rate x T. A counter a
fixed window would let twice the limit pass at its edge. GCRA (ITU-T I.371, the generic cell rate algorithm)
keeps the law with one number a caller: the instant at which its quota will be whole again.
"""

from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct


@dataclass(frozen=True, slots=True)
class Policy:
    """`requests` units in every `window_s` seconds, and up to `burst` at once on top of the even flow."""

    name: str
    requests: int
    window_s: int
    burst: int

    def unit(self, second: int) -> int:
        """Time in which a unit grows, in whole parts of a `second`: rounded up, so that the law holds."""
        return -(-self.window_s * second // self.requests)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose quota: `kind` says what `name` is. An address and an OAuth client of that name do not share."""

    kind: str
    name: str

    @property
    def key(self) -> str:
        """One text a caller, different for different callers."""
        return f"{self.kind}:{self.name}"


class Decision(Struct, frozen=True, gc=False):
    """Admitted or not; units left; whole seconds (>= 1) until there is one more, and until the very same
    request would be admitted (0 when it was)."""

    admitted: bool
    remaining: int
    next_s: int
    retry_s: int


class Limiter(Protocol):
    """Both adapters run tests/contracts/test_rate_limit.py."""

    async def ask(self, caller: Caller, cost: int) -> Decision:
        """Spend `cost` units if they are there, else spend nothing: refused calls do not extend the wait.

        A cost beyond the burst counts as the burst, so that no request is impossible for ever. Cost 0 spends
        nothing and is admitted while a unit is left: for what is charged only if it fails.
        """

    def ask_now(self, caller: Caller, cost: int) -> Decision | None:
        """The same, where it is admitted without asking anybody else; None says: `ask`."""

    async def charge(self, caller: Caller, cost: int) -> Decision:
        """Spend `cost` units after the fact (a failed login), or what is left of them."""


def decision(policy: Policy, ahead: int, cost: int, *, second: int, admitted: bool) -> Decision:
    """The decision that leaves a caller `ahead` of an empty quota.

    `ahead` is time, `second` of it to the second: what the caller has saved up, after the spending.
    """
    unit = policy.unit(second)
    left = min(policy.burst, max(0, ahead) // unit)
    return Decision(
        admitted,
        left,
        _seconds((left + 1) * unit - ahead, second),
        0 if admitted else _seconds(max(1, cost) * unit - ahead, second),
    )


def _seconds(time: int, second: int) -> int:
    return max(1, -(-time // second))
