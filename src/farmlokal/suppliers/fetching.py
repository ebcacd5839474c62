"""The first half of a run: page after page into the staging table, each in one transaction with how far the
run has come. Nothing of the catalogue is touched.
"""

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import NamedTuple

import msgspec

from farmlokal.catalog.writes import CatalogueWriter
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import Database, Transaction
from farmlokal.platform.resilience.attempts import Attempts
from farmlokal.platform.resilience.bulkhead import Bulkhead
from farmlokal.platform.resilience.circuit_breaker import CircuitBreaker
from farmlokal.platform.resilience.deadline import Deadline
from farmlokal.platform.resilience.failures import CallFailed, UpstreamRefused
from farmlokal.suppliers import schema
from farmlokal.suppliers.client import SupplierClient
from farmlokal.suppliers.formats import Format
from farmlokal.suppliers.jobs import PageFailed, Progress
from farmlokal.suppliers.journal import Journal
from farmlokal.suppliers.models import RefusedItem, Supplier, SupplierOffer, SupplierPage

PAGE_S = 20.0
"""Longest for a page, its attempts included: nobody waits at the other end."""

PAGES, OFFERS = 5_000, 500_000
"""Most of a run: five times the largest published market day in pages of ten."""

QUARANTINED = 1_000
"""Most refusals of a run that are kept; all are counted."""

KEYS_A_PAGE = 100_000
"""More than the products that the refused items of a page can be about."""


class Source(NamedTuple):
    """A supplier to fetch from."""

    supplier: Supplier
    format: Format
    client: SupplierClient
    breaker: CircuitBreaker


class Fetching:
    """Fetches the pages of runs."""

    def __init__(self, database: Database, journal: Journal, clock: SystemClock, random: Random) -> None:
        self._database = database
        self._journal = journal
        self._clock = clock
        self._random = random
        self._writer = CatalogueWriter(database)

    async def run(self, job: Progress, source: Source, owner: str) -> Progress:
        """Fetch what is left of a run. Raises `PageFailed`."""
        attempts = Attempts(source.breaker, Bulkhead(), self._clock, self._random)
        while job.following is not None:
            if job.pages >= PAGES or job.lines >= OFFERS:
                raise PageFailed(f"The supplier has more than {PAGES} pages or {OFFERS} offers.")
            page = await self._page(attempts, source, job.following)
            job = await self._keep(job, page, owner)
        return job

    async def _page(self, attempts: Attempts, source: Source, query: Mapping[str, str]) -> SupplierPage:
        today = self._clock.today()
        work = source.client.asking(
            query, lambda body: source.format.read(body, query, source.supplier, today)
        )
        try:
            page, _ = await attempts.idempotent(work, Deadline.after(self._clock, PAGE_S))
        except UpstreamRefused as refusal:
            raise PageFailed(f"The supplier refused a page ({refusal}).") from None
        except CallFailed as failure:
            raise PageFailed(f"The supplier did not give a page ({failure.reason}).") from None
        return page

    async def _keep(self, job: Progress, page: SupplierPage, owner: str) -> Progress:
        async def work(tx: Transaction) -> Progress:
            await self._journal.keep_turn(tx, job.supplier, owner)
            staged, refused = await self._new(tx, job, page)
            line = _Lines(job.lines)
            await self._stage(tx, job, line, staged)
            await self._stage_refused(tx, job, page)
            await self._refuse(tx, job, line, refused)
            changed = msgspec.structs.replace(
                job,
                following=None if page.following is None else dict(page.following),
                pages=job.pages + 1,
                lines=line.last,
                total=page.total if page.total is not None else job.total,
                refused=job.refused + len(refused),
            )
            await self._journal.change_job(
                tx,
                job.id,
                following=None if page.following is None else msgspec.json.encode(page.following).decode(),
                pages=changed.pages,
                lines=changed.lines,
                total=changed.total,
                refused=changed.refused,
            )
            return changed

        return await self._database.write(work, bulk=True)

    async def _new(
        self, tx: Transaction, job: Progress, page: SupplierPage
    ) -> tuple[list[SupplierOffer], list[RefusedItem]]:
        """The offers whose key no earlier page had, and all that is refused."""
        keys = [offer.product.external_key for offer in page.offers]
        wanted: dict[str, Sequence[object]] = {"job_id": [job.id], "external_key": keys}
        found = await self._journal.find(tx, schema.supplier_job_offers, ["external_key"], wanted)
        known = {str(key) for (key,) in found} if keys else set()
        new, refused = [], list(page.refused)
        for offer in page.offers:
            key = offer.product.external_key
            if key in known:
                reason = f"key {offer.key!r} was offered already; the first offer counts"
                refused.append(RefusedItem(0, "duplicate_key", reason, offer.product.name))
            else:
                known.add(key)
                new.append(offer)
        return new, refused

    async def _stage(
        self, tx: Transaction, job: Progress, line: "_Lines", offers: Iterable[SupplierOffer]
    ) -> None:
        rows = [
            _staged(job, line.next(), offer.product.external_key, msgspec.json.encode(offer.product).decode())
            for offer in offers
        ]
        await self._journal.insert(tx, schema.supplier_job_offers, rows)

    async def _stage_refused(self, tx: Transaction, job: Progress, page: SupplierPage) -> None:
        """Note what is offered badly: under lines below zero, which are never applied."""
        keys = list(dict.fromkeys(key for item in page.refused for key in item.keys))
        if not keys:
            return
        wanted: dict[str, Sequence[object]] = {"job_id": [job.id], "external_key": keys}
        found = await self._journal.find(tx, schema.supplier_job_offers, ["external_key"], wanted)
        there = {str(key) for (key,) in found}
        first = -(job.pages + 1) * KEYS_A_PAGE
        new = [key for key in keys if key not in there][:KEYS_A_PAGE]
        rows = [_staged(job, first + number, key, None) for number, key in enumerate(new)]
        await self._journal.insert(tx, schema.supplier_job_offers, rows)

    async def _refuse(
        self, tx: Transaction, job: Progress, line: "_Lines", refused: Iterable[RefusedItem]
    ) -> None:
        now_us = self._clock.now_us()
        room = max(0, QUARANTINED - job.refused)
        rows: list[tuple[object, ...]] = []
        for item in refused:
            place = (
                f"page {job.pages + 1}, item {item.number}: " if item.number else f"page {job.pages + 1}: "
            )
            number = line.next()
            if len(rows) < room:
                why = (item.code[:60], (place + item.reason)[:500], item.raw[:2000])
                rows.append((job.import_id, number, *why, now_us))
        if rows:
            await self._writer.insert_quarantine(tx, rows)


def _staged(job: Progress, line: int, key: str, draft: str | None) -> dict[str, object]:
    return {"job_id": job.id, "line": line, "external_key": key, "draft": draft}


class _Lines:
    """Numbers for what a run is offered, in the order in which it came."""

    def __init__(self, last: int) -> None:
        self.last = last

    def next(self) -> int:
        """One more."""
        self.last += 1
        return self.last
