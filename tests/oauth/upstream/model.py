"""A model of the refresh: processes that run the law itself, in every order that there is.

A process asks Redis, hears the reply, calls the provider, and settles what that brought; each of these may
come at any moment after the one before, so a process may sleep anywhere, for any time, and die anywhere. Time
is in ticks and relative to now, what is long past is cut off, names of tokens and processes are made
canonical: so the worlds are finite, and all of them are visited.

Two delays are left out because they only make lives shorter: of a question on its way to Redis (its life
counts from before it), and of a call on its way to the provider (a token's life begins when it is issued).

A seeded mistake is a subclass of `Protocol` with something wrong.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from farmlokal.oauth.upstream import law
from farmlokal.oauth.upstream.law import Claim, State, Stored, Timing, Verdict, ms

LIFE, EARLY = 3, 1
"""Ticks that a token lives, and before its end from which on processes ask for the next one."""

TICK = 1000

FOUND, GRANTED, CALLING, BRINGING = "found", "granted", "calling", "bringing"


class Held(NamedTuple):
    """A token that a process has: its number, and its end on the process's clock."""

    token: int
    ends: int


class Doing(NamedTuple):
    """What a process is in the middle of, and since when: it was told of a token that has so much life
    left, it was granted the right to call, it is calling, it brings a token that has not been settled.
    `rejected` is the token that it wants to be replaced."""

    what: str
    since: int
    rejected: int
    token: int = 0
    left: int = 0


class Process(NamedTuple):
    """One process. `off` is how wrong its time of day is."""

    held: Held | None = None
    doing: Doing | None = None
    off: int = 0


class World(NamedTuple):
    """Everything at one moment, which is always 0. `ends` has the true end of each token, by number - 1."""

    shared: State
    processes: tuple[Process, ...]
    ends: tuple[int, ...]


class Violation(Exception):
    """An invariant that does not hold."""


class Protocol:
    """What a process does by the rules; the law with the times of the model."""

    timing = Timing(
        call_s=1, lock_s=2, apart_s=1, most_wait_s=1, most_retry_after_s=1, refused_s=1, most_life_s=LIFE
    )
    forgets = False
    """Whether Redis may lose everything; two calls at once are then nobody's fault."""
    sets_clocks = False
    """Whether the time of day of a process may be set."""
    rejects = True
    """Whether a resource may refuse a token that lives."""

    def claim(self, state: State, owner: str, known: str, rejected: bool) -> tuple[State, Claim]:
        """Inside Redis."""
        return law.claim(state, 0, owner, known, self.timing, rejected=rejected)

    def settle(self, state: State, owner: str, token: Stored, rejected: str) -> State:
        """Inside Redis."""
        return law.settle(state, 0, owner, token, self.timing, rejected=rejected)[0]

    def fail(self, state: State, owner: str, wait: int) -> State:
        """Inside Redis."""
        return law.fail(state, 0, owner, wait, self.timing)[0]

    def may_call(self, since: int) -> bool:
        """Whether a process that was granted the right to call calls."""
        return since + self.call > 0

    def stored_end(self, since: int) -> int:
        """The end of a token that is written, on Redis' clock."""
        return since + LIFE

    def own_end(self, since: int) -> int:
        """The end of a token that a process has brought itself, on its own clock."""
        return since + LIFE

    def adopted_end(self, since: int, left: int) -> int:
        """The end of a token that Redis has said so much life is left of, on the process's clock."""
        return since + left

    def adopts(self, held: Held | None, new: Held, rejected: int) -> bool:
        """Whether the new token is held from now on."""
        if new.token == rejected:
            return False
        return held is None or held.token == rejected or (new.token != held.token and new.ends > held.ends)

    def left(self, process: Process) -> int:
        """The life that a process believes its token has left."""
        return process.held.ends if process.held is not None else 0

    @property
    def call(self) -> int:
        """Ticks that a call may take, from the claim on."""
        return ms(self.timing.call_s) // TICK


def steps(world: World, protocol: Protocol) -> Iterator[World]:
    """Every world that can come next. Raises `Violation`."""
    yield _tick(world, protocol)
    if protocol.forgets and world.shared != State():
        yield world._replace(shared=State())  # a failover to a replica that knew nothing
    for number, process in enumerate(world.processes):
        if process != Process():
            yield _dead(world, number)
        if protocol.sets_clocks:
            yield from (_with(world, number, process._replace(off=off)) for off in (-LIFE, 0, LIFE))
        yield from _steps_of(world, number, process, protocol)


def _steps_of(world: World, number: int, process: Process, protocol: Protocol) -> Iterator[World]:
    match process.doing:
        case None:
            if protocol.left(process) <= EARLY:
                yield _asked(world, number, protocol, 0)
            if protocol.rejects and protocol.left(process) > 0 and process.held is not None:
                yield _asked(world, number, protocol, process.held.token)
        case Doing(what="found") as doing:
            yield _found(world, number, doing, protocol)
        case Doing(what="granted") as doing:
            yield _called(world, number, doing, protocol)
        case Doing(what="calling") as doing:
            yield _failed(world, number, doing, protocol)
            if doing.since + protocol.call >= 0:  # past its time limit an answer is none
                yield _with(world, number, process._replace(doing=doing._replace(what=BRINGING)))
        case Doing() as doing:
            yield _settled(world, number, doing, protocol)


def _dead(world: World, number: int) -> World:
    """A process that died and started anew: its lock is nobody's."""
    shared = world.shared
    if shared.owner == str(number):
        shared = shared._replace(owner="x")
    return _with(world, number, Process(), shared)


def _asked(world: World, number: int, protocol: Protocol, rejected: int) -> World:
    process = world.processes[number]
    known = _name(process.held.token) if process.held is not None else ""
    shared, claim = protocol.claim(world.shared, str(number), known, rejected != 0)
    if claim.verdict is Verdict.FOUND and claim.token is not None:
        doing = Doing(FOUND, 0, rejected, int(claim.token.id), claim.ms // TICK)
        return _with(world, number, process._replace(doing=doing), shared)
    if claim.verdict is not Verdict.GRANTED:  # it will ask again, whenever
        return _with(world, number, process, shared)
    before = law.sound(world.shared, 0, protocol.timing)
    if before.token is not None and before.token.id != known:
        raise Violation("I7: a call although there is another token")
    if rejected and before.token is not None and before.refused > 0:
        raise Violation("I6: one more refresh although the last one did not help")
    if before.held > 0 and (before.failures or not rejected):
        raise Violation("I8: a call in a pause")
    return _with(world, number, process._replace(doing=Doing(GRANTED, 0, rejected)), shared)


def _found(world: World, number: int, doing: Doing, protocol: Protocol) -> World:
    process = world.processes[number]._replace(doing=None)
    new = Held(doing.token, protocol.adopted_end(doing.since, doing.left))
    if protocol.adopts(process.held, new, doing.rejected):
        process = process._replace(held=new)
    return _with(world, number, process)


def _called(world: World, number: int, doing: Doing, protocol: Protocol) -> World:
    process = world.processes[number]
    if not protocol.may_call(doing.since):
        shared = protocol.fail(world.shared, str(number), -1)
        return _with(world, number, process._replace(doing=None), shared)
    for other in world.processes:
        theirs = other.doing
        calling = theirs is not None and theirs.what == CALLING and theirs.since + protocol.call > 0
        if calling and not protocol.forgets:
            raise Violation("I2: two calls at once, and neither caller has overslept")
    token = len(world.ends) + 1
    called = _with(world, number, process._replace(doing=doing._replace(what=CALLING, token=token)))
    return called._replace(ends=(*world.ends, LIFE))


def _failed(world: World, number: int, doing: Doing, protocol: Protocol) -> World:
    shared = protocol.fail(world.shared, str(number), 0)
    _check_write(world.shared, shared, number, 0, protocol)
    return _with(world, number, world.processes[number]._replace(doing=None), shared)


def _settled(world: World, number: int, doing: Doing, protocol: Protocol) -> World:
    process = world.processes[number]._replace(doing=None)
    life = LIFE * TICK
    token = Stored(_name(doing.token), b"", protocol.stored_end(doing.since) * TICK, life)
    shared = protocol.settle(world.shared, str(number), token, _name(doing.rejected))
    _check_write(world.shared, shared, number, doing.rejected, protocol)
    new = Held(doing.token, protocol.own_end(doing.since))
    if protocol.adopts(process.held, new, doing.rejected):
        process = process._replace(held=new)
    return _with(world, number, process, shared)


def _check_write(before: State, after: State, writer: int, rejected: int, protocol: Protocol) -> None:
    before = law.sound(before, 0, protocol.timing)
    foreign = before.owner not in ("", str(writer))
    if foreign and (after.owner, after.locked) != (before.owner, before.locked):
        raise Violation("I4: a lock was taken away from its owner")
    if after.gen < before.gen:
        raise Violation("I3: the generation went down")
    if before.token is None or before.token.id == _name(rejected):
        return
    if after.token is None or after.token.ends < before.token.ends:
        raise Violation("I3: a better token was replaced")


def check(world: World, protocol: Protocol) -> None:
    """What holds in every world. Raises `Violation`."""
    for process in world.processes:
        held = process.held
        if held is not None and protocol.left(process) > 0 and world.ends[held.token - 1] <= 0:
            raise Violation("I1: an expired token would be served")
    if world.shared.locked > ms(protocol.timing.lock_s):
        raise Violation("I5: a lock that outlives a lock")


def completes(world: World, protocol: Protocol) -> None:
    """From here on nobody sleeps or dies and the provider is well: within a lock, a call and a pause
    everybody has a token. Raises `Violation`."""
    timing = protocol.timing
    for _ in range(ms(timing.lock_s + timing.call_s + timing.most_wait_s) // TICK + 1):
        for number in range(len(world.processes)):
            world = _progress(world, number, protocol)
        if all(protocol.left(each) > 0 for each in world.processes):
            return
        world = _tick(world, protocol)
    raise Violation("I5: somebody waits for ever")


def _progress(world: World, number: int, protocol: Protocol) -> World:
    """All that a process can do now, and the provider with it."""
    while (process := world.processes[number]).doing is not None or protocol.left(process) <= 0:
        if process.doing is None:
            world = _asked(world, number, protocol, 0)
            if world.processes[number].doing is None:
                break  # locked or held back: it waits
            continue
        *_, best = _steps_of(world, number, process, protocol)  # an answer, where there may be a failure
        world = best
    return world


class Found(NamedTuple):
    """What a search has visited."""

    worlds: int
    steps: int


def search(processes: int, protocol: Protocol, most: int | None = None, *, every: int = 1) -> Found:
    """Visit every world (at most `most`), and see of each `every`-th that it comes to a good end. Raises
    `Violation`."""
    start = World(State(), (Process(),) * processes, ())
    seen, waiting, taken = {start}, deque([start]), 0
    while waiting and (most is None or len(seen) < most):
        world = waiting.popleft()
        check(world, protocol)
        if taken % every == 0:
            completes(world, protocol)
        for following in steps(world, protocol):
            taken += 1
            canonical = _canonical(following, protocol)
            if canonical not in seen:
                seen.add(canonical)
                waiting.append(canonical)
    return Found(len(seen), taken)


def _with(world: World, number: int, process: Process, shared: State | None = None) -> World:
    processes = (*world.processes[:number], process, *world.processes[number + 1 :])
    return World(world.shared if shared is None else shared, processes, world.ends)


def _tick(world: World, protocol: Protocol) -> World:
    """A tick later: all instants are nearer, or further back."""
    shared = world.shared
    shared = shared._replace(
        token=shared.token and shared.token._replace(ends=shared.token.ends - TICK),
        locked=max(0, shared.locked - TICK),
        held=max(0, shared.held - TICK),
        refused=max(0, shared.refused - TICK),
    )
    return World(
        shared,
        tuple(_later(each, protocol) for each in world.processes),
        tuple(max(0, end - 1) for end in world.ends),
    )


def _later(process: Process, protocol: Protocol) -> Process:
    held, doing = process.held, process.doing
    if held is not None:
        held = held._replace(ends=held.ends - 1)
        if held.ends <= 0 and protocol.left(process._replace(held=held)) <= 0:
            held = None  # it may as well not be there: the store does not know it any more, either
    if doing is not None:
        # A call back while it may call, else a life: anything further is as good as that.
        furthest = -protocol.call - 1 if doing.what in (GRANTED, CALLING) else -LIFE
        doing = doing._replace(since=max(furthest, doing.since - 1))
    return process._replace(held=held, doing=doing)


def _canonical(world: World, protocol: Protocol) -> World:
    """One world for all that differ in names only."""
    shared = law.sound(world.shared, 0, protocol.timing)
    owner = int(shared.owner) if shared.owner.isdigit() else -1
    order = sorted(range(len(world.processes)), key=lambda at: (_key(world.processes[at]), at == owner))
    names, ends = {0: 0}, []

    def named(token: int) -> int:
        if token not in names:
            names[token] = len(names)
            ends.append(world.ends[token - 1])
        return names[token]

    token = shared.token
    if token is not None:
        token = token._replace(id=_name(named(int(token.id))))
    processes = tuple(_renamed(world.processes[at], named) for at in order)
    owners = str(order.index(owner)) if owner >= 0 else shared.owner
    shared = State(token, 0, owners, shared.locked, shared.held, min(shared.failures, 1), shared.refused, 0)
    return World(shared, processes, tuple(ends))


def _renamed(process: Process, named: Callable[[int], int]) -> Process:
    held, doing = process.held, process.doing
    return Process(
        held and Held(named(held.token), held.ends),
        doing and doing._replace(token=named(doing.token), rejected=named(doing.rejected)),
        process.off,
    )


def _key(process: Process) -> tuple[object, ...]:
    return (process.held or Held(0, 0), process.doing or Doing("", 0, 0), process.off)


def _name(token: int) -> str:
    return str(token) if token else ""
