"""Bulk writes of the catalogue: look up many keys at once, write many rows at once, in one transaction.

A product's row is a tuple of `PRODUCT_COLUMNS`, which is also how it is read back: two rows say the same
when their tuples are equal. Upserts are decided in Python, inside the transaction, and not by the engines'
own clauses, which differ and which report a row that they did not change as touched.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Select,
    TableClause,
    Update,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from farmlokal.catalog import fulltext, schema
from farmlokal.catalog.models import PRODUCT_COLUMNS
from farmlokal.platform.database.json_rows import opaque_text, values
from farmlokal.platform.database.port import Database, Row, Transaction
from farmlokal.platform.database.row_changes import change_rows

SELLER_COLUMNS = (
    *("external_key", "kind", "name", "district", "state", "district_key", "state_key"),
    *("postcode", "latitude_e6", "longitude_e6"),
)
ORIGIN_COLUMNS = ("import_id", "import_line")
LIFETIME_COLUMNS = ("created_at_us", "updated_at_us", "version")
PRICE_COLUMNS = ("product_id", "observed_on", "price_minor", "low_minor", "high_minor", "import_id")
POSTCODE_COLUMNS = ("postcode", "state", "district", "latitude_e6", "longitude_e6", "offices")
IMPORT_COLUMNS = ("digest", "file_name", "format", "rows_done", "tally", "started_at_us")
IMPORT_STATE = ("id", "rows_done", "tally", "finished_at_us")
QUARANTINE_COLUMNS = ("import_id", "line", "code", "reason", "raw", "created_at_us")


class CatalogueWriter:
    """The statements, compiled for one database, run on the transaction that is passed in."""

    def __init__(self, database: Database) -> None:
        self._dialect = database.dialect
        # Rows are tuples, so bulk statements take their parameters by position.
        self._positional = database.positional_dialect

    async def raise_version(self, tx: Transaction, now_us: int) -> None:
        """Say that the catalogue is another one once this transaction commits: in each one that writes, once,
        and last, since whoever else writes waits for the row.

        At least the time of day: a database that is restored from a backup does not give its old numbers to
        new content.
        """
        version = schema.catalogue_version.c.version
        later = case(
            (version >= bindparam("now_us"), version + literal_column("1")), else_=bindparam("now_us")
        )
        statement = update(schema.catalogue_version).values(version=later)
        await tx.execute(str(statement.compile(dialect=self._dialect)), {"now_us": now_us})

    async def products_by(self, tx: Transaction, column: str, keys: Iterable[str]) -> list[Row]:
        """(id, deleted_at_us, *ORIGIN_COLUMNS, *PRODUCT_COLUMNS) of the products whose `column` is one of
        the keys, locked: an order that moves stock meanwhile would be undone by what is then written."""
        columns = ("id", "deleted_at_us", *ORIGIN_COLUMNS, *PRODUCT_COLUMNS)
        return await self._find(tx, schema.products, columns, {column: keys}, lock=True)

    async def insert_products(self, tx: Transaction, rows: Sequence[Row]) -> list[int]:
        """Rows of (*PRODUCT_COLUMNS, *ORIGIN_COLUMNS, *LIFETIME_COLUMNS); returns their ids, in order."""
        columns = (*PRODUCT_COLUMNS, *ORIGIN_COLUMNS, *LIFETIME_COLUMNS)
        return await self._insert(tx, schema.products, columns, rows)

    async def last_product_id(self, tx: Transaction) -> int:
        """The greatest id, 0 for an empty catalogue."""
        statement = select(func.coalesce(func.max(schema.products.c.id), literal_column("0")))
        [(last,)] = await tx.fetch_all(str(statement.compile(dialect=self._dialect)))
        return int(last)

    async def insert_first_prices(self, tx: Transaction, after_id: int, today: str) -> None:
        """The price of every product with a greater id as its first one, of its day or else of `today`."""
        p = schema.products.c
        day = func.coalesce(p.price_on, bindparam("today"))
        first = select(p.id, day, p.price_minor).where(p.id > bindparam("after_id"))
        statement = insert(schema.price_history).from_select(list(PRICE_COLUMNS[:3]), first)
        parameters = {"after_id": after_id, "today": today}
        await tx.execute(str(statement.compile(dialect=self._dialect)), parameters)

    async def update_products(self, tx: Transaction, rows: Sequence[Row]) -> None:
        """Rows of (*PRODUCT_COLUMNS, *ORIGIN_COLUMNS, updated_at_us, id); the version goes up by one."""
        await self._update_by_id(tx, schema.products, (*PRODUCT_COLUMNS, *ORIGIN_COLUMNS), rows)

    async def sellers_by_key(self, tx: Transaction, keys: Iterable[str]) -> list[Row]:
        """(id, *SELLER_COLUMNS)."""
        return await self._find(tx, schema.sellers, ("id", *SELLER_COLUMNS), {"external_key": keys})

    async def insert_sellers(self, tx: Transaction, rows: Sequence[Row]) -> list[int]:
        """Rows of (*SELLER_COLUMNS, *LIFETIME_COLUMNS); returns their ids, in order."""
        return await self._insert(tx, schema.sellers, (*SELLER_COLUMNS, *LIFETIME_COLUMNS), rows)

    async def update_sellers(self, tx: Transaction, rows: Sequence[Row]) -> None:
        """Rows of (*SELLER_COLUMNS, updated_at_us, id); the version goes up by one."""
        await self._update_by_id(tx, schema.sellers, SELLER_COLUMNS, rows)

    async def category_ids(self, tx: Transaction) -> dict[bytes, int]:
        """Every category's id by its folded name."""
        return dict(await self._find(tx, schema.categories, ("name_key", "id"), {}))

    async def insert_categories(self, tx: Transaction, rows: Sequence[Row]) -> None:
        """Rows of (name, name_key, name_hi, name_ml)."""
        await self._insert(tx, schema.categories, ("name", "name_key", "name_hi", "name_ml"), rows)

    async def document_ids(self, tx: Transaction, documents: Iterable[fulltext.Document]) -> dict[str, int]:
        """The ids of search documents by digest; those that are new are stored and indexed."""
        wanted = {document.digest: document for document in documents}
        known = await self._find(tx, schema.search_documents, ("digest", "id"), {"digest": wanted})
        found: dict[str, int] = dict(known)
        new = [document for digest, document in wanted.items() if digest not in found]
        rows = [fulltext.insert_row(self._dialect, document) for document in new]
        created = await tx.insert_many(fulltext.insert_sql(self._dialect), rows)
        found.update((document.digest, identity) for document, identity in zip(new, created, strict=True))
        index_sql = fulltext.insert_index_sql(self._dialect)
        if new and index_sql is not None:
            await tx.execute_many(index_sql, [(found[each.digest], each.grams) for each in new])
        return found

    async def prices_on(self, tx: Transaction, product_ids: Iterable[int], days: Iterable[str]) -> list[Row]:
        """PRICE_COLUMNS of these products on these days."""
        wanted = {"product_id": product_ids, "observed_on": days}
        return await self._find(tx, schema.price_history, PRICE_COLUMNS, wanted)

    async def insert_prices(self, tx: Transaction, rows: Sequence[Row]) -> None:
        """Rows of PRICE_COLUMNS."""
        await self._insert(tx, schema.price_history, PRICE_COLUMNS, rows)

    async def update_prices(self, tx: Transaction, rows: Sequence[Row]) -> None:
        """Rows of (price, low, high, import_id, product_id, observed_on)."""
        await self._update(tx, schema.price_history, PRICE_COLUMNS[2:], PRICE_COLUMNS[:2], rows)

    async def postcodes_by(self, tx: Transaction, codes: Iterable[str]) -> list[Row]:
        """POSTCODE_COLUMNS."""
        return await self._find(tx, schema.postcodes, POSTCODE_COLUMNS, {"postcode": codes})

    async def insert_postcodes(self, tx: Transaction, rows: Sequence[Row]) -> None:
        """Rows of POSTCODE_COLUMNS."""
        await self._insert(tx, schema.postcodes, POSTCODE_COLUMNS, rows)

    async def update_postcodes(self, tx: Transaction, rows: Sequence[Row]) -> None:
        """Rows of (latitude, longitude, offices, postcode, state, district)."""
        await self._update(tx, schema.postcodes, POSTCODE_COLUMNS[3:], POSTCODE_COLUMNS[:3], rows)

    async def quarantined_lines(self, tx: Transaction, import_id: int, lines: Iterable[int]) -> set[int]:
        """Which of these lines of an import are in quarantine already."""
        wanted = {"import_id": [import_id], "line": lines}
        return {line for (line,) in await self._find(tx, schema.quarantine, ("line",), wanted)}

    async def insert_quarantine(self, tx: Transaction, rows: Sequence[Row]) -> None:
        """Rows of QUARANTINE_COLUMNS."""
        await self._insert(tx, schema.quarantine, QUARANTINE_COLUMNS, rows)

    async def find_import(self, tx: Transaction, digest: str) -> Row | None:
        """IMPORT_STATE of the import of the file with this digest."""
        rows = await self._find(tx, schema.imports, IMPORT_STATE, {"digest": [digest]})
        return rows[0] if rows else None

    async def insert_import(self, tx: Transaction, row: Row) -> None:
        """A row of IMPORT_COLUMNS: an import that has begun."""
        await self._insert(tx, schema.imports, IMPORT_COLUMNS, [row])

    async def update_import(self, tx: Transaction, row: Row) -> None:
        """(rows_done, tally, finished_at_us, id)."""
        await self._update(tx, schema.imports, IMPORT_STATE[1:], IMPORT_STATE[:1], [row])

    async def locked(self, tx: Transaction, table: TableClause, identity: int) -> dict[str, Any] | None:
        """A row by column, tombstones too; nobody else changes it until this transaction ends."""
        names = [each.name for each in table.columns]
        shown = (
            opaque_text(self._dialect, each).label(each.name) if each.name in schema.OPAQUE else each
            for each in table.columns
        )
        statement = select(*shown).where(table.c.id == bindparam("id")).with_for_update()
        rows = await tx.fetch_all(str(statement.compile(dialect=self._dialect)), {"id": identity})
        return dict(zip(names, rows[0], strict=True)) if rows else None

    async def insert_row(self, tx: Transaction, table: TableClause, row: Mapping[str, Any]) -> int:
        """One row by column; returns its id where the table numbers them. Raises `DuplicateKey`."""
        ids = await self._insert(tx, table, list(row), [tuple(row.values())])
        return ids[0]

    async def update_row(
        self, tx: Transaction, table: TableClause, keys: Mapping[str, Any], changes: Mapping[str, Any]
    ) -> int:
        """Change the rows whose columns have these values; returns how many they are."""
        return await change_rows(tx, self._dialect, table, keys, changes)

    async def rows(
        self, tx: Transaction, table: TableClause, columns: Sequence[str], keys: Mapping[str, Any]
    ) -> list[Row]:
        """The columns of the rows whose columns have these values."""
        return await self._find(tx, table, columns, {name: [value] for name, value in keys.items()})

    async def has_products(self, tx: Transaction, seller_id: int) -> bool:
        """Whether a seller sells anything."""
        p = schema.products.c
        statement = select(func.min(p.id)).where(p.seller_id == bindparam("id"), p.deleted_at_us.is_(None))
        [(first,)] = await tx.fetch_all(str(statement.compile(dialect=self._dialect)), {"id": seller_id})
        return first is not None

    async def forget_bulk(self, tx: Transaction, before_us: int) -> None:
        """Bulk writes and their results that are older go."""
        for old in (schema.bulk_results, schema.bulk_writes):
            statement = delete(old).where(old.c.created_at_us < bindparam("before_us"))
            await tx.execute(str(statement.compile(dialect=self._dialect)), {"before_us": before_us})

    async def _find(
        self,
        tx: Transaction,
        table: TableClause,
        columns: Sequence[str],
        wanted: dict[str, Iterable[Any]],
        *,
        lock: bool = False,
    ) -> list[Row]:
        """The columns of the rows whose named columns hold one of the wanted values each."""
        distinct = {name: list(dict.fromkeys(keys)) for name, keys in wanted.items()}
        shown = (
            opaque_text(self._dialect, table.c[name]) if name in schema.OPAQUE else table.c[name]
            for name in columns
        )
        statement: Select[Any] = select(*shown).where(
            *(table.c[name].in_(values(self._dialect, name, keys)) for name, keys in distinct.items())
        )
        if lock:
            statement = statement.with_for_update()
        parameters = {name: json.dumps(keys) for name, keys in distinct.items()}
        return await tx.fetch_all(str(statement.compile(dialect=self._dialect)), parameters)

    async def _insert(
        self, tx: Transaction, table: TableClause, columns: Sequence[str], rows: Sequence[Row]
    ) -> list[int]:
        statement = insert(table).values({name: bindparam(name) for name in columns})
        return await tx.insert_many(str(statement.compile(dialect=self._positional)), rows)

    async def _update_by_id(
        self, tx: Transaction, table: TableClause, columns: Sequence[str], rows: Sequence[Row]
    ) -> None:
        changes: dict[str, Any] = {name: bindparam(name) for name in (*columns, "updated_at_us")}
        changes["version"] = table.c.version + literal_column("1")
        statement = update(table).ordered_values(*changes.items())
        await self._many(tx, statement.where(table.c.id == bindparam("key")), rows)

    async def _update(
        self,
        tx: Transaction,
        table: TableClause,
        columns: Sequence[str],
        keys: Sequence[str],
        rows: Sequence[Row],
    ) -> None:
        statement = update(table).ordered_values(*((name, bindparam(name)) for name in columns))
        await self._many(
            tx, statement.where(*(table.c[name] == bindparam(f"key_{name}") for name in keys)), rows
        )

    async def _many(self, tx: Transaction, statement: Update, rows: Sequence[Row]) -> None:
        if rows:
            await tx.execute_many(str(statement.compile(dialect=self._positional)), rows)
