"""Which format a file is of, by its first bytes: names and endings lie, columns do not.

CSV is told by its header, JSON by the members of its first object.
"""

import io
import re

from farmlokal.catalog.importing import (
    agmarknet_catalogue,
    agmarknet_daily,
    postcodes,
    price_history,
    product_csv,
    table,
)
from farmlokal.catalog.importing.datagovin import ENVELOPE
from farmlokal.catalog.importing.json_object import object_members
from farmlokal.catalog.importing.product_members import MEMBERS
from farmlokal.catalog.importing.rows import Format, TableFormat, UnreadableFile
from farmlokal.catalog.importing.stream import LINE_BYTES, text_lines
from farmlokal.catalog.importing.values import RowError, shown

HEAD_BYTES = LINE_BYTES + 1
"""How much of a file `recognise` needs: the longest line, and one byte to tell that it is longer."""

TABLES = {
    found.format: found
    for found in (
        agmarknet_daily.TABLE,
        agmarknet_catalogue.TABLE,
        product_csv.TABLE,
        postcodes.TABLE,
        price_history.TABLE,
    )
}

_MAGIC = {
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"PAR1": "a Parquet file",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF": "a PDF document",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"\xfd7zXZ": "an xz file",
    b"BZh": "a bzip2 file",
    b"SQLite format 3": "an SQLite database",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
_FIRST_MEMBER = re.compile(r'\s*\{\s*"([A-Za-z0-9_ ]{1,64})"\s*:')


def recognise(head: bytes, name: str) -> Format:
    """The format of a file that begins with these bytes; raises `UnreadableFile`, with what is accepted."""
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            raise UnreadableFile(f"{name} is {what}; accepted: UTF-8 text, plain or gzip. {_accepted()}")
    head = head.removeprefix(b"\xef\xbb\xbf")
    start = head.lstrip()[:1]
    if not start:
        raise UnreadableFile(f"{name} is empty. {_accepted()}")
    if start == b"{":
        return _json_format(head)
    if start == b"[":
        raise UnreadableFile(f"{name} is a JSON array; accepted: one JSON object a line. {_accepted()}")
    return _table_format(table.header(text_lines(io.BytesIO(head), name), name), name)


def _json_format(head: bytes) -> Format:
    """A product names itself on its first line; a document may spread over many, or fill one."""
    line = head.lstrip().split(b"\n", 1)[0].decode("utf-8", "replace")
    try:
        members = object_members(line).keys()
    except RowError:
        first = _FIRST_MEMBER.match(head[:4096].decode("utf-8", "replace"))
        return Format.PRODUCT_NDJSON if first and first[1] in MEMBERS else Format.DATAGOVIN
    document = "records" in members or (members & ENVELOPE and not members & MEMBERS)
    return Format.DATAGOVIN if document else Format.PRODUCT_NDJSON


def _table_format(columns: list[str], name: str) -> Format:
    present = frozenset(columns)
    fitting = [known for known in TABLES.values() if present.issuperset(known.required)]
    if not fitting:
        raise _unknown_header(present, name)
    found = max(fitting, key=lambda known: len(known.known & present))
    extra = sorted(present - found.known)
    if extra and not found.extra_ignored:
        named = ", ".join(shown(column) for column in extra[:10])
        accepted = f"accepted: {', '.join(found.required + found.optional)}"
        raise UnreadableFile(f"{name}, line 1: unknown column {named}; {accepted}.")
    return found.format


def _unknown_header(present: frozenset[str], name: str) -> UnreadableFile:
    nearest: TableFormat = max(
        TABLES.values(), key=lambda known: len(present & known.known) / len(known.required)
    )
    if not present & nearest.known:
        return UnreadableFile(f"{name}, line 1: no header of a known format. {_accepted()}")
    lacking = ", ".join(column for column in nearest.required if column not in present)
    return UnreadableFile(f"{name}, line 1: as {nearest.format} it lacks the column {lacking}. {_accepted()}")


def _accepted() -> str:
    tables = "; ".join(f"{known.format} ({','.join(known.required)})" for known in TABLES.values())
    return (
        f"Accepted: CSV with a header: {tables}; {Format.PRODUCT_NDJSON} (one JSON object a line); "
        f"{Format.DATAGOVIN} (a JSON object with records)."
    )
