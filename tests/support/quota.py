"""The law of the rate limiter, checked from outside: what was admitted when, in every window there is."""

from collections.abc import Sequence

from farmlokal.platform.rate_limit import Policy

Admitted = tuple[int, int]
"""(when in microseconds, cost)."""


def excess(events: Sequence[Admitted], policy: Policy) -> float:
    """Units that the worst of all windows has over burst + rate x T; at most 0 where the law holds.

    A window that begins or ends where nothing is admitted is never worse than the one between the admissions
    inside it, so those are all. With S(j) the sum up to event j and t(j) its time, the window from i to j has
    S(j) - S(i-1) units; one pass keeps the least S(i-1) x window - requests x t(i) seen so far.
    """
    window_us = policy.window_s * 1_000_000
    worst, least, total = -policy.burst * window_us, 0, 0
    for number, (at_us, cost) in enumerate(sorted(events)):
        start = total * window_us - policy.requests * at_us
        least = start if number == 0 else min(least, start)
        total += cost
        end = total * window_us - policy.requests * at_us
        worst = max(worst, end - least - policy.burst * window_us)
    return worst / window_us


def most(policy: Policy, lasted_us: int) -> float:
    """Units that the law lets pass in a time that begins with a whole quota."""
    return policy.burst + policy.requests * lasted_us / (policy.window_s * 1_000_000)
