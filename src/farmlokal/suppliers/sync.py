"""A sync from its first page to its end, one runner in the fleet for each supplier.

Whose turn it is, is a row with an owner and an end. A run that was cut off, by a crash or a restart, goes on
where it stopped, on whichever instance looks next. Nothing is written to the catalogue before all pages are
there and the whole of the difference was weighed.
"""

import asyncio
import secrets
from collections.abc import Mapping
from random import Random

import msgspec
import structlog

from farmlokal.catalog.writes import CatalogueWriter
from farmlokal.errors import Conflict, NotFound
from farmlokal.platform.clock import SystemClock, instant
from farmlokal.platform.database.port import Database, Transaction
from farmlokal.suppliers.applying import Applying
from farmlokal.suppliers.fetching import Fetching, Source
from farmlokal.suppliers.jobs import UNFINISHED, PageFailed, Progress, State, too_much
from farmlokal.suppliers.journal import Journal
from farmlokal.suppliers.representation import SHOWN, Job, job_of

JITTER = 0.1
"""Share by which the time between two syncs varies, both ways: not all shops of a day come at once."""

Turn = tuple[Progress, str]
"""A run, and the name under which it is its runner's turn."""


class SupplierSync:
    """Syncs with the suppliers of `sources`, by name, every `every_s` seconds (0: only when told to)."""

    def __init__(
        self,
        database: Database,
        clock: SystemClock,
        random: Random,
        sources: Mapping[str, Source],
        every_s: float,
    ) -> None:
        self._database = database
        self._clock = clock
        self._random = random
        self._sources = sources
        self._every_s = every_s
        self.journal = Journal(database, clock)
        self._fetching = Fetching(database, self.journal, clock, random)
        self._applying = Applying(database, self.journal, clock)
        self._writer = CatalogueWriter(database)
        self._log = structlog.get_logger("farmlokal.suppliers")

    @property
    def names(self) -> list[str]:
        """Who there is to sync with."""
        return list(self._sources)

    async def job(self, identity: int) -> Job:
        """A run as operators see it. Raises `NotFound`."""
        found = await self.journal.job(identity)
        if found is None:
            raise NotFound(f"There is no job {identity}.")
        return job_of(found, await self.journal.quarantined(found.import_id, SHOWN))

    async def begin(self, name: str, *, dry_run: bool) -> Turn:
        """Take the turn for a new run, or for one that was cut off. Raises `NotFound`, and `Conflict` while
        another runner is at it."""
        if name not in self._sources:
            raise NotFound(f"There is no supplier {name[:40]}.")
        turn = await self._begin(name, dry_run=dry_run, due=False)
        if turn is None:
            raise Conflict("A sync with this supplier is under way.", retry_after_s=10)
        return turn

    async def begin_due(self, name: str) -> Turn | None:
        """The same for a run that was cut off, or whose time has come; None where there is none."""
        return await self._begin(name, dry_run=False, due=True)

    async def approve(self, identity: int) -> Turn:
        """Take the turn for a run that waits. Raises `NotFound`, `Conflict` for one that does not."""
        owner = secrets.token_hex(16)

        async def work(tx: Transaction) -> Progress:
            job = await self.journal.job(identity, tx)
            if job is None or job.supplier not in self._sources:
                raise NotFound(f"There is no job {identity}.")
            if job.state is not State.WAITING:
                raise Conflict(f"Job {identity} does not wait for approval: it is {job.state}.")
            if not await self.journal.take_turn(tx, job.supplier, owner):
                raise Conflict("A sync with this supplier is under way.", retry_after_s=10)
            await self.journal.change_job(tx, identity, state=State.APPLYING)
            return msgspec.structs.replace(job, state=State.APPLYING)

        return await self._database.write(work), owner

    async def run(self, turn: Turn) -> Progress:
        """Do the run, and give the turn back however it ends. What was cut off stays as it is, to be gone on
        with. Raises `Conflict` if another runner took over, `Unavailable` where the database is away."""
        job, owner = turn
        try:
            job = await self._fetched(job, owner)
            if job.state is State.APPLYING:
                await self._applying.apply(job, owner)
                job = await self._end(job, owner, State.DONE, job.reason)
        except PageFailed as failure:
            job = await self._end(job, owner, State.FAILED, str(failure))
        except BaseException:
            await asyncio.shield(
                self._database.write(lambda tx: self.journal.leave_turn(tx, job.supplier, owner))
            )
            raise
        self._log.info(
            "supplier sync", supplier=job.supplier, job=job.id, state=str(job.state), reason=job.reason
        )
        return job

    async def _begin(self, name: str, *, dry_run: bool, due: bool) -> Turn | None:
        owner = secrets.token_hex(16)

        async def work(tx: Transaction) -> Progress | None:
            cut_off = await self.journal.unfinished(tx, name)
            waits = due and not cut_off
            if waits and not self._every_s:
                return None
            if not await self.journal.take_turn(tx, name, owner, due=waits, next_s=self._next_s() or 0.0):
                return None
            if cut_off and (due or cut_off[0].state is State.APPLYING or cut_off[0].dry_run == dry_run):
                return cut_off[0]
            await self.journal.supersede(tx, name, UNFINISHED)
            return await self._new(tx, name, dry_run=dry_run)

        job = await self._database.write(work)
        return None if job is None else (job, owner)

    async def _new(self, tx: Transaction, name: str, *, dry_run: bool) -> Progress:
        if not dry_run:
            await self.journal.supersede(tx, name, [State.WAITING])
        now_us, digest = self._clock.now_us(), secrets.token_hex(32)
        source = self._sources[name]
        file_name, form = f"supplier {name} at {instant(now_us)}", f"supplier-{source.supplier.name}"[:40]
        await self._writer.insert_import(tx, (digest, file_name, form, 0, "{}", now_us))
        found = await self._writer.find_import(tx, digest)
        assert found is not None
        row = {
            "supplier": name,
            "import_id": found[0],
            "state": State.FETCHING,
            "dry_run": int(dry_run),
            "following": msgspec.json.encode(dict(source.format.first)).decode(),
            "pages": 0,
            "lines": 0,
            "total": None,
            "applied": 0,
            "refused": 0,
            "diff": None,
            "reason": "",
            "created_at_us": now_us,
            "updated_at_us": now_us,
            "finished_at_us": None,
        }
        job = await self.journal.job(await self.journal.insert_job(tx, row), tx)
        assert job is not None
        return job

    async def _fetched(self, job: Progress, owner: str) -> Progress:
        """The run with all its pages, weighed: it is done, waits, or is to be applied."""
        if job.state is not State.FETCHING:
            return job
        job = await self._fetching.run(job, self._sources[job.supplier], owner)
        diff = await self._applying.look(job, owner)
        job = msgspec.structs.replace(job, diff=diff)
        reasons = too_much(diff)
        if not diff.complete:
            part = f"only {job.lines} of {job.total} items came, so nothing is taken as vanished"
            reasons_told = "; ".join([*reasons, part])
        else:
            reasons_told = "; ".join(reasons)
        if job.dry_run:
            return await self._end(job, owner, State.DONE, reasons_told)
        if reasons:
            return await self._note(job, owner, State.WAITING, reasons_told, leave=True)
        return await self._note(job, owner, State.APPLYING, reasons_told)

    async def _note(
        self,
        job: Progress,
        owner: str,
        state: State,
        reason: str,
        *,
        leave: bool = False,
        finished_at_us: int | None = None,
    ) -> Progress:
        """Write down where a run is now; with `leave` its turn ends in the same moment."""
        job = msgspec.structs.replace(job, state=state, reason=reason[:500], finished_at_us=finished_at_us)
        diff = None if job.diff is None else msgspec.json.encode(job.diff).decode()

        async def work(tx: Transaction) -> None:
            await self.journal.keep_turn(tx, job.supplier, owner)
            state = {"state": job.state, "reason": job.reason, "diff": diff}
            await self.journal.change_job(tx, job.id, **state, finished_at_us=finished_at_us)
            if leave:
                await self.journal.leave_turn(tx, job.supplier, owner, self._next_s())

        await self._database.write(work)
        return job

    async def _end(self, job: Progress, owner: str, state: State, reason: str) -> Progress:
        """Write down how a run ended, and drop what it does not need any more."""
        now_us = self._clock.now_us()
        job = await self._note(job, owner, state, reason, leave=True, finished_at_us=now_us)
        await self._database.write(lambda tx: self.journal.forget(tx, job), bulk=True)
        return job

    def _next_s(self) -> float | None:
        if not self._every_s:
            return None
        return self._every_s * self._random.uniform(1 - JITTER, 1 + JITTER)
