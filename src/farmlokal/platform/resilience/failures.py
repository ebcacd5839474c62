"""How a call to somebody else's server can fail, in the three ways that ask for different things.

`UpstreamFailed` speaks against the callee: the breaker counts it, and it may be retried. `UpstreamRefused`
is an answer: the callee works and says no, so it is neither retried nor papered over with an old answer.
`NotCalled` says nothing of the callee: nobody asked it. Reasons are short words of ours, never the callee's
text.
"""

RETRYABLE = frozenset([408, 429, 502, 503, 504])
"""Statuses after which the same request may do: the callee did not take it, or lost whoever it asked. 500 is
not among them: it tells of a bug, which will be there again."""

_GONE = frozenset([404, 410])


class CallFailed(Exception):
    """A call that brought no answer. `retry_after_s`: when to come back, where anybody knows;
    `attempts`: how often the callee was asked in vain."""

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.attempts = 0


class UpstreamFailed(CallFailed):
    """The callee was asked and failed. With a `retry_after_s` it asks for silence until then."""

    def __init__(self, reason: str, *, retryable: bool, retry_after_s: float | None = None) -> None:
        super().__init__(reason, retry_after_s=retry_after_s)
        self.retryable = retryable


class NotCalled(CallFailed):
    """The callee was not asked: the circuit is open, all places are taken, or no time is left."""


class UpstreamRefused(Exception):
    """The callee understood and declined; `status` is its HTTP status.

    `mended`: what it declined for is put right already (a token that had ended was renewed), so the same
    question may be asked once more, at once.
    """

    def __init__(self, status: int, *, mended: bool = False) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.mended = mended

    @property
    def gone(self) -> bool:
        """Whether there is no such thing (404, 410): what was known of it is worth nothing any more."""
        return self.status in _GONE


def check_status(status: int, retry_after_s: float | None = None) -> None:
    """Raise what an HTTP status other than 2xx means. A redirect is a failure: it is never followed."""
    if 200 <= status < 300:
        return
    if status in RETRYABLE:
        raise UpstreamFailed(f"status {status}", retryable=True, retry_after_s=retry_after_s)
    if 400 <= status < 500:
        raise UpstreamRefused(status)
    raise UpstreamFailed(f"status {status}", retryable=False, retry_after_s=retry_after_s)
