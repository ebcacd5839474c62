"""Syncs as a process makes them: over a database, with the simulated supplier over real sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from farmlokal.outward import suppliers_of, upstream_of
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database import database_at
from farmlokal.settings import Settings
from farmlokal.suppliers.jobs import State
from farmlokal.suppliers.representation import Job
from farmlokal.suppliers.sync import SupplierSync
from tests.support.provider import Running


def settings_of(url: str, outside: Running) -> dict[str, str]:
    """The settings of a process that syncs with all three formats: `external`, `mandi` and `shop`."""
    return {
        **outside.settings,
        "FARMLOKAL_DATABASE_URL": url,
        "FARMLOKAL_RATE_LIMIT": "off",
        "FARMLOKAL_SUPPLIERS": (
            f"mandi=datagovin:{outside.url}/records,shop=shopify:{outside.url}/products.json"
        ),
    }


@asynccontextmanager
async def syncing(url: str, outside: Running, clock: SystemClock) -> AsyncIterator[SupplierSync]:
    """The syncs of one process."""
    settings = Settings.load(settings_of(url, outside))
    database, token = database_at(url, 4), upstream_of(settings, None, b"", clock)
    assert token is not None
    await database.open()
    await token.open()
    known = suppliers_of(settings, database, token, clock)
    try:
        await known.open(schedule=False)
        yield known.sync
    finally:
        await known.close()
        await token.close()
        await database.close()


async def synced(sync: SupplierSync, name: str, *, dry_run: bool = False) -> Job:
    """One run to its end."""
    return await sync.job((await sync.run(await sync.begin(name, dry_run=dry_run))).id)


async def done(sync: SupplierSync, name: str) -> Job:
    """One run that has to end well."""
    job = await synced(sync, name)
    assert job.state == State.DONE, (job.state, job.reason)
    return job
