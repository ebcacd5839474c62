"""What is written down of syncs: turns, runs, what their pages offered, and which products are whose.

Every write of a run renews its turn, in the same transaction, by the name of its owner: a runner that was
asleep for too long finds that the turn is another's, and what it wanted to write is rolled back.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from sqlalchemy import (
    ClauseElement,
    Select,
    TableClause,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from farmlokal.catalog.models import ProductDraft
from farmlokal.catalog.schema import quarantine
from farmlokal.errors import Conflict
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.json_rows import opaque_text, values
from farmlokal.platform.database.port import Database, DuplicateKey, Row, Transaction
from farmlokal.platform.database.row_changes import change_rows
from farmlokal.suppliers import schema
from farmlokal.suppliers.jobs import UNFINISHED, Diff, Progress, State

TURN_S = 60
"""How long a turn lasts unless it is renewed, which every page and every batch does: what a crash makes
others wait. A page takes at most 20 s."""

KEPT_JOBS = 100
"""Runs of a supplier that are remembered."""

_OPAQUE = frozenset({"owner", "external_key"})
_JOB = [column.name for column in schema.supplier_jobs.columns]
_DRAFT = msgspec.json.Decoder(ProductDraft)


class Journal:
    """The statements, on the transaction that is passed in or in one of their own."""

    def __init__(self, database: Database, clock: SystemClock) -> None:
        self._database = database
        self._clock = clock

    async def take_turn(
        self, tx: Transaction, supplier: str, owner: str, *, due: bool = False, next_s: float = 0.0
    ) -> bool:
        """Make it the owner's turn, if it is nobody's; with `due` only if it is time for the next sync."""
        now_us = self._clock.now_us()
        row = {"supplier": supplier, "owner": "", "owned_until_us": 0}
        with suppress(DuplicateKey):
            await self.insert(tx, schema.supplier_turns, [{**row, "next_sync_us": now_us + _us(next_s)}])
        turn = schema.supplier_turns.c
        statement = update(schema.supplier_turns).values(
            owner=bindparam("mine"), owned_until_us=bindparam("until")
        )
        statement = statement.where(
            turn.supplier == bindparam("name"), turn.owned_until_us <= bindparam("now")
        )
        if due:
            statement = statement.where(turn.next_sync_us <= bindparam("now"))
        given = {"mine": owner, "until": now_us + _us(TURN_S), "name": supplier, "now": now_us}
        return await tx.execute(self._text(statement), given) > 0

    async def keep_turn(self, tx: Transaction, supplier: str, owner: str) -> None:
        """Renew the turn. Raises `Conflict` if it is another's."""
        until = {"owned_until_us": self._clock.now_us() + _us(TURN_S)}
        if not await self.change(tx, schema.supplier_turns, {"supplier": supplier, "owner": owner}, until):
            raise Conflict("Another runner has taken over this sync.")

    async def leave_turn(
        self, tx: Transaction, supplier: str, owner: str, next_s: float | None = None
    ) -> None:
        """End the turn, if it is the owner's; the next sync is due in `next_s`, or when it was anyway."""
        over: dict[str, Any] = {"owner": "", "owned_until_us": 0}
        if next_s is not None:
            over["next_sync_us"] = self._clock.now_us() + _us(next_s)
        await self.change(tx, schema.supplier_turns, {"supplier": supplier, "owner": owner}, over)

    async def turns(self) -> dict[str, tuple[str, int, int]]:
        """(owner, until when, next sync), the instants in microseconds, by supplier."""
        columns = ["supplier", "owner", "owned_until_us", "next_sync_us"]
        rows = await self._all(self._database, self._select(schema.supplier_turns, columns, {}), {})
        return {row[0]: (str(row[1]), row[2], row[3]) for row in rows}

    async def job(self, identity: int, tx: Transaction | None = None) -> Progress | None:
        """A run by its id."""
        statement = self._select(schema.supplier_jobs, _JOB, {"id": [identity]})
        rows = await self._all(tx or self._database, statement, {"id": json.dumps([identity])})
        return _progress(rows[0]) if rows else None

    async def last_jobs(self) -> dict[str, Progress]:
        """The newest run of each supplier."""
        job = schema.supplier_jobs.c
        newest = select(func.max(job.id)).group_by(job.supplier)
        rows = await self._all(self._database, newest, {})
        found = [await self.job(identity) for (identity,) in rows]
        return {each.supplier: each for each in found if each is not None}

    async def unfinished(self, tx: Transaction, supplier: str) -> list[Progress]:
        """Runs that were cut off, the oldest first."""
        wanted = {"supplier": [supplier], "state": [str(state) for state in UNFINISHED]}
        rows = await self.find(tx, schema.supplier_jobs, _JOB, wanted)
        return sorted((_progress(row) for row in rows), key=lambda job: job.id)

    async def supersede(self, tx: Transaction, supplier: str, states: Sequence[State]) -> None:
        """Runs in these states are over, and what they would do is dropped: it is old."""
        wanted = {"supplier": [supplier], "state": [str(state) for state in states]}
        over = {"state": State.SUPERSEDED, "finished_at_us": self._clock.now_us()}
        offers = schema.supplier_job_offers
        dropped = self._text(delete(offers).where(offers.c.job_id == bindparam("job")))
        for (identity,) in await self.find(tx, schema.supplier_jobs, ["id"], wanted):
            await tx.execute(dropped, {"job": identity})
            await self.change(tx, schema.supplier_jobs, {"id": identity}, over)

    async def insert_job(self, tx: Transaction, row: Mapping[str, Any]) -> int:
        """A run by column."""
        [identity] = await self.insert(tx, schema.supplier_jobs, [row])
        return identity

    async def change_job(self, tx: Transaction, identity: int, **changes: Any) -> None:
        """Note how far a run has come."""
        changes["updated_at_us"] = self._clock.now_us()
        await self.change(tx, schema.supplier_jobs, {"id": identity}, changes)

    async def staged(
        self, tx: Transaction, job_id: int, after: int, most: int
    ) -> list[tuple[int, str, ProductDraft | None]]:
        """(line, external key, draft) of the offers of a run after a line, in order."""
        offer = schema.supplier_job_offers.c
        key = opaque_text(self._database.dialect, offer.external_key)
        statement = (
            select(offer.line, key, offer.draft)
            .where(offer.job_id == bindparam("job"), offer.line > bindparam("after"))
            .order_by(offer.line)
            .limit(bindparam("most"))
        )
        rows = await self._all(tx, statement, {"job": job_id, "after": after, "most": most})
        return [
            (line, str(key), None if draft is None else _DRAFT.decode(draft)) for line, key, draft in rows
        ]

    async def gone(self, tx: Transaction, supplier: str, job_id: int, after: str, most: int) -> list[str]:
        """External keys after one, in order, of the supplier's products that this run did not see."""
        known, offer = schema.supplier_products.c, schema.supplier_job_offers.c
        seen: Select[Any] = select(literal_column("1")).where(
            offer.job_id == bindparam("job"), offer.external_key == known.external_key
        )
        statement = (
            select(opaque_text(self._database.dialect, known.external_key))
            .where(
                known.supplier == bindparam("name"),
                known.vanished == literal_column("0"),
                known.external_key > bindparam("after"),
                ~seen.exists(),
            )
            .order_by(known.external_key)
            .limit(bindparam("most"))
        )
        rows = await self._all(tx, statement, {"job": job_id, "name": supplier, "after": after, "most": most})
        return [str(key) for (key,) in rows]

    async def count_known(self, tx: Transaction, supplier: str) -> int:
        """How many products of the supplier are on offer, as far as the last run knew."""
        known = schema.supplier_products.c
        statement = select(func.count(known.external_key)).where(
            known.supplier == bindparam("name"), known.vanished == literal_column("0")
        )
        [(count,)] = await self._all(tx, statement, {"name": supplier})
        return int(count)

    async def quarantined(self, import_id: int, most: int) -> list[Row]:
        """(line, code, reason, raw) of the first refusals of a run."""
        q = quarantine.c
        statement = (
            select(q.line, q.code, q.reason, q.raw).where(q.import_id == bindparam("id")).order_by(q.line)
        )
        limited = statement.limit(bindparam("most"))
        return await self._all(self._database, limited, {"id": import_id, "most": most})

    async def forget(self, tx: Transaction, job: Progress) -> None:
        """Drop what the pages of a finished run offered, and runs that are long over."""
        offers, jobs = schema.supplier_job_offers, schema.supplier_jobs
        await tx.execute(
            self._text(delete(offers).where(offers.c.job_id == bindparam("job"))), {"job": job.id}
        )
        old = select(jobs.c.id).where(jobs.c.supplier == bindparam("name")).order_by(jobs.c.id.desc())
        rows = await self._all(tx, old, {"name": job.supplier})
        for (identity,) in rows[KEPT_JOBS:]:
            for table, column in ((offers, offers.c.job_id), (jobs, jobs.c.id)):
                await tx.execute(
                    self._text(delete(table).where(column == bindparam("job"))), {"job": identity}
                )

    async def find(
        self, tx: Transaction, table: TableClause, columns: Sequence[str], wanted: Mapping[str, Iterable[Any]]
    ) -> list[Row]:
        """The columns of the rows whose named columns hold one of the wanted values each."""
        given = {name: list(dict.fromkeys(keys)) for name, keys in wanted.items()}
        lists = {name: json.dumps(keys) for name, keys in given.items()}
        return await self._all(tx, self._select(table, columns, given), lists)

    async def insert(
        self, tx: Transaction, table: TableClause, rows: Sequence[Mapping[str, Any]]
    ) -> list[int]:
        """Rows by column, all with the same ones. Raises `DuplicateKey`."""
        if not rows:
            return []
        statement = insert(table).values({name: bindparam(name) for name in rows[0]})
        text = str(statement.compile(dialect=self._database.positional_dialect))
        return await tx.insert_many(text, [tuple(row.values()) for row in rows])

    async def change(
        self, tx: Transaction, table: TableClause, keys: Mapping[str, Any], changes: Mapping[str, Any]
    ) -> int:
        """Change the rows whose columns have these values; returns how many they are."""
        return await change_rows(tx, self._database.dialect, table, keys, changes)

    def _select(
        self, table: TableClause, columns: Sequence[str], wanted: Mapping[str, Sequence[Any]]
    ) -> ClauseElement:
        dialect = self._database.dialect
        shown = (
            opaque_text(dialect, table.c[name]).label(name) if name in _OPAQUE else table.c[name]
            for name in columns
        )
        conditions = (table.c[name].in_(values(dialect, name, keys)) for name, keys in wanted.items())
        return select(*shown).where(*conditions)

    async def _all(
        self, where: Transaction | Database, statement: ClauseElement, given: Mapping[str, Any]
    ) -> list[Row]:
        """All rows; the constants of the statement are among its parameters."""
        done = statement.compile(dialect=self._database.dialect)
        constants = {name: value for name, value in done.params.items() if value is not None}
        return await where.fetch_all(str(done), {**constants, **given})

    def _text(self, statement: ClauseElement) -> str:
        return str(statement.compile(dialect=self._database.dialect))


def _progress(row: Row) -> Progress:
    named = dict(zip(_JOB, row, strict=True))
    named["state"], named["dry_run"] = State(named["state"]), bool(named["dry_run"])
    following, diff = named["following"], named["diff"]
    named["following"] = None if following is None else msgspec.json.decode(following, type=dict[str, str])
    named["diff"] = None if diff is None else msgspec.json.decode(diff, type=Diff)
    return Progress(**named)


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
