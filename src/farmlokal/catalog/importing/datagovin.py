"""Mandi prices as the JSON API of data.gov.in gives them: a document with `records`.

Quirks: numbers arrive as numbers from one copy of the API and as strings from another; names arrive as
``min_price``, ``Min Price`` or ``Min_x0020_Price`` (spaces escaped for XML); ``NA`` stands for nothing;
dates are day first. A document is one value, so it is held in memory as a whole and may have 32 MiB; each
record is parsed on its own.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import BinaryIO

import msgspec

from farmlokal.catalog.importing.json_object import object_members
from farmlokal.catalog.importing.mandi import Quote, goods_of, listing_key, located_market, price_draft
from farmlokal.catalog.importing.rows import RAW_CHARS, Rejected, SourceRow, UnreadableFile, Value
from farmlokal.catalog.importing.stream import decoded
from farmlokal.catalog.importing.values import Number, RowError, shown
from farmlokal.catalog.models import ProductDraft

DOCUMENT_BYTES = 32 * 1024 * 1024
"""A bound of ours. A page of the API holds at most a thousand records, 240 KB; a whole day is 4 MB."""

ENVELOPE = frozenset(
    ["records", "index_name", "status", "message", "field", "total", "count", "limit", "offset"]
)
"""Members by which a document of data.gov.in is told from a product in NDJSON."""

_NAMES = {
    "arrivaldate": "on",
    "date": "on",
    "state": "state",
    "district": "district",
    "market": "market",
    "commodity": "commodity",
    "variety": "variety",
    "grade": "grade",
    "minprice": "low",
    "maxprice": "high",
    "modalprice": "modal",
}


class _Document(msgspec.Struct):
    """The part of a document that matters. `Raw` leaves a record as bytes until its turn."""

    records: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


def count_rows(content: BinaryIO, name: str) -> int:
    """How many records the document has; raises `UnreadableFile`."""
    return len(_records(content, name))


def read_rows(content: BinaryIO, name: str, latest: date | None) -> Iterator[SourceRow]:
    """Every record as a typed value or a rejection; `line` is the number of the record."""
    for number, record in enumerate(_records(content, name), start=1):
        written = bytes(record).decode()
        value: Value
        try:
            value = record_draft(object_members(written), latest)
        except RowError as error:
            value = Rejected(error.code, error.reason)
        yield SourceRow(number, value, written[:RAW_CHARS])


def _records(content: BinaryIO, name: str) -> list[msgspec.Raw]:
    data = content.read(DOCUMENT_BYTES + 1)
    if len(data) > DOCUMENT_BYTES:
        raise UnreadableFile(f"{name}: a JSON document of more than 32 MiB, the largest accepted.")
    content.read(1)  # to the end, where a cut-off gzip file shows
    data = data.removeprefix(b"\xef\xbb\xbf")
    decoded(data, name, 1)
    try:
        document = msgspec.json.decode(data, type=_Document)
    except (msgspec.DecodeError, RecursionError) as error:
        cause = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        wanted = "accepted: the JSON of data.gov.in, an object with a list of records"
        raise UnreadableFile(f"{name}: {cause}; {wanted}.") from None
    if isinstance(document.records, msgspec.UnsetType):
        raise UnreadableFile(f"{name}: a JSON document without records, as data.gov.in sends with an error.")
    return document.records


def record_draft(members: Mapping[str, object], latest: date | None) -> ProductDraft:
    """The listing that a record is about, with its price; raises `values.RowError`."""
    return price_draft(_quote(members), latest)


def record_key(members: Mapping[str, object]) -> str:
    """The external key of that listing, whatever its price; raises `values.RowError`."""
    quote = _quote(members)
    market = located_market(quote.state, quote.district, quote.market)
    return listing_key(market, goods_of(quote.commodity, quote.variety, quote.grade))


def _quote(members: Mapping[str, object]) -> Quote:
    fields = dict.fromkeys(Quote._fields, "")
    for name, value in members.items():
        field = _NAMES.get(name.casefold().replace("_x0020_", "").replace(" ", "").replace("_", ""))
        if field is None:
            continue
        if fields[field]:
            raise RowError("duplicate_member", f"{shown(name)} occurs under two names; accepted: one of them")
        fields[field] = _scalar(name, value)
    return Quote(**fields)


def _scalar(name: str, value: object) -> str:
    if value is None or value == "NA":
        return ""
    if isinstance(value, Number):  # a variety may be a number: the rice 1121 is one
        return str(value)
    if isinstance(value, str):
        return value
    raise RowError("not_text", f"{shown(name)} is {shown(value)}; accepted: a text or a number")
