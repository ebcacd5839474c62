"""The use cases of a writer: each one transaction, which raises the version of the catalogue last."""

from collections.abc import Awaitable, Callable

from farmlokal.catalog.editing.edits import Edited, Edits
from farmlokal.catalog.editing.members import Document
from farmlokal.catalog.writes import CatalogueWriter
from farmlokal.oauth.models import Principal
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import Database, Transaction

Edit = Callable[[Transaction], Awaitable[Edited]]


class CatalogueEditor:
    """One product or seller at a time."""

    def __init__(self, database: Database, clock: SystemClock) -> None:
        self._database = database
        self._clock = clock
        self._writer = CatalogueWriter(database)
        self._edits = Edits(self._writer, clock)

    async def create(self, by: Principal, kind: str, given: Document) -> Edited:
        """A new `product` or `seller`. Raises `Invalid`, `Forbidden`, `Conflict`."""
        make = self._edits.create_product if kind == "product" else self._edits.create_seller
        return await self._write(lambda tx: make(tx, by, given))

    async def change(
        self, by: Principal, kind: str, identity: int, patch: Document, version: int | None
    ) -> Edited:
        """Lay a merge patch over one. Raises `NotFound`, `Forbidden`, `Invalid`, `PreconditionFailed`."""
        change = self._edits.change_product if kind == "product" else self._edits.change_seller
        return await self._write(lambda tx: change(tx, by, identity, patch, version))

    async def delete(self, by: Principal, kind: str, identity: int, version: int | None) -> None:
        """Leave a tombstone. Raises `NotFound`, `Forbidden`, `PreconditionFailed`, `Conflict`."""
        await self._write(lambda tx: self._edits.delete(tx, by, kind, identity, version))

    async def _write(self, edit: Edit) -> Edited:
        async def work(tx: Transaction) -> Edited:
            edited = await edit(tx)
            await self._writer.raise_version(tx, self._clock.now_us())
            return edited

        return await self._database.write(work)
