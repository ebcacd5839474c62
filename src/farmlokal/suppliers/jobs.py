"""A run of a sync: its states, what it would change, and when that is too much to be done unasked. No I/O."""

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from farmlokal.catalog.models import ProductDraft

JUMP = 10
"""A price so many times the last one, or a part of it that small, is not believed. Of 14,070 published mandi
prices of two days in a row none is; two are five times the last one."""

MOVE = 1.5
"""A price that moves by this factor has moved much: 2 % of the published ones did from day to day."""

CHANGED, MOVED, VANISHED = 0.75, 0.10, 0.30
"""Shares beyond which a person is asked. Measured on 19 pairs of days of published prices: at most 54 % of
the listings change, 2.4 % move much, and on most days up to 28 % are missing; more are missing where markets
are closed, and a closed market is not sold out."""

FEW = 3
"""So many are never too many: of four offers one is a quarter. All that a supplier has always are."""

SAMPLES = 20
"""Most changes that a run shows one by one."""


class State(StrEnum):
    """How far a run is."""

    FETCHING = "fetching"  # pages are coming in; nothing is written yet
    WAITING = "waiting"  # for somebody's approval
    APPLYING = "applying"
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"  # a newer run has begun


UNFINISHED = (State.FETCHING, State.APPLYING)
"""States in which a run goes on by itself, wherever it was cut off."""


class Change(Struct, frozen=True, rename="camel"):
    """One difference: the product's key and name, its price before (null: there was none) and after."""

    key: str
    name: str
    before: str | None
    after: str | None


class Diff(Struct, rename="camel"):
    """What a run changes: products `created`, `changed` (of them `moved`: in price, much), `unchanged`;
    `vanished` ones go out of stock, `returned` ones are back; `held` are offers whose price is not believed.
    Of `known` products of the supplier so many were on offer before. `complete`: as many items came as the
    supplier said there are; else nothing is taken as vanished."""

    created: int = 0
    changed: int = 0
    moved: int = 0
    unchanged: int = 0
    deleted: int = 0
    vanished: int = 0
    returned: int = 0
    held: int = 0
    known: int = 0
    complete: bool = True
    samples: list[Change] = []

    @property
    def writes(self) -> int:
        """How many products become others."""
        return self.created + self.changed + self.vanished + self.returned


class PageFailed(Exception):
    """A page could not be had or read; the text is ours, and short."""


class Progress(Struct, frozen=True):
    """A run as it is stored."""

    id: int
    supplier: str
    import_id: int
    state: State
    dry_run: bool
    following: dict[str, str] | None
    pages: int
    lines: int
    total: int | None
    applied: int
    refused: int
    diff: Diff | None
    reason: str
    created_at_us: int
    updated_at_us: int
    finished_at_us: int | None


def too_much(diff: Diff) -> list[str]:
    """Why somebody should look before this is done; empty where nobody has to."""
    return list(_reasons(diff))


def _reasons(diff: Diff) -> Iterator[str]:
    seen = diff.changed + diff.unchanged + diff.held
    if diff.known and diff.vanished == diff.known:
        yield f"all {diff.known} products would go out of stock"
    elif _beyond(diff.vanished, diff.known, VANISHED):
        yield f"{diff.vanished} of {diff.known} products would go out of stock, more than {VANISHED:.0%}"
    if _beyond(diff.changed, seen, CHANGED):
        yield f"{diff.changed} of {seen} products would change, more than {CHANGED:.0%}"
    if _beyond(diff.moved + diff.held, seen, MOVED):
        much = diff.moved + diff.held
        yield f"{much} of {seen} prices would move by {MOVE} times or more, more than {MOVED:.0%}"


def _beyond(count: int, of: int, share: float) -> bool:
    return count > max(FEW, share * of)


def disbelief(draft: ProductDraft, last_minor: int) -> str | None:
    """Why the price of an offer is not believed, given the last one of that product."""
    price = draft.price_minor
    if not last_minor or not price or max(price, last_minor) < JUMP * min(price, last_minor):
        return None if price or not last_minor else f"price 0; the last one was {rupees(last_minor)}"
    factor = max(price, last_minor) / min(price, last_minor)
    which = "times the last one" if price > last_minor else "times less than the last one"
    return (
        f"price {rupees(price)} is {factor:.1f} {which}, {rupees(last_minor)}; set the product's price to"
        " accept it"
    )


def moved(before_minor: int, after_minor: int) -> bool:
    """Whether a price has moved much."""
    low, high = sorted((before_minor, after_minor))
    return high >= MOVE * low if low else high > 0


def rupees(minor: int) -> str:
    """Paise as rupees."""
    return f"{minor // 100}.{minor % 100:02}"
