"""Every way the domain refuses, in its own words.

The domain knows no HTTP: `platform/web/problem.py` holds the one table that gives each refusal a status.
Anything else that leaves the domain is a bug, and becomes a 500 with a request id.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong field of an input: where it is, what is wrong with it, and what would have been accepted."""

    parameter: str
    code: str
    accepted: str


class DomainError(Exception):
    """A refusal that the caller may read: `detail` is one sentence, `faults` name the fields."""

    def __init__(self, detail: str, *faults: Fault) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = faults


class Invalid(DomainError):
    """The input is malformed or out of range; the same input will never do."""

    @classmethod
    def because(cls, faults: list[Fault]) -> "Invalid":
        """All faults of one input at once, so that the caller mends them in one go."""
        named = ", ".join(dict.fromkeys(fault.parameter for fault in faults))
        return cls(f"Not accepted: {named}.", *faults)


class Unauthenticated(DomainError):
    """Nobody vouches for the caller; `challenge` names what would (RFC 9110, 11.6.1), and `error` says what
    is wrong with the token, where there is one."""

    challenge = "Bearer"

    def __init__(self, detail: str, *faults: Fault, error: str = "") -> None:
        super().__init__(detail, *faults)
        self.error = error


class Forbidden(DomainError):
    """The caller is known and may not do this; `scope` is what a token for it needs."""

    def __init__(self, detail: str, *faults: Fault, scope: str = "") -> None:
        super().__init__(detail, *faults)
        self.scope = scope


class NotFound(DomainError):
    """There is no such thing, or there is none any more."""


class Conflict(DomainError):
    """Another change came first. With `retry_after_s` it is under way, and that says when to come back."""

    def __init__(self, detail: str, *faults: Fault, retry_after_s: int | None = None) -> None:
        super().__init__(detail, *faults)
        self.retry_after_s = retry_after_s


class PreconditionFailed(DomainError):
    """The caller's copy is not the current one."""


class Unprocessable(DomainError):
    """Well formed, and impossible."""


class RateLimited(DomainError):
    """Too many requests from this caller; `retry_after_s` says when to come back, `policy` which quota."""

    def __init__(self, detail: str, *faults: Fault, retry_after_s: int = 1, policy: str = "default") -> None:
        super().__init__(detail, *faults)
        self.retry_after_s = retry_after_s
        self.policy = policy


class Unavailable(DomainError):
    """A dependency cannot answer now; `retry_after_s` says when to come back."""

    def __init__(self, detail: str, *, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s
