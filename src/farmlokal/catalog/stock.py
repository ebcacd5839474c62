"""The stock of products, for those who sell: the one way into the catalogue that is open to other features.

Reading locks, because what is read is then changed. Whoever sells for many callers at once does not wait
for a product that an import has locked; it is told which ones are, and comes back for those.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import bindparam, literal_column, select, update

from farmlokal.catalog import schema
from farmlokal.catalog.models import UNITS
from farmlokal.catalog.writes import CatalogueWriter
from farmlokal.platform.database.json_rows import in_integers, integers
from farmlokal.platform.database.port import Database, Transaction


class Shelf(NamedTuple):
    """What there is of a product, in thousandths of `unit` (kg, litre, piece). None: not known."""

    stock_milli: int | None
    unit: str | None


class Shelves(NamedTuple):
    """Products by id, and the ids of those that somebody else is changing. An id in neither is unknown."""

    free: dict[int, Shelf]
    busy: frozenset[int]


class Stock:
    """The statements, compiled for one database, run on the transaction that is passed in."""

    def __init__(self, database: Database) -> None:
        self._dialect = database.dialect
        self._writer = CatalogueWriter(database)
        p = schema.products.c
        chosen = in_integers(self._dialect, p.id, "ids")
        found = select(p.id, p.stock_milli, p.pack_unit).where(chosen).order_by(p.id)
        self._waiting = self._text(found.with_for_update())
        self._passing = self._text(found.with_for_update(skip_locked=True))
        self._present = self._text(select(p.id).where(chosen))
        changed = update(schema.products).ordered_values(
            ("stock_milli", bindparam("stock_milli")),
            ("updated_at_us", bindparam("updated_at_us")),
            ("version", p.version + literal_column("1")),
        )
        self._change = str(
            changed.where(p.id == bindparam("product")).compile(dialect=database.positional_dialect)
        )

    async def lock(self, tx: Transaction, product_ids: Collection[int], *, wait: bool) -> Shelves:
        """The products, locked until the transaction ends; deleted ones too, whose stock may come back.

        With `wait` every one is waited for, and none is busy.
        """
        if not product_ids:
            return Shelves({}, frozenset())
        given = {"ids": integers(self._dialect, sorted(product_ids))}
        rows = await tx.fetch_all(self._waiting if wait else self._passing, given)
        free = {identity: Shelf(stock, UNITS[unit].base if unit else None) for identity, stock, unit in rows}
        if wait or len(free) == len(product_ids):
            return Shelves(free, frozenset())
        present = {identity for (identity,) in await tx.fetch_all(self._present, given)}
        return Shelves(free, frozenset(present - free.keys()))

    async def set(self, tx: Transaction, stock_milli: Mapping[int, int], now_us: int) -> None:
        """Write what there is now of locked products. Last thing in a transaction: it raises the version of
        the catalogue."""
        if stock_milli:
            rows = [(stock, now_us, identity) for identity, stock in sorted(stock_milli.items())]
            await tx.execute_many(self._change, rows)
            await self._writer.raise_version(tx, now_us)

    def _text(self, statement: object) -> str:
        return str(statement.compile(dialect=self._dialect))  # type: ignore[attr-defined]  # any statement
