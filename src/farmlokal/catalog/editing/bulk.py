"""Many lines at once, and safely again: NDJSON in, one result a line out, under an Idempotency-Key.

Lines are done a hundred to a transaction, which also writes down their results and how far it has come. So a
request that was cut off is sent again with its key and goes on where it stopped; one that was finished is
answered from what was written down. Whose turn it is, is a row with an owner and an end.
"""

import secrets
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from itertools import count
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from farmlokal.catalog import schema
from farmlokal.catalog.editing import members
from farmlokal.catalog.editing.edits import Edited, Edits
from farmlokal.catalog.writes import CatalogueWriter
from farmlokal.errors import (
    Conflict,
    DomainError,
    Fault,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionFailed,
    Unprocessable,
)
from farmlokal.oauth.models import Principal
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import Database, DuplicateKey, Transaction
from farmlokal.platform.web.problem import STATUS, ParameterFault

BODY_BYTES = 8_000_000
LINES = 10_000
BATCH_LINES = 100
"""Lines in a transaction: others who write wait for that long, some 50 ms."""

TURN_S = 30
"""How long a turn lasts unless it is renewed, which every batch does: what a crash makes others wait."""

KEPT_S = 24 * 3600
"""How long a key is remembered."""

_OPERATIONS = ("id", "version", "delete")


class LineResult(Struct, frozen=True):
    """What became of a line. `version` is that of the product afterwards."""

    line: int
    status: int
    id: int | UnsetType = UNSET
    version: int | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    errors: list[ParameterFault] | UnsetType = UNSET


class BulkEditor:
    """Bulk writes of products."""

    def __init__(self, database: Database, clock: SystemClock) -> None:
        self._database = database
        self._clock = clock
        self._writer = CatalogueWriter(database)
        self._edits = Edits(self._writer, clock)

    async def run(self, by: Principal, key: str, body: bytes) -> AsyncIterator[bytes]:
        """The results as they come about. What is raised is raised before the first of them: `Invalid` for a
        body that is too long, `Conflict` while its twin is under way, `Unprocessable` for another body."""
        lines = [line for line in body.split(b"\n") if line.strip()]
        if not 0 < len(lines) <= LINES:
            raise Invalid("There are no lines, or too many.", Fault("body", "size", f"1 to {LINES} lines"))
        turn = _Turn(by, key, secrets.token_hex(16))
        done = await self._claim(turn, sha256(body).hexdigest())
        return self._results(turn, lines, done)

    async def _results(self, turn: "_Turn", lines: Sequence[bytes], done: int) -> AsyncIterator[bytes]:
        for first in count(0, BATCH_LINES):
            if first >= len(lines):
                return
            if first < done:
                yield await self._database.write(lambda tx, first=first: self._kept(tx, turn, first))  # type: ignore[misc]
            else:
                batch = lines[first : first + BATCH_LINES]
                last = first + len(batch) >= len(lines)
                yield await self._database.write(
                    lambda tx, first=first, batch=batch, last=last: self._batch(tx, turn, first, batch, last),  # type: ignore[misc]
                    bulk=True,
                )

    async def _claim(self, turn: "_Turn", digest: str) -> int:
        """Take the turn; returns how many lines are done already."""

        async def work(tx: Transaction) -> int:
            now_us = self._clock.now_us()
            await self._writer.forget_bulk(tx, now_us - KEPT_S * 1_000_000)
            mine = {"owner": turn.owner, "owned_until_us": now_us + TURN_S * 1_000_000}
            row = {
                **turn.keys,
                "digest": digest,
                "lines_done": 0,
                "finished": 0,
                **mine,
                "created_at_us": now_us,
            }
            try:
                await self._writer.insert_row(tx, schema.bulk_writes, row)
                return 0
            except DuplicateKey:
                columns = ["digest", "lines_done", "finished", "owner", "owned_until_us"]
                [(before, done, finished, owner, until_us)] = await self._writer.rows(
                    tx, schema.bulk_writes, columns, turn.keys
                )
            if before != digest:
                raise Unprocessable("This Idempotency-Key was used with another body.")
            if finished:
                return int(done)
            taken = until_us <= now_us and await self._writer.update_row(
                tx, schema.bulk_writes, {**turn.keys, "owner": owner}, mine
            )
            if not taken:
                raise Conflict("The same request is under way; try again in a moment.")
            return int(done)

        return await self._database.write(work)

    async def _kept(self, tx: Transaction, turn: "_Turn", first: int) -> bytes:
        at = {**turn.keys, "first_line": first}
        [(results,)] = await self._writer.rows(tx, schema.bulk_results, ["results"], at)
        return str(results).encode()

    async def _batch(
        self, tx: Transaction, turn: "_Turn", first: int, batch: Sequence[bytes], last: bool
    ) -> bytes:
        """Some lines, their results, and how far it has come: all of it or nothing."""
        results = [
            await self._line(tx, turn.by, first + number, line) for number, line in enumerate(batch, 1)
        ]
        text = b"".join(msgspec.json.encode(result) + b"\n" for result in results)
        # After the lines and not before them: a twin that asks whose turn it is waits for this row.
        now_us = self._clock.now_us()
        state = {"lines_done": first + len(batch), "finished": int(last)}
        state["owned_until_us"] = now_us + TURN_S * 1_000_000
        mine = {**turn.keys, "owner": turn.owner}
        if not await self._writer.update_row(tx, schema.bulk_writes, mine, state):
            raise Conflict("Another request with this Idempotency-Key has taken over.")
        row = {**turn.keys, "first_line": first, "results": text.decode(), "created_at_us": now_us}
        await self._writer.insert_row(tx, schema.bulk_results, row)
        await self._writer.raise_version(tx, now_us)
        return text

    async def _line(self, tx: Transaction, by: Principal, number: int, line: bytes) -> LineResult:
        """One line. What is wrong with it is its result: it has changed nothing, and the others go on."""
        try:
            status, edited = await self._edit(tx, by, members.document(line))
        except (Invalid, Forbidden, NotFound, Conflict, PreconditionFailed) as refusal:
            return _refused(number, refusal)
        return LineResult(number, status, edited.id, edited.version)

    async def _edit(self, tx: Transaction, by: Principal, given: members.Document) -> tuple[int, Edited]:
        """Without `id` a new product; with it a merge patch, or `"delete": true`."""
        rest = {name: value for name, value in given.items() if name not in _OPERATIONS}
        if "id" not in given:
            if "version" in given or "delete" in given:
                raise Invalid.because([Fault("id", "missing", "the id of the product")])
            return 201, await self._edits.create_product(tx, by, rest)
        faults = [
            Fault(name, "not_an_integer", "an integer from 1 on")
            for name in ("id", "version")
            if name in given and _whole(given[name]) is None
        ]
        if given.get("delete", False) not in (True, False) or (given.get("delete") is True and rest):
            faults.append(Fault("delete", "malformed", "true, and no members beside id and version"))
        if faults:
            raise Invalid.because(faults)
        identity, version = _whole(given["id"]) or 0, _whole(given.get("version"))
        if given.get("delete") is True:
            return 204, await self._edits.delete(tx, by, "product", identity, version)
        return 200, await self._edits.change_product(tx, by, identity, rest, version)


class _Turn(Struct, frozen=True):
    """Whose request, and which try of it."""

    by: Principal
    key: str
    owner: str

    @property
    def keys(self) -> dict[str, Any]:
        """Which rows are its."""
        return {"client_id": self.by.client_id, "idempotency_key": self.key}


def _whole(value: object) -> int | None:
    digits = str(value) if isinstance(value, str) else ""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 and int(digits) else None


def _refused(number: int, refusal: DomainError) -> LineResult:
    faults = [ParameterFault(fault.parameter, fault.code, fault.accepted) for fault in refusal.faults]
    return LineResult(number, STATUS[type(refusal)], detail=refusal.detail, errors=faults or UNSET)
