"""One batch of rows into the catalogue: what is there already, what changes, the writes, in one transaction.

Everything a batch needs is looked up in a handful of statements, decided in memory in the order of the
file, and written in a handful more; so a batch of 10,000 rows costs a dozen round trips.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from farmlokal.catalog.importing.ids import Ids
from farmlokal.catalog.importing.merge import (
    PRICE,
    PRICE_ON,
    Fate,
    History,
    Quote,
    contradicts,
    merged,
    newer,
    priced,
    product_row,
)
from farmlokal.catalog.importing.rows import Rejected, SourceRow
from farmlokal.catalog.models import PostcodePlace, PriceObservation, ProductDraft
from farmlokal.catalog.writes import CatalogueWriter
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import Row, Transaction

T = TypeVar("T")


Origin = tuple[int | None, int | None]
"""The import that described a product last, and the line of its file; (None, None): no file did."""


@dataclass(slots=True)
class _Known:
    """A product as the batch sees it: stored, or created by an earlier row of the batch."""

    row: Row
    origin: Origin
    id: int | None = None
    deleted: bool = False
    changed: bool = False


@dataclass(slots=True)
class _Batch:
    """What one batch knows and has decided. Products are by external key."""

    import_id: int | None
    products: dict[str, _Known]
    history: History
    refused: list[tuple[SourceRow, Rejected]]
    fates: Counter[Fate]
    writing: Callable[[], None]


class BatchLoader:
    """Merges batches of source rows into the catalogue."""

    def __init__(self, writer: CatalogueWriter, clock: SystemClock) -> None:
        self._writer = writer
        self._clock = clock
        self._ids = Ids(writer)

    def forget(self) -> None:
        """Drop what is remembered between batches: before another file, or after a rollback."""
        self._ids.forget()

    async def insert(
        self, tx: Transaction, drafts: Sequence[ProductDraft], writing: Callable[[], None]
    ) -> None:
        """Insert products that are all new, with their first prices but no price ranges.

        `writing` is called when everything is decided and the database begins to write.
        """
        now_us, today = self._clock.now_us(), self._clock.today().isoformat()
        ids = await self._ids.learn(tx, drafts, now_us)
        rows = [
            (*product_row(draft, *refers), None, None, draft.created_at_us or now_us, now_us, 1)
            for draft, refers in zip(drafts, ids, strict=True)
        ]
        last = await self._writer.last_product_id(tx)
        writing()
        await self._writer.insert_products(tx, rows)
        await self._writer.insert_first_prices(tx, last, today)

    async def load(
        self,
        tx: Transaction,
        import_id: int | None,
        rows: Sequence[SourceRow],
        writing: Callable[[], None],
    ) -> Counter[Fate]:
        """Merge the rows, in their order; returns how many met which fate.

        `writing` is called when everything is decided and the database begins to write.
        """
        refused = [(row, row.value) for row in rows if isinstance(row.value, Rejected)]
        batch = _Batch(import_id, {}, History({}), refused, Counter(), writing)
        if drafts := _of(rows, ProductDraft):
            await self._load_products(tx, batch, drafts)
        if observations := _of(rows, PriceObservation):
            await self._load_observations(tx, batch, observations)
        if places := _of(rows, PostcodePlace):
            await self._load_postcodes(tx, batch, [place for _, place in places])
        batch.fates[Fate.QUARANTINED] += len(batch.refused)
        await self._write_quarantine(tx, batch)
        return batch.fates

    async def _load_products(
        self, tx: Transaction, batch: _Batch, drafts: Sequence[tuple[SourceRow, ProductDraft]]
    ) -> None:
        now_us, today = self._clock.now_us(), self._clock.today().isoformat()
        ids = await self._ids.learn(tx, [draft for _, draft in drafts], now_us)
        keys = [draft.external_key for _, draft in drafts]
        _know(batch, await self._writer.products_by(tx, "external_key", keys))
        await self._know_history(tx, batch, [draft.price_on or today for _, draft in drafts])
        for (row, draft), refers in zip(drafts, ids, strict=True):
            fate = _merge_draft(batch, draft, row.line, refers, today)
            self._count(batch, row, fate, "describes the same product otherwise")
        born = {draft.external_key: draft.created_at_us or now_us for _, draft in reversed(drafts)}
        await self._write_products(tx, batch, now_us, born)

    async def _load_observations(
        self, tx: Transaction, batch: _Batch, observations: Sequence[tuple[SourceRow, PriceObservation]]
    ) -> None:
        """A price file names a product by its source's label or by its external key."""
        labels = [observation.product_key for _, observation in observations]
        by_label: dict[str, str] = {}
        for column, position in (("external_key", 0), ("alias_key", 1)):
            stored = await self._writer.products_by(tx, column, labels)
            _know(batch, stored)
            by_label |= {row[4 + position]: row[4] for row in stored}
        await self._know_history(tx, batch, [observation.observed_on for _, observation in observations])
        for row, observation in observations:
            key = by_label.get(observation.product_key)
            if key is None:
                reason = "no product has this key; import the file of products first"
                batch.refused.append((row, Rejected("unknown product", reason)))
            else:
                fate = _merge_observation(batch, key, observation)
                self._count(batch, row, fate, "gives the same product another price on this day")
        await self._write_products(tx, batch, self._clock.now_us(), {})

    async def _load_postcodes(self, tx: Transaction, batch: _Batch, places: Sequence[PostcodePlace]) -> None:
        stored = {
            row[:3]: row[3:] for row in await self._writer.postcodes_by(tx, [p.postcode for p in places])
        }
        new: dict[Row, Row] = {}
        changed: dict[Row, Row] = {}
        for place in places:
            key = (place.postcode, place.state, place.district)
            values = (place.latitude_e6, place.longitude_e6, place.offices)
            known = changed.get(key) or new.get(key) or stored.get(key)
            if known == values or key in new or key in changed:
                batch.fates[Fate.UNCHANGED] += 1  # said already; within one file the first row counts
            elif known is None:
                new[key] = values
                batch.fates[Fate.CREATED] += 1
            else:
                changed[key] = values
                batch.fates[Fate.UPDATED] += 1
        await self._writer.insert_postcodes(tx, [(*key, *values) for key, values in new.items()])
        await self._writer.update_postcodes(tx, [(*values, *key) for key, values in changed.items()])

    async def _know_history(self, tx: Transaction, batch: _Batch, days: Iterable[str]) -> None:
        keys = {known.id: key for key, known in batch.products.items() if known.id is not None}
        stored = await self._writer.prices_on(tx, keys, days) if keys else []
        batch.history = History({(keys[row[0]], row[1]): Quote(*row[2:]) for row in stored})

    def _count(self, batch: _Batch, row: SourceRow, fate: Fate | None, otherwise: str) -> None:
        if fate is None:
            batch.refused.append((row, Rejected("contradiction", f"an earlier row of this file {otherwise}")))
        else:
            batch.fates[fate] += 1

    async def _write_products(
        self, tx: Transaction, batch: _Batch, now_us: int, born: dict[str, int]
    ) -> None:
        batch.writing()
        new = [known for known in batch.products.values() if known.id is None]
        created = await self._writer.insert_products(
            tx, [(*known.row, *known.origin, born[known.row[0]], now_us, 1) for known in new]
        )
        changed = [known for known in batch.products.values() if known.id is not None and known.changed]
        await self._writer.update_products(
            tx, [(*known.row, *known.origin, now_us, known.id) for known in changed]
        )
        ids = {key: known.id for key, known in batch.products.items() if known.id is not None}
        ids.update((known.row[0], identity) for known, identity in zip(new, created, strict=True))
        added = [(ids[key], day, *quote) for (key, day), quote in batch.history.added.items()]
        await self._writer.insert_prices(tx, added)
        corrected = [(*quote, ids[key], day) for (key, day), quote in batch.history.corrected.items()]
        await self._writer.update_prices(tx, corrected)

    async def _write_quarantine(self, tx: Transaction, batch: _Batch) -> None:
        if not batch.refused or batch.import_id is None:
            return
        known = await self._writer.quarantined_lines(
            tx, batch.import_id, [row.line for row, _ in batch.refused]
        )
        rows = [
            (batch.import_id, row.line, why.code[:60], why.reason[:500], row.raw, self._clock.now_us())
            for row, why in batch.refused
            if row.line not in known
        ]
        await self._writer.insert_quarantine(tx, rows)


def _of(rows: Sequence[SourceRow], kind: type[T]) -> list[tuple[SourceRow, T]]:
    return [(row, row.value) for row in rows if isinstance(row.value, kind)]


def _know(batch: _Batch, stored: Iterable[Row]) -> None:
    for identity, deleted_at_us, import_id, import_line, *row in stored:
        origin = (import_id, import_line)
        batch.products[row[0]] = _Known(tuple(row), origin, identity, deleted_at_us is not None)


def _merge_draft(
    batch: _Batch, draft: ProductDraft, line: int, ids: tuple[int, int, int], today: str
) -> Fate | None:
    """None when the file contradicts itself."""
    origin = (batch.import_id, line)
    row = product_row(draft, *ids)
    quote = Quote(draft.price_minor, draft.price_low_minor, draft.price_high_minor, batch.import_id)
    known = batch.products.get(draft.external_key)
    if known is None:
        batch.products[draft.external_key] = _Known(row, origin)
        batch.history.enter(draft.external_key, draft.price_on or today, quote)
        return Fate.CREATED
    if known.deleted:
        return Fate.DELETED
    after = merged(known.row, row, price_only=draft.price_only)
    if not draft.price_only:
        described_here = known.origin[0] == batch.import_id and known.origin[1] != line
        if described_here and contradicts(known.row, after, dated=draft.price_on is not None):
            return None
        known.origin = origin if after != known.row else known.origin
    entered: bool | None = False
    if draft.price_on is not None:
        entered = batch.history.enter(draft.external_key, draft.price_on, quote)
    elif after[PRICE] != known.row[PRICE]:
        entered = batch.history.enter(draft.external_key, today, quote)
    return _settle(known, after, entered)


def _merge_observation(batch: _Batch, key: str, observation: PriceObservation) -> Fate | None:
    """None when the file contradicts itself."""
    known = batch.products[key]
    if known.deleted:
        return Fate.DELETED
    quote = Quote(observation.price_minor, observation.low_minor, observation.high_minor, batch.import_id)
    entered = batch.history.enter(key, observation.observed_on, quote)
    after = known.row
    if newer(observation.observed_on, known.row[PRICE_ON]):
        after = priced(known.row, observation.price_minor, observation.observed_on)
    return _settle(known, after, entered)


def _settle(known: _Known, after: Row, entered: bool | None) -> Fate | None:
    if entered is None:
        return None
    if after == known.row:
        return Fate.OLDER if entered else Fate.UNCHANGED
    known.row, known.changed = after, True
    return Fate.UPDATED
