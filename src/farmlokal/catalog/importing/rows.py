"""What reading a file yields, whatever its format: one typed value a row, or the reason why not.

A row that is wrong is a value, not an exception: one bad line in ten thousand must not stop an import.
`UnreadableFile` is for what makes every following row doubtful: encoding, quoting, compression, header.
"""

from collections.abc import Callable
from datetime import date
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from farmlokal.catalog.models import PostcodePlace, PriceObservation, ProductDraft
from farmlokal.errors import Invalid

RAW_CHARS = 2000
"""How much of a row's text is kept for whoever mends it: four times the longest published row."""


class Format(StrEnum):
    """The formats an import accepts."""

    AGMARKNET_DAILY = "agmarknet-daily"
    AGMARKNET_CATALOGUE = "agmarknet-catalogue"
    DATAGOVIN = "datagovin"
    PRODUCT_CSV = "product-csv"
    PRODUCT_NDJSON = "product-ndjson"
    POSTCODES = "postcodes"
    PRICE_HISTORY = "price-history"


class UnreadableFile(Invalid):
    """The file as a whole is not of an accepted format; `detail`: where, what is wrong, what will do."""


class Rejected(NamedTuple):
    """A row set aside: `code` for counting, `reason` for whoever mends the row."""

    code: str
    reason: str


Value: TypeAlias = ProductDraft | PriceObservation | PostcodePlace | Rejected


class SourceRow(NamedTuple):
    """One row of a file.

    `line` is the line of the decompressed file where the row starts, from 1 (a header is line 1); in a
    JSON document it is the number of the record, from 1. `raw` is the row as text, cut to `RAW_CHARS`.
    """

    line: int
    value: Value
    raw: str


class TableFormat(NamedTuple):
    """A CSV format: its columns, and how to bind their positions in one file to a parser of its rows.

    `bind` gets the position of every column that is present and the day after which a price is from the
    future (None: no such check). Its result takes the fields of a row, and raises `values.RowError`.
    """

    format: Format
    required: tuple[str, ...]
    optional: tuple[str, ...]
    extra_ignored: bool
    bind: Callable[[dict[str, int], date | None], Callable[[list[str]], Value]]

    @property
    def known(self) -> frozenset[str]:
        """Every column the format knows."""
        return frozenset(self.required + self.optional)
