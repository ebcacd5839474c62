"""The law of the refresh: what instances share, and the three steps that change it, each one atomic.

Pure functions of a state and an instant, in whole milliseconds of one clock, the store's. `refresh.lua`
says the same inside Redis, and one suite compares the two step by step. What makes it safe is not the
lock, which a process that sleeps outlives, but the fence: a token replaces another only if it lives
longer, or if the other is the very one that was rejected. The lock merely saves calls.
"""

from enum import IntEnum
from typing import NamedTuple


class Timing(NamedTuple):
    """Every time of the protocol, in seconds. Where no source is named it is our choice."""

    call_s: float = 5.0
    """Longest call to the provider, from before the lock was asked for."""
    lock_s: float = 7.0
    """Life of a lock: a call and two seconds, so that whoever is awake never outlives it."""
    least_s: float = 30.0
    """Least life of a token that is handed out; with less, callers wait for the next one."""
    early_share: float = 0.2
    early_most_s: float = 300.0
    """When the next one is fetched ahead of need: in the last fifth of its life, or five minutes."""
    apart_s: float = 1.0
    """Least pause between two calls of the fleet."""
    most_wait_s: float = 10.0
    """Longest pause after failures: it doubles from `apart_s` on, so 60 s of failure are at most ten
    calls."""
    most_retry_after_s: float = 60.0
    """Most that is believed of the provider's own Retry-After."""
    refused_s: float = 10.0
    """Least time between two refreshes because of a rejected token: a second one will not help either."""
    most_life_s: float = 86_400.0
    unknown_life_s: float = 60.0
    """Longest life that is believed, and the one assumed where the provider names none."""
    poll_s: float = 0.05
    """Pause between two looks of one that waits for another instance."""


class Stored(NamedTuple):
    """A token as instances share it: who it is (SHA-256 in hex), its contents (sealed, for Redis), the
    instant of its end on the store's clock, and the life that it was issued with."""

    id: str
    sealed: bytes
    ends: int
    life: int


class State(NamedTuple):
    """All that is shared. Instants are 0 for "not"."""

    token: Stored | None = None
    gen: int = 0
    """Goes up with each token that is stored."""
    owner: str = ""
    locked: int = 0
    """Until when the lock is its owner's."""
    held: int = 0
    """Until when nobody calls."""
    failures: int = 0
    """Failed calls in a row."""
    refused: int = 0
    """Until when a rejected token is no reason to call."""
    at: int = 0
    """The latest change."""


class Verdict(IntEnum):
    """What a claim comes to."""

    FOUND = 1
    LOCKED = 2
    HELD = 3
    GRANTED = 4


class Claim(NamedTuple):
    """FOUND: the token at hand is another one. LOCKED, HELD: nothing to do for `ms`. GRANTED: call, at
    `ms`."""

    verdict: Verdict
    ms: int
    token: Stored | None = None


SET_BACK = 1000
"""A clock this far behind the latest change was set back: what it measured is not believed any more."""


def sound(state: State, now: int, timing: Timing) -> State:
    """The state without what cannot be: instants further ahead than any that are ever set, and everything
    when the clock was set back. What is forgotten costs a call; what is believed wrongly could be an
    expired token."""
    if now + SET_BACK < state.at:
        return State(gen=state.gen)
    token = state.token
    if token is not None and not now < token.ends <= now + ms(timing.most_life_s):
        token = None
    locked = _until(state.locked, now, timing.lock_s)
    return state._replace(
        token=token,
        owner=state.owner if locked else "",
        locked=locked,
        held=_until(state.held, now, timing.most_retry_after_s),
        refused=_until(state.refused, now, timing.refused_s),
    )


def claim(
    state: State, now: int, owner: str, known: str, timing: Timing, *, rejected: bool = False
) -> tuple[State, Claim]:
    """Ask for the right to call. `known` is the token that will not do (or none), because its end is near or,
    if `rejected`, because a resource refused it: any other one is handed over in place of the right."""
    now_is = sound(state, now, timing)
    token, held = now_is.token, now_is.held
    if token is not None and token.id != known:
        return state, Claim(Verdict.FOUND, token.ends - now, token)
    if rejected and token is not None:
        # A pause after a success is no reason to wait: this token is known to be worthless.
        held = max(held if now_is.failures else 0, now_is.refused)
    if held:
        return state, Claim(Verdict.HELD, held - now)
    if now_is.locked and now_is.owner != owner:
        return state, Claim(Verdict.LOCKED, now_is.locked - now)
    locked = now + ms(timing.lock_s)
    return now_is._replace(owner=owner, locked=locked, at=now), Claim(Verdict.GRANTED, now)


def settle(
    state: State, now: int, owner: str, token: Stored, timing: Timing, *, rejected: str = "", jitter: int = 0
) -> tuple[State, Stored | None]:
    """Store what a call brought, unless something better is there, and give the lock back; what is stored
    then. `rejected` is the token that it is to replace, `jitter` thousandths to add to a pause."""
    now_is = sound(state, now, timing)
    old, mine = now_is.token, now_is.owner == owner
    replaces = old is not None and old.id == rejected and mine
    better = old is None or token.ends > old.ends or replaces
    # The same token once more: whatever life is claimed for it now, it ends when it ends.
    if better and now < token.ends and (old is None or old.id != token.id):
        state = now_is._replace(token=token, gen=max(now_is.gen + 1, now), at=now)
        if mine:
            refused = now + ms(timing.refused_s) if replaces else now_is.refused
            state = _unlocked(state, now)._replace(held=now + ms(timing.apart_s), failures=0, refused=refused)
        return state, token
    return _failed(now_is, now, 0, timing, jitter) if mine else state, old


def fail(
    state: State, now: int, owner: str, wait: int, timing: Timing, *, jitter: int = 0
) -> tuple[State, int]:
    """Give the lock back after a call that brought nothing; the pause that is kept. `wait` is the least
    pause, in milliseconds; -1 for a call that was given up and says nothing about the provider."""
    now_is = sound(state, now, timing)
    if now_is.owner != owner:
        return state, max(0, now_is.held - now)
    if wait < 0:
        return _unlocked(now_is, now), 0
    state = _failed(now_is, now, wait, timing, jitter)
    return state, state.held - now


def ms(seconds: float) -> int:
    """Milliseconds."""
    return round(seconds * 1000)


def _failed(state: State, now: int, wait: int, timing: Timing, jitter: int) -> State:
    failures = min(state.failures + 1, 16)
    pause = min(ms(timing.apart_s) * 2 ** (failures - 1), ms(timing.most_wait_s))
    pause = max(pause + pause * jitter // 1000, min(wait, ms(timing.most_retry_after_s)))
    return _unlocked(state, now)._replace(held=now + pause, failures=failures)


def _unlocked(state: State, now: int) -> State:
    return state._replace(owner="", locked=0, at=now)


def _until(instant: int, now: int, most_s: float) -> int:
    return instant if now < instant <= now + ms(most_s) else 0
