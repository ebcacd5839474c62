"""The ids that a product row refers to: its seller, its category, its wording for search.

They are looked up a batch at a time, created where they are missing, and remembered between batches.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from farmlokal.catalog import reference
from farmlokal.catalog.fulltext import Document
from farmlokal.catalog.models import ProductDraft, SellerDraft
from farmlokal.catalog.text import sort_key
from farmlokal.catalog.writes import CatalogueWriter
from farmlokal.platform.database.port import Row, Transaction

REMEMBERED = 200_000
"""Most sellers and wordings kept between batches, some hundred bytes each; past it all are looked up anew."""


class Ids:
    """Ids by what they stand for. What was remembered must be forgotten when a transaction rolls back."""

    def __init__(self, writer: CatalogueWriter) -> None:
        self._writer = writer
        self._sellers: dict[str, int] = {}
        self._categories: dict[str, int] = {}
        self._wordings: dict[Row, int] = {}

    def forget(self) -> None:
        """Look everything up anew from here on."""
        self._sellers.clear()
        self._categories.clear()
        self._wordings.clear()

    async def learn(
        self, tx: Transaction, drafts: Sequence[ProductDraft], now_us: int
    ) -> list[tuple[int, int, int]]:
        """(seller id, category id, search id) of each draft; what they refer to is looked up or created."""
        if len(self._sellers) + len(self._wordings) > REMEMBERED:
            self.forget()
        wordings = [_wording(draft) for draft in drafts]
        await self._learn_sellers(tx, drafts, now_us)
        await self._learn_categories(tx, {draft.category for draft in drafts})
        await self._learn_wordings(tx, set(wordings))
        sellers, categories, search = self._sellers, self._categories, self._wordings
        return [
            (sellers[draft.seller.external_key], categories[draft.category], search[wording])
            for draft, wording in zip(drafts, wordings, strict=True)
        ]

    async def _learn_sellers(self, tx: Transaction, drafts: Iterable[ProductDraft], now_us: int) -> None:
        """The first description of a seller in an import counts; later ones in the same import do not."""
        described: dict[str, ProductDraft] = {}
        for draft in drafts:
            if draft.seller.external_key not in self._sellers:
                described.setdefault(draft.seller.external_key, draft)
        if not described:
            return
        stored = {row[1]: row for row in await self._writer.sellers_by_key(tx, described)}
        self._sellers.update((key, row[0]) for key, row in stored.items())
        new, changed = [], []
        for key, draft in described.items():
            row = _seller_row(draft.seller)
            if key not in stored:
                new.append((*row, now_us, now_us, 1))
                continue
            identity, *before = stored[key]
            after = _merged_seller(tuple(before), row, price_only=draft.price_only)
            if after != tuple(before):
                changed.append((*after, now_us, identity))
        created = await self._writer.insert_sellers(tx, new)
        self._sellers.update((row[0], identity) for row, identity in zip(new, created, strict=True))
        await self._writer.update_sellers(tx, changed)

    async def _learn_categories(self, tx: Transaction, names: set[str]) -> None:
        if names <= self._categories.keys():
            return
        by_key = await self._writer.category_ids(tx)
        known = {category.name_en: category for category in reference.categories()}
        new: dict[bytes, Row] = {}
        for name in sorted(names):
            if sort_key(name) not in by_key:
                named = known.get(name)
                more = (named.name_hi, named.name_ml) if named else (None, None)
                new.setdefault(sort_key(name), (name, sort_key(name), *more))
        if new:
            await self._writer.insert_categories(tx, list(new.values()))
            by_key = await self._writer.category_ids(tx)
        self._categories.update((name, by_key[sort_key(name)]) for name in names)

    async def _learn_wordings(self, tx: Transaction, wordings: set[Row]) -> None:
        documents = {each: Document(each[:3], each[3:]) for each in wordings if each not in self._wordings}
        if documents:
            ids = await self._writer.document_ids(tx, documents.values())
            self._wordings.update((each, ids[document.digest]) for each, document in documents.items())


def _wording(draft: ProductDraft) -> tuple[Any, ...]:
    return draft.name, draft.name_hi, draft.name_ml, draft.commodity, draft.variety


def _seller_row(seller: SellerDraft) -> Row:
    return (
        *(seller.external_key, seller.kind.value, seller.name, seller.district, seller.state),
        *(sort_key(seller.district), sort_key(seller.state)),
        *(seller.postcode, seller.latitude_e6, seller.longitude_e6),
    )


def _merged_seller(stored: Row, described: Row, *, price_only: bool) -> Row:
    """A price file does not describe sellers; other files do, and what they leave out stays."""
    if price_only:
        return stored
    return tuple(before if after is None else after for before, after in zip(stored, described, strict=True))
