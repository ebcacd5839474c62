"""The second half of a run: what was offered against the catalogue, first to look at and then for good.

Looking is doing: a batch is merged by the very code that will merge it, and rolled back. So a diff cannot
tell of anything else than what an approval brings about.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from farmlokal.catalog.importing.batch import BatchLoader
from farmlokal.catalog.importing.merge import PRICE, PRICE_ON, Fate, newer
from farmlokal.catalog.importing.rows import SourceRow
from farmlokal.catalog.models import PRODUCT_COLUMNS, ProductDraft
from farmlokal.catalog.writes import CatalogueWriter
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import Database, Row, Transaction, Work
from farmlokal.suppliers import schema
from farmlokal.suppliers.fetching import QUARANTINED
from farmlokal.suppliers.jobs import SAMPLES, Change, Diff, Progress, disbelief, moved, rupees
from farmlokal.suppliers.journal import Journal

BATCH = 500
"""Offers of a transaction: others who write wait for that long, some 50 ms."""

_IN_ROW = 4
"""Where PRODUCT_COLUMNS begin in what `products_by` returns: after id, tombstone and origin."""

_NAME, _STOCK = PRODUCT_COLUMNS.index("name"), PRODUCT_COLUMNS.index("stock_milli")

T = TypeVar("T")

Staged = tuple[int, str, ProductDraft]


class _RolledBack(Exception):
    """Ends a transaction that was only to see what it would do."""


class Applying:
    """Compares runs with the catalogue, and writes them into it."""

    def __init__(self, database: Database, journal: Journal, clock: SystemClock) -> None:
        self._database = database
        self._journal = journal
        self._clock = clock
        self._writer = CatalogueWriter(database)
        self._loader = BatchLoader(self._writer, clock)

    async def look(self, job: Progress, owner: str) -> Diff:
        """What the run would change. Offers whose price is not believed are set aside."""
        diff, line = Diff(complete=job.total is None or job.lines >= job.total), 0
        diff.known = await self._database.write(lambda tx: self._journal.count_known(tx, job.supplier))
        while True:
            last = await self._database.write(
                lambda tx, line=line: self._disbelieve(tx, job, owner, line, diff)  # type: ignore[misc]
            )
            if last is None:
                break
            fates = await self._would(job, line)
            diff.created += fates[Fate.CREATED]
            diff.changed += fates[Fate.UPDATED]
            diff.unchanged += fates[Fate.UNCHANGED] + fates[Fate.OLDER]
            diff.deleted += fates[Fate.DELETED]
            line = last
        diff.vanished = len(await self._all_gone(job)) if diff.complete else 0
        return diff

    async def apply(self, job: Progress, owner: str) -> None:
        """Write what was offered, from where the run was cut off, and take what has vanished out of stock."""
        line: int | None = job.applied
        while line is not None:
            line = await self._write(lambda tx, line=line: self._batch(tx, job, owner, line))  # type: ignore[misc]
        if job.diff is None or job.diff.complete:
            gone = await self._all_gone(job)
            for first in range(0, len(gone), BATCH):
                keys = gone[first : first + BATCH]
                await self._write(lambda tx, keys=keys: self._sell_out(tx, job, owner, keys))  # type: ignore[misc]

    async def _disbelieve(
        self, tx: Transaction, job: Progress, owner: str, after: int, diff: Diff
    ) -> int | None:
        """Set aside the offers of a batch whose price is absurd, and note what else is to be seen of prices.
        The last line of the batch, None after the end."""
        await self._journal.keep_turn(tx, job.supplier, owner)
        batch = await self._journal.staged(tx, job.id, after, BATCH)
        offers = [(line, key, draft) for line, key, draft in batch if draft is not None]
        stored = await self._stored(tx, [key for _, key, _ in offers])
        held: list[tuple[int, str, ProductDraft, str]] = []
        for line, key, draft in offers:
            last = stored.get(key)
            if last is None:
                _note(diff, key, draft, None)
                continue
            price = last[PRICE]
            if not newer(draft.price_on, last[PRICE_ON]) or draft.price_minor == price:
                continue
            if (why := disbelief(draft, price)) is not None:
                held.append((line, key, draft, why))
                continue
            diff.moved += moved(price, draft.price_minor)
            _note(diff, key, draft, price)
        await self._hold(tx, job, held, diff)
        out = await self._vanished(tx, job, [key for _, key, _ in offers])
        diff.returned += len(out)
        return batch[-1][0] if batch else None

    async def _hold(
        self, tx: Transaction, job: Progress, held: Sequence[tuple[int, str, ProductDraft, str]], diff: Diff
    ) -> None:
        now_us, rows = self._clock.now_us(), []
        lines = (
            await self._writer.quarantined_lines(tx, job.import_id, [line for line, *_ in held])
            if held
            else ()
        )
        for line, key, draft, why in held:
            at = {"job_id": job.id, "line": line}
            await self._journal.change(tx, schema.supplier_job_offers, at, {"draft": None})
            if line not in lines and job.refused + diff.held < QUARANTINED:
                raw = f"{key}: {draft.name}, {rupees(draft.price_minor)}"
                rows.append((job.import_id, line, "price_jump", why[:500], raw[:2000], now_us))
            diff.held += 1
        if rows:
            await self._writer.insert_quarantine(tx, rows)

    async def _would(self, job: Progress, after: int) -> Counter[Fate]:
        """What becomes of the offers of a batch, found out by doing it and rolling it back."""
        fates: Counter[Fate] = Counter()

        async def work(tx: Transaction) -> None:
            nonlocal fates
            batch = await self._journal.staged(tx, job.id, after, BATCH)
            self._loader.forget()
            fates = await self._load(tx, job, _believed(batch))
            raise _RolledBack

        try:
            await self._database.write(work, bulk=True)
        except _RolledBack:
            self._loader.forget()
        return fates

    async def _batch(self, tx: Transaction, job: Progress, owner: str, after: int) -> int | None:
        batch = await self._journal.staged(tx, job.id, after, BATCH)
        if not batch:
            return None
        believed = _believed(batch)
        keys = [key for _, key, _ in batch]
        returned = await self._vanished(tx, job, keys)
        fates = await self._load(tx, job, believed)
        changed = bool(fates[Fate.CREATED] or fates[Fate.UPDATED] or fates[Fate.OLDER])
        changed |= await self._restock(tx, returned, believed)
        await self._know(tx, job, keys, returned)
        await self._journal.change_job(tx, job.id, applied=batch[-1][0])
        await self._journal.keep_turn(tx, job.supplier, owner)
        if changed:
            await self._writer.raise_version(tx, self._clock.now_us())
        return batch[-1][0]

    async def _load(self, tx: Transaction, job: Progress, offers: Sequence[Staged]) -> Counter[Fate]:
        rows = [SourceRow(line, draft, "") for line, _, draft in offers]
        return await self._loader.load(tx, job.import_id, rows, lambda: None)

    async def _restock(
        self, tx: Transaction, returned: dict[str, int | None], offers: Sequence[Staged]
    ) -> bool:
        """Give products that are offered again the stock that they had, where the supplier tells of none."""
        silent = [key for _, key, draft in offers if draft.price_only and key in returned]
        rows = []
        for row in await self._writer.products_by(tx, "external_key", silent) if silent else []:
            before = returned[str(row[_IN_ROW])]
            if row[1] is None and row[_IN_ROW + _STOCK] == 0 and before != 0:
                rows.append(self._with_stock(row, before))
        await self._writer.update_products(tx, rows)
        return bool(rows)

    async def _sell_out(self, tx: Transaction, job: Progress, owner: str, keys: Sequence[str]) -> None:
        """Take what is offered no more out of stock: who wants to buy cannot, who looks still can."""
        changed = []
        stock: dict[str, int | None] = {}
        for row in await self._writer.products_by(tx, "external_key", keys):
            before = row[_IN_ROW + _STOCK]
            stock[str(row[_IN_ROW])] = before
            if row[1] is None and before != 0:
                changed.append(self._with_stock(row, 0))
        await self._writer.update_products(tx, changed)
        for key in keys:
            at = {"supplier": job.supplier, "external_key": key}
            gone = {"vanished": 1, "stock_before_milli": stock.get(key), "job_id": job.id}
            await self._journal.change(tx, schema.supplier_products, at, gone)
        await self._journal.keep_turn(tx, job.supplier, owner)
        if changed:
            await self._writer.raise_version(tx, self._clock.now_us())

    def _with_stock(self, row: Row, stock_milli: int | None) -> Row:
        identity, _, *rest = row
        changed = list(rest)
        changed[2 + _STOCK] = stock_milli  # after the origin
        origin, columns = changed[:2], changed[2:]
        return (*columns, *origin, self._clock.now_us(), identity)

    async def _know(
        self, tx: Transaction, job: Progress, keys: Sequence[str], returned: Iterable[str]
    ) -> None:
        """Note that these are offered by this supplier."""
        table = schema.supplier_products
        wanted = {"supplier": [job.supplier], "external_key": keys}
        known = {str(key) for (key,) in await self._journal.find(tx, table, ["external_key"], wanted)}
        seen = {"job_id": job.id, "vanished": 0, "stock_before_milli": None}
        new = [{"supplier": job.supplier, "external_key": key, **seen} for key in keys if key not in known]
        await self._journal.insert(tx, table, new)
        for key in returned:
            await self._journal.change(tx, table, {"supplier": job.supplier, "external_key": key}, seen)

    async def _vanished(self, tx: Transaction, job: Progress, keys: Sequence[str]) -> dict[str, int | None]:
        """Those of these products that had vanished, and the stock that they had."""
        if not keys:
            return {}
        wanted = {"supplier": [job.supplier], "external_key": keys, "vanished": [1]}
        columns = ["external_key", "stock_before_milli"]
        rows = await self._journal.find(tx, schema.supplier_products, columns, wanted)
        return {str(key): stock for key, stock in rows}

    async def _all_gone(self, job: Progress) -> list[str]:
        gone: list[str] = []
        while True:
            after = gone[-1] if gone else ""
            more = await self._database.write(
                lambda tx, after=after: self._journal.gone(tx, job.supplier, job.id, after, 10_000)  # type: ignore[misc]
            )
            if not more:
                return gone
            gone += more

    async def _stored(self, tx: Transaction, keys: Sequence[str]) -> dict[str, Row]:
        """Products that are there, by external key, as rows of PRODUCT_COLUMNS."""
        rows = await self._writer.products_by(tx, "external_key", keys) if keys else []
        return {str(row[_IN_ROW]): row[_IN_ROW:] for row in rows if row[1] is None}

    async def _write(self, work: Work[T]) -> T:
        """A transaction in which what the loader remembers of one that was rolled back is forgotten."""

        async def run(tx: Transaction) -> T:
            self._loader.forget()
            return await work(tx)

        return await self._database.write(run, bulk=True)


def _believed(batch: Sequence[tuple[int, str, ProductDraft | None]]) -> list[Staged]:
    return [(line, key, draft) for line, key, draft in batch if draft is not None]


def _note(diff: Diff, key: str, draft: ProductDraft, before: int | None) -> None:
    if len(diff.samples) < SAMPLES:
        price = None if before is None else rupees(before)
        diff.samples.append(Change(key, draft.name, price, rupees(draft.price_minor)))
