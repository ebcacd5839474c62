"""Suppliers and their runs as operators see them."""

from collections.abc import Mapping

from msgspec import Struct

from farmlokal.platform.clock import instant
from farmlokal.platform.database.port import Row
from farmlokal.suppliers.counts import SupplierState
from farmlokal.suppliers.jobs import Diff, Progress

SHOWN = 100
"""Most refusals that a run shows one by one."""


class Refusal(Struct, frozen=True):
    """An offer that was set aside: a code to count by, the reason for whoever mends it, the item as text."""

    line: int
    code: str
    reason: str
    item: str


class Quarantine(Struct, frozen=True):
    """How many offers were set aside, and the first of them."""

    count: int
    rows: list[Refusal]


class Job(Struct, frozen=True, rename="camel"):
    """A run of a sync: `fetching`, `waiting` for approval, `applying`, `done`, `failed` or `superseded` by a
    newer one. `reason` says why it waits or failed; `diff` is null until all pages are there."""

    id: int
    supplier: str
    state: str
    dry_run: bool
    pages: int
    offers: int
    diff: Diff | None
    quarantine: Quarantine
    reason: str
    created_at: str
    updated_at: str
    finished_at: str | None


class LastSync(Struct, frozen=True, rename="camel"):
    """The newest run of a supplier."""

    job: int
    state: str
    reason: str
    created_at: str
    finished_at: str | None


class SupplierEntry(Struct, frozen=True, rename="camel"):
    """A supplier: our name for it, its format, what this process did with it, seconds of life that the token
    which it is shown has left (null: none is at hand, or it is shown none), its newest run, whether one is
    under way, and when the next is due (null: only when it is asked for)."""

    name: str
    format: str
    calls: SupplierState
    token_left_s: float | None
    last_sync: LastSync | None
    syncing: bool
    next_sync_at: str | None


class SupplierList(Struct, frozen=True):
    """All suppliers of the settings."""

    data: list[SupplierEntry]


def job_of(progress: Progress, refused: list[Row]) -> Job:
    """A run with its first refusals."""
    held = progress.diff.held if progress.diff else 0
    return Job(
        id=progress.id,
        supplier=progress.supplier,
        state=progress.state,
        dry_run=progress.dry_run,
        pages=progress.pages,
        offers=progress.lines,
        diff=progress.diff,
        quarantine=Quarantine(progress.refused + held, [Refusal(*row) for row in refused]),
        reason=progress.reason,
        created_at=instant(progress.created_at_us),
        updated_at=instant(progress.updated_at_us),
        finished_at=_instant(progress.finished_at_us),
    )


def entry(
    name: str,
    form: str,
    calls: SupplierState,
    token_left_s: float | None,
    jobs: Mapping[str, Progress],
    turn: tuple[str, int, int] | None,
    now_us: int,
    *,
    scheduled: bool,
) -> SupplierEntry:
    """A supplier with what is written down of its syncs."""
    last = jobs.get(name)
    return SupplierEntry(
        name=name,
        format=form,
        calls=calls,
        token_left_s=token_left_s,
        last_sync=_last(last) if last else None,
        syncing=turn is not None and bool(turn[0]) and turn[1] > now_us,
        next_sync_at=instant(turn[2]) if turn is not None and scheduled else None,
    )


def _last(job: Progress) -> LastSync:
    began, ended = instant(job.created_at_us), _instant(job.finished_at_us)
    return LastSync(job.id, job.state, job.reason, began, ended)


def _instant(us: int | None) -> str | None:
    return None if us is None else instant(us)
