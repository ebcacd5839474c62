"""The protocol of the refresh, searched whole, and that the search finds mistakes."""

import os

import pytest

from farmlokal.oauth.upstream.law import Claim, State, Stored, Verdict
from tests.oauth.upstream.model import LIFE, TICK, Process, Protocol, Violation, search

WHOLE = os.environ.get("FARMLOKAL_TEST_MODEL") == "whole"
"""`make model` asks for it: more processes and more that goes wrong."""


class Forgetful(Protocol):
    """Redis may lose everything at any moment."""

    forgets = True


class WrongTime(Protocol):
    """The time of day of any process may be set at any moment."""

    sets_clocks = True


class LongCalls(Protocol):
    """A call may take two ticks, and a lock lives for three."""

    timing = Protocol.timing._replace(call_s=2, lock_s=3)


class Unrejected(Protocol):
    """No resource refuses a token before its end."""

    rejects = False


SEARCHES = [(Unrejected, 3), (Protocol, 2), (Forgetful, 2), (LongCalls, 2)]
WHOLE_SEARCHES = [(Protocol, 3), (LongCalls, 3), (Forgetful, 2), (WrongTime, 2), (Unrejected, 4)]


@pytest.mark.parametrize(
    ("protocol", "processes"),
    WHOLE_SEARCHES if WHOLE else SEARCHES,
    ids=lambda value: value if isinstance(value, int) else value.__name__,
)
def test_no_order_of_events_breaks_it(protocol: type[Protocol], processes: int) -> None:
    """In no order in which processes ask, sleep, die, are answered and rejected is an expired token
    served, a better one replaced or a lock taken away, do two call at once who are awake, or does anybody
    wait for ever."""
    found = search(processes, protocol(), every=10 if WHOLE else 100)
    print(f"{protocol.__name__}, {processes} processes: {found.worlds:,} states, {found.steps:,} steps")  # noqa: T201
    assert found.worlds > 5_000


class LastWriterWins(Protocol):
    """Whoever writes, writes."""

    def settle(self, state: State, owner: str, token: Stored, rejected: str) -> State:
        after = super().settle(state, owner, token, rejected)
        return after if token.ends <= 0 else after._replace(token=token)


class AnyonesLock(Protocol):
    """Who is done takes the lock away, whosever it is."""

    def fail(self, state: State, owner: str, wait: int) -> State:
        return super().fail(state, state.owner or owner, wait)


class LifeFromTheAnswer(Protocol):
    """A life is counted from when the answer was there."""

    def own_end(self, since: int) -> int:
        return LIFE


class LifeFromTheWrite(Protocol):
    """The life of a stored token is counted from when it is written, as SET with EX does."""

    def stored_end(self, since: int) -> int:
        return LIFE


class LifeFromTheReply(Protocol):
    """The rest of a life is counted from when Redis' reply was there."""

    def adopted_end(self, since: int, left: int) -> int:
        return left


class BlindClaims(Protocol):
    """Who has the lock calls, whatever is stored by then."""

    def claim(self, state: State, owner: str, known: str, rejected: bool) -> tuple[State, Claim]:
        blind = state._replace(token=None) if known else state
        after, claim = super().claim(blind, owner, known, rejected)
        return after._replace(token=state.token), claim


class EternalLocks(Protocol):
    """A lock does not end by itself."""

    def claim(self, state: State, owner: str, known: str, rejected: bool) -> tuple[State, Claim]:
        if state.owner and state.owner != owner and state.locked:
            state = state._replace(locked=2 * TICK)
            return state, Claim(Verdict.LOCKED, state.locked)
        after, claim = super().claim(state, owner, known, rejected)
        return after._replace(locked=2 * TICK) if claim.verdict is Verdict.GRANTED else after, claim


class ShortLocks(Protocol):
    """A lock lives for less than a call."""

    timing = Protocol.timing._replace(call_s=2, lock_s=1)


class NoLock(Protocol):
    """Everybody calls."""

    def claim(self, state: State, owner: str, known: str, rejected: bool) -> tuple[State, Claim]:
        return super().claim(state._replace(owner="", locked=0), owner, known, rejected)


class Sleepwalker(Protocol):
    """Who was granted the right calls, however long it slept on it."""

    def may_call(self, since: int) -> bool:
        return True


class UnnamedRejections(Protocol):
    """A rejection does not say of which token."""

    def claim(self, state: State, owner: str, known: str, rejected: bool) -> tuple[State, Claim]:
        if rejected and state.token is not None:
            known = state.token.id
        return super().claim(state, owner, known, rejected)


class NoSecondThought(Protocol):
    """A token that is rejected a moment after it replaced a rejected one is replaced again, and again."""

    def claim(self, state: State, owner: str, known: str, rejected: bool) -> tuple[State, Claim]:
        after, claim = super().claim(state._replace(refused=0), owner, known, rejected)
        return after._replace(refused=state.refused), claim


class NoPause(Protocol):
    """After a failure the next one calls at once."""

    def claim(self, state: State, owner: str, known: str, rejected: bool) -> tuple[State, Claim]:
        return super().claim(state._replace(held=0), owner, known, rejected)


class TimeOfDay(Protocol):
    """The end of a token is compared with the time of day."""

    sets_clocks = True

    def left(self, process: Process) -> int:
        return process.held.ends - process.off if process.held is not None else 0


class RejectedReturns(Protocol):
    """A rejected token is put back in place of any other one."""

    def settle(self, state: State, owner: str, token: Stored, rejected: str) -> State:
        after = super().settle(state, owner, token, rejected)
        worse = rejected and after.token is not None and state.token is not None
        return after._replace(token=token) if worse and token.ends > 0 else after


MISTAKES = {
    LastWriterWins: "I3",
    AnyonesLock: "I4",
    LifeFromTheAnswer: "I1",
    LifeFromTheWrite: "I1",
    LifeFromTheReply: "I1",
    BlindClaims: "I7",
    EternalLocks: "I5",
    ShortLocks: "I2",
    NoLock: "I2",
    Sleepwalker: "I2",
    UnnamedRejections: "I7",
    NoSecondThought: "I6",
    NoPause: "I8",
    TimeOfDay: "I1|I5",
    RejectedReturns: "I3",
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_each_mistake_is_found(mistake: type[Protocol]) -> None:
    """A protocol with one mistake in it breaks the invariant that the mistake is about."""
    with pytest.raises(Violation, match=MISTAKES[mistake]):
        search(3, mistake())
