"""A batch whose transaction the database rolled back: it is loaded again as if nothing had been."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from farmlokal.catalog.generator import generate
from farmlokal.catalog.importing.load import Importer
from farmlokal.catalog.models import ProductDraft
from farmlokal.platform.database.port import T, Work
from farmlokal.platform.database.sqlite import SqliteDatabase
from tests.support.catalogue import dump, new_database, opened, run
from tests.support.clock import ManualClock

FIRST = 20


class RolledBackOnce(Exception):
    """What ends the first run."""


class Unlucky(SqliteDatabase):
    """Runs every transaction twice: the first run is rolled back at its end, as after a deadlock."""

    async def write(self, work: Work[T], *, bulk: bool = False) -> T:
        """Roll back, then run for good."""

        async def first(tx: object) -> T:
            await work(tx)  # type: ignore[arg-type]
            raise RolledBackOnce

        with pytest.raises(RolledBackOnce):
            await super().write(first, bulk=bulk)
        return await super().write(work, bulk=bulk)


async def load(database: SqliteDatabase, drafts: Sequence[ProductDraft]) -> None:
    """A few drafts into an empty catalogue, and then all of them over those."""
    importer = Importer(database, ManualClock())
    await importer.load_reference_postcodes()
    await importer.load_drafts(drafts[:FIRST])
    await importer.load_drafts(drafts)


def test_a_batch_that_was_rolled_back_is_loaded_again(tmp_path: Path) -> None:
    """What was remembered of a rolled-back batch (sellers, wordings) is forgotten before it is run again."""
    drafts = list(generate(200, random_seed=2, today=date(2026, 7, 24)))
    plain, unlucky = new_database(tmp_path, "plain.db"), new_database(tmp_path, "unlucky.db")

    async def go() -> None:
        async with opened(plain) as database:
            await load(database, drafts)
        database = Unlucky(unlucky)
        await database.open()
        try:
            await load(database, drafts)
        finally:
            await database.close()

    run(go())
    assert dump(plain) == dump(unlucky)
