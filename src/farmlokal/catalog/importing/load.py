"""Whole files into the catalogue: checked to the end first, then batch by batch, resumable.

Each batch is one transaction that also records how far the file has come. An import that was cut off goes
on at that row when it is run again; a finished one starts anew and finds nothing to change.
"""

import asyncio
import gc
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Generic, Self, TypeVar

from msgspec import Struct

from farmlokal.catalog import reference
from farmlokal.catalog.importing.batch import BatchLoader
from farmlokal.catalog.importing.merge import Fate
from farmlokal.catalog.importing.rows import SourceRow
from farmlokal.catalog.importing.source import Source
from farmlokal.catalog.models import PostcodePlace, ProductDraft
from farmlokal.catalog.writes import CatalogueWriter
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import Database, Transaction, Work, Writer

T = TypeVar("T")

BATCH_ROWS = 10_000
"""Rows a transaction. A commit writes each page once that its rows touched, and with a dozen indexes 2,000
rows touch most pages of a small catalogue: 10,000 were a fifth faster. A cut-off import repeats that many."""


class Summary(Struct, frozen=True, kw_only=True):
    """What became of a file: each row read has exactly one fate."""

    file_name: str
    format: str
    rows: int
    resumed_at: int
    fates: dict[Fate, int]

    @property
    def quarantined(self) -> int:
        """Rows set aside."""
        return self.fates[Fate.QUARANTINED]

    @property
    def imported(self) -> int:
        """Rows that were understood, whether or not they changed anything."""
        return sum(self.fates.values()) - self.quarantined

    @property
    def changed(self) -> bool:
        """Whether the catalogue or its price history is another one now."""
        return any(self.fates.get(fate) for fate in (Fate.CREATED, Fate.UPDATED, Fate.OLDER))


_SWITCH_INTERVAL_S = 0.0005
"""How long the thread that reads may keep the interpreter from the thread that writes. SQLite gives it up
for each statement and needs it back between two: at Python's own 5 ms it waited as long as it worked."""


@contextmanager
def _bulk() -> Iterator[None]:
    """The interpreter as a load needs it: quick to change threads, and without the cycle collector.

    A batch holds 10^5 tuples until its end, none in a cycle, and looking through them again and again took a
    tenth of a load.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        sys.setswitchinterval(interval)


class _Batches(Generic[T]):
    """Rows in batches, of which the next is read in a thread from the moment `begin` is called.

    The moment is when the writing of the last one begins: SQLite then works without the interpreter, which
    reads on. Any earlier, the two would only take turns.
    """

    def __init__(self, rows: Iterable[T]) -> None:
        self._rows = iter(rows)
        self._coming: asyncio.Future[list[T]] | None = None

    def begin(self) -> None:
        """Start reading the next batch, if that is not under way."""
        if self._coming is None:
            self._coming = asyncio.ensure_future(asyncio.to_thread(self._read))

    async def next(self) -> list[T]:
        """The next batch; empty at the end."""
        self.begin()
        assert self._coming is not None
        coming, self._coming = self._coming, None
        return await coming

    def _read(self) -> list[T]:
        return list(islice(self._rows, BATCH_ROWS))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._coming is not None:
            await asyncio.gather(self._coming, return_exceptions=True)


class Importer:
    """Imports sources and generated products into a database."""

    def __init__(self, database: Database, clock: SystemClock) -> None:
        self._database = database
        self._clock = clock
        self._writer = CatalogueWriter(database)
        self._loader = BatchLoader(self._writer, clock)

    async def run(self, source: Source, rows: int, progress: Callable[[int], None] | None = None) -> Summary:
        """Import a source that `check` has passed, which counted its `rows`."""
        self._loader.forget()
        import_id, done, fates = await self._begin(source)
        resumed_at = done
        with _bulk():
            async with _Batches(islice(source.read(progress), done, None)) as batches:
                while batch := await batches.next():
                    done += len(batch)
                    last = done >= rows
                    fates = await self._run_batch(import_id, batch, done, fates, batches.begin, last=last)
        if not rows:
            finished_at_us = self._clock.now_us()
            await self._write(
                self._database, lambda tx: self._record(tx, import_id, 0, fates, finished_at_us)
            )
        return Summary(
            file_name=source.path.name,
            format=source.format.value,
            rows=rows,
            resumed_at=resumed_at,
            fates={fate: fates[fate] for fate in Fate},
        )

    async def load_drafts(
        self, drafts: Iterable[ProductDraft], progress: Callable[[int], None] = lambda _rows: None
    ) -> Counter[Fate]:
        """Load products that come from no file; `progress` gets the number of rows of each batch."""
        fates: Counter[Fate] = Counter()
        self._loader.forget()
        empty = not await self._database.fetch_all("SELECT 1 FROM products LIMIT 1")
        with _bulk():
            async with _Batches(drafts) as batches:
                if empty:
                    await self._insert(batches, fates, progress)
                while batch := await batches.next():
                    load = partial(
                        self._loader.load,
                        import_id=None,
                        rows=[SourceRow(0, draft, "") for draft in batch],
                        writing=batches.begin,
                    )
                    fates += await self._write(self._database, load)
                    progress(len(batch))
        return fates

    async def _insert(
        self, batches: _Batches[ProductDraft], fates: Counter[Fate], progress: Callable[[int], None]
    ) -> None:
        """All batches into an empty catalogue."""
        async with self._database.bulk_load("products") as load:
            while batch := await batches.next():
                await self._write(load, partial(self._loader.insert, drafts=batch, writing=batches.begin))
                fates[Fate.CREATED] += len(batch)
                progress(len(batch))

    async def load_reference_postcodes(self) -> None:
        """The postcodes of the reference table, so that a catalogue without a postcode file has some."""
        places = [
            PostcodePlace(
                postcode=town.postcode,
                district=town.district,
                state=town.state,
                latitude_e6=town.latitude_e6,
                longitude_e6=town.longitude_e6,
                offices=0,  # gives way to any row of a real postcode file
            )
            for town in reference.districts()
        ]
        rows = [SourceRow(0, place, "") for place in places]
        await self._write(self._database, lambda tx: self._loader.load(tx, None, rows, lambda: None))

    async def _begin(self, source: Source) -> tuple[int, int, Counter[Fate]]:
        """(import id, rows done, fates so far): where an interrupted import of this very file stopped."""

        async def begin(tx: Transaction) -> tuple[int, int, Counter[Fate]]:
            known = await self._writer.find_import(tx, source.digest)
            if known is None:
                file_name, started_at_us = source.path.name[:255], self._clock.now_us()
                row = (source.digest, file_name, source.format.value, 0, "{}", started_at_us)
                await self._writer.insert_import(tx, row)
                known = await self._writer.find_import(tx, source.digest)
                assert known is not None
            import_id, done, tally, finished_at_us = known
            if finished_at_us is None:
                return import_id, done, Counter({Fate(name): n for name, n in json.loads(tally).items()})
            await self._record(tx, import_id, 0, Counter(), None)
            return import_id, 0, Counter()

        return await self._write(self._database, begin)

    async def _run_batch(
        self,
        import_id: int,
        batch: list[SourceRow],
        done: int,
        before: Counter[Fate],
        writing: Callable[[], None],
        *,
        last: bool,
    ) -> Counter[Fate]:
        """One batch and how far the file has come, in one transaction; the fates of all rows so far."""

        async def load(tx: Transaction) -> Counter[Fate]:
            fates = before + await self._loader.load(tx, import_id, batch, writing)
            await self._record(tx, import_id, done, fates, self._clock.now_us() if last else None)
            return fates

        return await self._write(self._database, load)

    async def _write(self, writer: Writer, work: Work[T]) -> T:
        """`work` in one transaction. What the loader remembers of a run that was rolled back is forgotten."""
        runs = 0

        async def run(tx: Transaction) -> T:
            nonlocal runs
            runs += 1
            if runs > 1:
                self._loader.forget()
            result = await work(tx)
            await self._writer.raise_version(tx, self._clock.now_us())
            return result

        try:
            return await writer.write(run, bulk=True)
        except BaseException:
            self._loader.forget()
            raise

    async def _record(
        self, tx: Transaction, import_id: int, done: int, fates: Counter[Fate], finished_at_us: int | None
    ) -> None:
        await self._writer.update_import(tx, (done, json.dumps(fates), finished_at_us, import_id))
