"""`farmlokal suppliers`: the state of syncs, and syncs by hand."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farmlokal.console import env_file_option, opened, settings_of
from farmlokal.platform.clock import SystemClock

if TYPE_CHECKING:
    from farmlokal.suppliers.representation import Job
    from farmlokal.suppliers.sync import Turn
    from farmlokal.suppliers.wiring import Suppliers

WAITS = 3
"""Exit code of a sync that waits for approval: nothing went wrong, and it is not done."""


@click.group()
def suppliers() -> None:
    """Suppliers, and syncs of the catalogue with them."""


@suppliers.command()
@env_file_option
def status(env_file: Path | None) -> None:
    """Every supplier and its last sync."""

    async def work() -> None:
        async with _suppliers(env_file) as known:
            listed = (await known.listed()).data
        if not listed:
            click.echo("No supplier is set: FARMLOKAL_SUPPLIER_URL, FARMLOKAL_SUPPLIERS.")
        for each in listed:
            last = each.last_sync
            told = (
                f"job {last.job} {last.state} {last.finished_at or ''}".rstrip() if last else "never synced"
            )
            now = "; one is under way" if each.syncing else ""
            click.echo(f"{each.name} ({each.format}): {told}{now}")
            if last and last.reason:
                click.echo(f"  {last.reason}")

    asyncio.run(work())


@suppliers.command()
@click.argument("names", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Show the difference, and write nothing.")
@click.option("--approve", type=click.IntRange(1), metavar="ID", help="Let the job go on that waits.")
@env_file_option
def sync(names: tuple[str, ...], approve: int | None, env_file: Path | None, *, dry_run: bool) -> None:
    """Bring the catalogue up to date with the suppliers called NAMES, or with all.

    Exit code 1: a supplier failed; 3: a job waits for approval.
    """
    if approve is not None and (names or dry_run):
        raise click.UsageError("--approve stands alone: it names a job.")

    async def work() -> int:
        async with _suppliers(env_file) as known:
            if approve is not None:
                return await _run(known, await known.sync.approve(approve))
            codes = [
                await _run(known, await known.sync.begin(name, dry_run=dry_run))
                for name in names or known.sync.names
            ]
        return max(codes, default=0)

    sys.exit(asyncio.run(work()))


async def _run(known: "Suppliers", turn: "Turn") -> int:
    job = await known.sync.job((await known.sync.run(turn)).id)
    _report(job)
    return {"waiting": WAITS, "failed": 1}.get(job.state, 0)


def _report(job: "Job") -> None:
    click.echo(f"{job.supplier}: job {job.id} {job.state}, {job.offers:,} offers on {job.pages:,} pages")
    if job.dry_run:
        click.echo("  a dry run: nothing was written")
    if job.reason:
        click.echo(f"  {job.reason}")
    if job.state == "waiting":
        click.echo(f"  look at it, then: farmlokal suppliers sync --approve {job.id}")
    if job.diff is not None:
        for fate in ("created", "changed", "moved", "unchanged", "deleted", "vanished", "returned", "held"):
            if count := getattr(job.diff, fate):
                click.echo(f"  {count:>9,} {fate}")
    if job.quarantine.count:
        click.echo(f"  {job.quarantine.count:>9,} set aside")
        for refusal in job.quarantine.rows[:10]:
            click.echo(f"            {refusal.code}: {refusal.reason}")


@asynccontextmanager
async def _suppliers(env_file: Path | None) -> "AsyncIterator[Suppliers]":
    from farmlokal.outward import suppliers_of, upstream_of

    settings, clock = settings_of(env_file), SystemClock()
    token = upstream_of(settings, None, b"", clock)
    async with opened(settings) as database, AsyncExitStack() as stack:
        known = suppliers_of(settings, database, token, clock)
        if token is not None:
            stack.push_async_callback(token.close)
            await token.open()
        stack.push_async_callback(known.close)
        await known.open(schedule=False)
        yield known
