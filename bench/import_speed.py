"""How fast a catalogue is written: our import and our seed, each against plain `executemany` of its rows.

Plain is what could at most be had from SQLite through Python: the rows that ours stored (products and their
price history), finished and already in memory, into the same schema with the same settings and transactions
of the same number of products. Ours reads, checks and folds every field, finds what is there already, and
writes sellers and search documents besides. A second baseline writes the products without their prices.
"""

import argparse
import asyncio
import csv
import gzip
import multiprocessing
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from bench.report import ROOT, Spread, table, write
from farmlokal.catalog.generator import generate
from farmlokal.catalog.importing.load import BATCH_ROWS, Importer
from farmlokal.catalog.importing.product_members import REQUIRED
from farmlokal.catalog.importing.source import open_source
from farmlokal.migrations.runner import upgrade
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.sqlite import SqliteDatabase

PUBLISHED = ROOT.parent / "shared" / "data" / "agmarknet" / "products.csv.gz"
TODAY = date(2026, 9, 1)  # after the newest price of the published file
GENERATED_ROWS = 35_000  # as many as the published file has
GENERATED_COLUMNS = (
    "sellerKey",
    "sellerKind",
    "commodity",
    "variety",
    "harvestedOn",
    "bestBefore",
    "organic",
)
SEED_PRODUCTS = 100_000
PAIRS = 5
BUDGET_S = 170  # no pair is begun that would not end within three minutes

IMPORT_BAR, SEED_BAR, RATIO_BAR = 10_000, 20_000, 0.4


@dataclass(frozen=True)
class Task:
    """One contest: ours, plain with the same rows, and the rows a second that ours must reach."""

    name: str
    ours: Callable[[Path], float]
    rows_a_transaction: int
    bar: int


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--pairs", type=int, default=PAIRS)
    arguments.add_argument("--products", type=int, default=SEED_PRODUCTS, help="products of the seed")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="farmlokal-bench-") as name:
        folder = Path(name)
        upgrade(f"sqlite:///{folder / 'empty.db'}")
        source = PUBLISHED if PUBLISHED.exists() else _generated_file(folder / "products.csv.gz")
        tasks = [
            Task(f"import {source.name}", partial(_import, source), BATCH_ROWS, IMPORT_BAR),
            Task(f"seed {given.products}", partial(_seed, given.products), given.products, SEED_BAR),
        ]
        measured = _measure(tasks, folder, given.pairs)
    _report(tasks, measured, published=source == PUBLISHED)


def _measure(tasks: list[Task], folder: Path, pairs: int) -> dict[str, list[tuple[int, float, float, float]]]:
    """(rows, seconds of ours, of plain, of plain without prices) of each pair.

    Every run has a process and a database of its own.
    """
    measured: dict[str, list[tuple[int, float, float, float]]] = {task.name: [] for task in tasks}
    started, longest = time.monotonic(), 0.0
    for _ in range(pairs):
        if time.monotonic() - started + longest > BUDGET_S:
            break
        begun = time.monotonic()
        for task in tasks:
            ours, plain = folder / "ours.db", folder / "plain.db"
            shutil.copy(folder / "empty.db", ours)
            seconds = _alone(task.ours, ours)
            shutil.copy(folder / "empty.db", plain)
            rows, plain_seconds, bare_seconds = _alone(_plain, plain, ours, task.rows_a_transaction)
            measured[task.name].append((rows, seconds, plain_seconds, bare_seconds))
            for path in folder.glob("*.db-*"):
                path.unlink()
        longest = max(longest, time.monotonic() - begun)
    return measured


def _alone(work: Callable[..., Any], *arguments: object) -> Any:
    """Run in a fresh process, so that no run finds what an earlier one has warmed."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *arguments).result(timeout=BUDGET_S)


def _import(source: Path, database: Path) -> float:
    """Seconds of what `farmlokal import` does: check the file, import it, refresh the statistics."""

    async def work(importer: Importer) -> None:
        opened = open_source(source, TODAY)
        summary = await importer.run(opened, opened.check())
        assert summary.changed

    return asyncio.run(_timed(database, work))


def _seed(products: int, database: Path) -> float:
    """Seconds of what `farmlokal seed` does."""

    async def work(importer: Importer) -> None:
        await importer.load_reference_postcodes()
        await importer.load_drafts(generate(products, random_seed=0, today=TODAY))

    return asyncio.run(_timed(database, work))


async def _timed(path: Path, work: Callable[[Importer], Any]) -> float:
    database = SqliteDatabase(path)
    await database.open()
    try:
        started = time.perf_counter()
        await work(Importer(database, SystemClock()))
        await database.optimize()
        return time.perf_counter() - started
    finally:
        await database.close()


def _plain(database: Path, ours: Path, rows_a_transaction: int) -> tuple[int, float, float]:
    """(rows, seconds, seconds without the prices) of writing what is in `ours`, with nothing else to do."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS ours", (str(ours),))
        for parent in ("sellers", "categories", "search_documents"):
            connection.execute(f"INSERT INTO main.{parent} SELECT * FROM ours.{parent}")
        products = connection.execute("SELECT * FROM ours.products ORDER BY id").fetchall()
        prices = connection.execute("SELECT * FROM ours.price_history ORDER BY product_id").fetchall()
        connection.execute("DETACH ours")
        for pragma in (
            "foreign_keys = ON",
            "synchronous = FULL",
            "temp_store = MEMORY",
            "cache_size = -65536",
        ):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA journal_mode = WAL")
        seconds, pricing = 0.0, 0.0
        for first in range(0, len(products), rows_a_transaction):
            some = slice(first, first + rows_a_transaction)
            started = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            _insert(connection, "products", products[some])
            pricing_from = time.perf_counter()
            _insert(connection, "price_history", prices[some])
            pricing += time.perf_counter() - pricing_from
            connection.execute("COMMIT")
            seconds += time.perf_counter() - started
        return len(products), seconds, seconds - pricing


def _insert(connection: sqlite3.Connection, table: str, rows: list[tuple[Any, ...]]) -> None:
    marks = ", ".join("?" * len(rows[0]))
    connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


def _generated_file(path: Path) -> Path:
    """A product CSV of generated products, where the published file is not at hand."""
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow((*REQUIRED, *GENERATED_COLUMNS))
        for draft in generate(GENERATED_ROWS, random_seed=1, today=TODAY):
            seller = draft.seller
            lines.writerow(
                (
                    *(draft.external_key, draft.name, draft.category, f"{draft.price_minor / 100:.2f}"),
                    *(seller.name, seller.district, seller.state, seller.external_key, seller.kind),
                    *(draft.commodity, draft.variety, draft.harvested_on, draft.best_before),
                    "true" if draft.organic else "false",
                )
            )
    return path


def _report(
    tasks: list[Task], measured: dict[str, list[tuple[int, float, float, float]]], *, published: bool
) -> None:
    rows, results = [], {}
    for task in tasks:
        pairs = measured[task.name]
        ours = Spread.of([count / seconds for count, seconds, _, _ in pairs])
        plain = Spread.of([count / seconds for count, _, seconds, _ in pairs])
        ratio = Spread.of([theirs / seconds for _, seconds, theirs, _ in pairs])
        bare = Spread.of([theirs / seconds for _, seconds, _, theirs in pairs])
        met = ours.median >= task.bar and ratio.median >= RATIO_BAR
        shown = (ours.show(), plain.show(), ratio.show(2), bare.show(2))
        rows.append((task.name, *shown, f"{task.bar:,}", _word(met=met)))
        results[task.name] = {
            "products": pairs[0][0],
            "pairs": len(pairs),
            "ours_rows_s": ours.rounded(0),
            "plain_rows_s": plain.rounded(0),
            "ours_to_plain": ratio.rounded(),
            "ours_to_plain_products_only": bare.rounded(),
            "bar_rows_s": task.bar,
            "bar_ratio": RATIO_BAR,
            "met": met,
        }
    header = ("products a second", "ours", "plain", "ours ÷ plain", "÷ products only", "bar")
    table((*header, f"bar and ≥ {RATIO_BAR}"), rows)
    write("import_speed", {"published_file": published, "rows_a_transaction": BATCH_ROWS}, results)


def _word(*, met: bool) -> str:
    return "met" if met else "missed"


if __name__ == "__main__":
    main()
