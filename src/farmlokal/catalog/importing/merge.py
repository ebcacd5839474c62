"""What an imported row changes: rules on values, without I/O.

- A newer observation of a price replaces it; an older one only enters the history. On the same day the file
  that is read later corrects the earlier one.
- A file that contradicts itself is believed the first time: so a second run of it changes nothing.
- A source that only reports prices changes nothing else of a product that exists.
- A product that was deleted stays deleted: its seller took it down, and a file does not know that.
"""

from enum import StrEnum
from typing import Any, NamedTuple

from farmlokal.catalog.models import PRODUCT_COLUMNS, ProductDraft, unit_price_minor
from farmlokal.catalog.text import sort_key

Row = tuple[Any, ...]

PRICE, PRICE_ON, UNIT_PRICE = map(PRODUCT_COLUMNS.index, ("price_minor", "price_on", "unit_price_minor"))
PACK_MILLI, PACK_UNIT, ALIAS = map(PRODUCT_COLUMNS.index, ("pack_milli", "pack_unit", "alias_key"))


class Fate(StrEnum):
    """What became of a row of a file. Every row has exactly one."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    OLDER = "older price, history only"
    DELETED = "of a deleted product"
    QUARANTINED = "quarantined"

    __hash__ = str.__hash__  # the enum's own is written in Python, and every row of a file is counted


class Quote(NamedTuple):
    """A price of one pack, with the range the market reported, and the import that said so."""

    price_minor: int
    low_minor: int | None
    high_minor: int | None
    import_id: int | None


def product_row(draft: ProductDraft, seller_id: int, category_id: int, search_id: int) -> Row:
    """The draft as a row of PRODUCT_COLUMNS."""
    return (
        *(draft.external_key, draft.alias_key, seller_id, category_id, search_id),
        *(draft.name, draft.name_hi, draft.name_ml, sort_key(draft.name), draft.description),
        *(draft.commodity, draft.variety, draft.grade, draft.pack_milli, draft.pack_unit),
        *(draft.price_minor, draft.price_on),
        unit_price_minor(draft.price_minor, draft.pack_milli, draft.pack_unit),
        *(draft.stock_milli, int(draft.organic), draft.certification, draft.harvested_on),
        *(draft.best_before, draft.image_url, draft.source),
    )


def priced(row: Row, price_minor: int, price_on: str | None) -> Row:
    """The row with another price, and the unit price that follows from it."""
    changed = list(row)
    changed[PRICE], changed[PRICE_ON] = price_minor, price_on
    changed[UNIT_PRICE] = unit_price_minor(price_minor, row[PACK_MILLI], row[PACK_UNIT])
    return tuple(changed)


def newer(price_on: str | None, than: str | None) -> bool:
    """Whether a price of day `price_on` may replace one of day `than`; None is "as of now"."""
    return price_on is None or than is None or price_on >= than


def merged(stored: Row, draft_row: Row, *, price_only: bool) -> Row:
    """What the stored row becomes when the draft's row is imported over it."""
    base = stored if price_only else draft_row
    if base[ALIAS] is None and stored[ALIAS] is not None:
        base = (*base[:ALIAS], stored[ALIAS], *base[ALIAS + 1 :])
    takes = draft_row if newer(draft_row[PRICE_ON], stored[PRICE_ON]) else stored
    return priced(base, takes[PRICE], takes[PRICE_ON])


def contradicts(described: Row, after: Row, *, dated: bool) -> bool:
    """Whether two rows of a file describe a product in two ways; prices of two days are no contradiction."""
    return (priced(after, described[PRICE], described[PRICE_ON]) if dated else after) != described


class History:
    """Prices by (product's external key, day): those stored, and those that a batch adds or corrects."""

    def __init__(self, stored: dict[tuple[str, str], Quote]) -> None:
        self._stored = stored
        self.added: dict[tuple[str, str], Quote] = {}
        self.corrected: dict[tuple[str, str], Quote] = {}

    def enter(self, key: str, day: str, quote: Quote) -> bool | None:
        """Enter a price: True when that changed the history, None when an import contradicts itself."""
        at = (key, day)
        stored = self._stored.get(at)
        known = self.added.get(at) or self.corrected.get(at) or stored
        if known is not None:
            if known[:3] == quote[:3]:
                return False
            if known.import_id is not None and known.import_id == quote.import_id:
                return None
        if stored is None:
            self.added[at] = quote
        else:
            self.corrected[at] = quote
        return True
