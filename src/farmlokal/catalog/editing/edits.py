"""One change of one product or seller inside a transaction, with its audit row: the unit that all writes are
made of.

Whoever runs the transaction raises the version of the catalogue once, last (docs/decisions/0010).
"""

import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import TableClause

from farmlokal.catalog import reference, schema
from farmlokal.catalog.editing import members
from farmlokal.catalog.fulltext import Document
from farmlokal.catalog.models import PRODUCT_COLUMNS
from farmlokal.catalog.repository import CATEGORIES
from farmlokal.catalog.text import sort_key
from farmlokal.catalog.writes import SELLER_COLUMNS, CatalogueWriter
from farmlokal.errors import Conflict, Fault, Forbidden, Invalid, NotFound, PreconditionFailed
from farmlokal.oauth.models import Principal
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import DuplicateKey, Transaction

SOURCE = "api"


class Edited(NamedTuple):
    """What was changed, and its version now."""

    id: int
    version: int


class Edits:
    """Changes by one kind of writer: the API. One that raises a refusal has changed no product and no seller;
    a wording or a category that it would have used may be there."""

    def __init__(self, writer: CatalogueWriter, clock: SystemClock) -> None:
        self._writer = writer
        self._clock = clock

    async def create_product(self, tx: Transaction, by: Principal, given: members.Document) -> Edited:
        """A new product. Raises `Invalid`, `Forbidden`, `Conflict`."""
        columns = members.product_columns(given)
        seller_id = columns["seller_id"] or by.seller_id
        if seller_id is None:
            raise Invalid.because([Fault("sellerId", "missing", "the id of the seller")])
        _require_seller(by, seller_id)
        seller = await self._writer.locked(tx, schema.sellers, seller_id)
        if seller is None or seller["deleted_at_us"] is not None:
            raise Invalid.because([Fault("sellerId", "unknown", "the id of a seller")])
        now_us, key = self._clock.now_us(), columns["external_key"] or f"api:{secrets.token_hex(16)}"
        more = {
            "external_key": key,
            "alias_key": None,
            "seller_id": seller_id,
            "price_on": None,
            "source": SOURCE,
        }
        row = await self._product_row(tx, {**columns, **more})
        row |= {"created_at_us": now_us, "updated_at_us": now_us, "version": 1}
        product_id = await self._insert(tx, schema.products, row)
        await self._note_price(tx, product_id, row["price_minor"])
        return await self._audit(tx, by, "create", "product", Edited(product_id, 1), given)

    async def change_product(
        self, tx: Transaction, by: Principal, product_id: int, patch: members.Document, version: int | None
    ) -> Edited:
        """Lay a patch over a product. Where nothing changes nothing is written.

        Raises `NotFound`, `Forbidden`, `Invalid`, and `PreconditionFailed` unless it is at `version`.
        """
        before = await self._current(tx, by, schema.products, product_id, version)
        faults = [
            Fault(name, "read_only", "what it is already; it cannot be changed")
            for name, column in (("externalKey", "external_key"), ("sellerId", "seller_id"))
            if name in patch and str(patch[name]) != str(before[column])
        ]
        if faults:
            raise Invalid.because(faults)
        category = await self._category_name(tx, before["category_id"])
        changes = {name: value for name, value in patch.items() if name not in ("externalKey", "sellerId")}
        columns = members.product_columns(members.merged(members.product_document(before, category), changes))
        kept = ("external_key", "alias_key", "seller_id", "price_on", "source")
        priced = columns["price_minor"] != before["price_minor"]
        row = await self._product_row(tx, {**columns, **{name: before[name] for name in kept}})
        if priced:
            row["price_on"] = None  # as of now, and no longer of the day that a market reported
            await self._note_price(tx, product_id, row["price_minor"])
        return await self._change(tx, by, "product", schema.products, before, row, patch)

    async def delete(
        self, tx: Transaction, by: Principal, kind: str, identity: int, version: int | None
    ) -> Edited:
        """Leave a tombstone, which `updatedSince` reports. Raises as `change_product`, and `Conflict` for a
        seller who still sells."""
        table = schema.products if kind == "product" else schema.sellers
        before = await self._current(tx, by, table, identity, version)
        if kind == "seller":
            _require_free(by)
            if await self._writer.has_products(tx, identity):
                raise Conflict("The seller still has products; delete them first.")
        now_us = self._clock.now_us()
        changes = {"deleted_at_us": now_us, "updated_at_us": now_us, "version": before["version"] + 1}
        await self._writer.update_row(tx, table, {"id": identity}, changes)
        return await self._audit(tx, by, "delete", kind, Edited(identity, before["version"] + 1), {})

    async def create_seller(self, tx: Transaction, by: Principal, given: members.Document) -> Edited:
        """A new seller. Raises `Forbidden` for a client that is bound to one, `Invalid`, `Conflict`."""
        _require_free(by)
        columns, now_us = members.seller_columns(given), self._clock.now_us()
        row = {**columns, "external_key": columns["external_key"] or f"api:{secrets.token_hex(16)}"}
        row |= {"created_at_us": now_us, "updated_at_us": now_us, "version": 1}
        seller_id = await self._insert(tx, schema.sellers, row)
        return await self._audit(tx, by, "create", "seller", Edited(seller_id, 1), given)

    async def change_seller(
        self, tx: Transaction, by: Principal, seller_id: int, patch: members.Document, version: int | None
    ) -> Edited:
        """Lay a patch over a seller. Raises as `change_product`."""
        before = await self._current(tx, by, schema.sellers, seller_id, version)
        if "externalKey" in patch and patch["externalKey"] != before["external_key"]:
            raise Invalid.because([Fault("externalKey", "read_only", "what it is already")])
        changes = {name: value for name, value in patch.items() if name != "externalKey"}
        columns = members.seller_columns(members.merged(members.seller_document(before), changes))
        row = {name: columns[name] for name in SELLER_COLUMNS} | {"external_key": before["external_key"]}
        return await self._change(tx, by, "seller", schema.sellers, before, row, patch)

    async def _current(
        self, tx: Transaction, by: Principal, table: TableClause, identity: int, version: int | None
    ) -> dict[str, Any]:
        """The row as it is, held until the transaction ends."""
        row = await self._writer.locked(tx, table, identity)
        if row is None or row["deleted_at_us"] is not None:
            raise NotFound(f"There is no {'product' if table is schema.products else 'seller'} {identity}.")
        _require_seller(by, identity if table is schema.sellers else row["seller_id"])
        if version is not None and row["version"] != version:
            raise PreconditionFailed("It has changed since the copy that If-Match names.")
        return row

    async def _change(
        self,
        tx: Transaction,
        by: Principal,
        kind: str,
        table: TableClause,
        before: Mapping[str, Any],
        row: Mapping[str, Any],
        patch: members.Document,
    ) -> Edited:
        edited = Edited(before["id"], before["version"])
        if all(before[name] == value for name, value in row.items()):
            return edited
        edited = Edited(edited.id, edited.version + 1)
        changes = {**row, "updated_at_us": self._clock.now_us(), "version": edited.version}
        await self._writer.update_row(tx, table, {"id": edited.id}, changes)
        return await self._audit(tx, by, "change", kind, edited, patch)

    async def _product_row(self, tx: Transaction, columns: Mapping[str, Any]) -> dict[str, Any]:
        """The columns, with the ids that they refer to."""
        names = (columns["name"], columns["name_hi"], columns["name_ml"])
        wording = Document(names, (columns["commodity"], columns["variety"]))
        found = await self._writer.document_ids(tx, [wording])
        category_id = await self._category_id(tx, columns["category"])
        known = {**columns, "search_id": found[wording.digest], "category_id": category_id}
        return {name: known[name] for name in PRODUCT_COLUMNS}

    async def _category_id(self, tx: Transaction, name: str) -> int:
        """The id of a category, which is made where it is new."""
        ids, key = await self._writer.category_ids(tx), sort_key(name)
        if key not in ids:
            if len(ids) >= CATEGORIES:
                raise Conflict(f"There are {CATEGORIES} categories, which is the most.")
            known = {each.name_en: each for each in reference.categories()}.get(name)
            more = (known.name_hi, known.name_ml) if known else (None, None)
            await self._writer.insert_categories(tx, [(name, key, *more)])
            ids = await self._writer.category_ids(tx)
        return ids[key]

    async def _category_name(self, tx: Transaction, category_id: int) -> str:
        [(name,)] = await self._writer.rows(tx, schema.categories, ["name"], {"id": category_id})
        return str(name)

    async def _insert(self, tx: Transaction, table: TableClause, row: Mapping[str, Any]) -> int:
        try:
            return await self._writer.insert_row(tx, table, row)
        except DuplicateKey:
            raise Conflict("There is one with this externalKey already, or there was.") from None

    async def _note_price(self, tx: Transaction, product_id: int, price_minor: int) -> None:
        """The price of today, as the history has it."""
        at = {"product_id": product_id, "observed_on": self._clock.today().isoformat()}
        price = {"price_minor": price_minor, "low_minor": None, "high_minor": None, "import_id": None}
        if await self._writer.rows(tx, schema.price_history, ["price_minor"], at):
            await self._writer.update_row(tx, schema.price_history, at, price)
        else:
            await self._writer.insert_row(tx, schema.price_history, {**at, **price})

    async def _audit(
        self, tx: Transaction, by: Principal, action: str, kind: str, edited: Edited, given: members.Document
    ) -> Edited:
        row = {"at_us": self._clock.now_us(), "client_id": by.client_id, "action": action, "kind": kind}
        row |= {"target_id": edited.id, "version": edited.version}
        row["members"] = msgspec.json.encode(dict(given), enc_hook=str).decode()  # numbers as written
        await self._writer.insert_row(tx, schema.audit_log, row)
        return edited


def _require_seller(by: Principal, seller_id: int) -> None:
    if by.seller_id is not None and by.seller_id != seller_id:
        raise Forbidden("This client writes the products of one seller, and this is another's.")


def _require_free(by: Principal) -> None:
    if by.seller_id is not None:
        raise Forbidden("This client is bound to one seller, and neither makes nor deletes any.")
