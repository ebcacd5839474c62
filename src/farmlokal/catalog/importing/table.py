"""Rows of a CSV file, with the physical line each starts on.

Quoting is read strictly: after a stray quote nobody knows where the fields of the following rows are, so
it stops the file, while a row of the wrong width costs only itself. `csv.field_size_limit` belongs to the
whole process and stays as it is (128 KiB); what is smaller here is measured here.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date

from farmlokal.catalog.importing.rows import (
    RAW_CHARS,
    Rejected,
    SourceRow,
    TableFormat,
    UnreadableFile,
    Value,
)
from farmlokal.catalog.importing.stream import LINE_BYTES
from farmlokal.catalog.importing.values import RowError, shown

FIELD_CHARS = 64 * 1024
"""Longest field: sixteen times the longest text any format accepts."""

RECORD_CHARS = LINE_BYTES
"""Longest record. A quoted field may hold line ends, so an open quote would swallow the rest of the file."""


def records(lines: Iterable[str], name: str) -> Iterator[tuple[int, list[str], str]]:
    """(line, fields, text) of every record, the header included and blank lines left out."""
    taken: list[str] = []
    reader = csv.reader(_remembered(lines, taken, name), strict=True)
    line = 1
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            wanted = 'accepted: commas between fields, quotes as "", lines ending in \\n or \\r\\n'
            raise UnreadableFile(f"{name}, line {line}: not CSV ({error}); {wanted}.") from None
        if fields is None:
            return
        if fields or line == 1:
            yield line, fields, taken[0] if len(taken) == 1 else "".join(taken)
        taken.clear()
        line = reader.line_num + 1


def _remembered(lines: Iterable[str], taken: list[str], name: str) -> Iterator[str]:
    """The lines, each kept in `taken` until the record is complete: within a bound."""
    chars = 0
    for number, line in enumerate(lines, start=1):
        if not taken:
            chars = 0
        chars += len(line)
        if chars > RECORD_CHARS:
            start = number - len(taken)
            raise UnreadableFile(
                f"{name}, line {start}: a row longer than 1 MiB; is a quote left open there?"
            )
        taken.append(line)
        yield line


def header(lines: Iterable[str], name: str) -> list[str]:
    """The column names on line 1, without outer white space."""
    _, fields, _ = next(records(lines, name), (1, [], ""))
    columns = [field.strip() for field in fields]
    if not any(columns):
        raise UnreadableFile(f"{name}, line 1: empty; accepted: a header with column names.")
    twice = sorted(shown(column) for column, count in Counter(columns).items() if count > 1)
    if twice:
        raise UnreadableFile(
            f"{name}, line 1: column {', '.join(twice[:10])} occurs twice; accepted: each once."
        )
    return columns


def count_rows(lines: Iterable[str], name: str) -> int:
    """How many rows follow the header; raises what makes the file unreadable."""
    return sum(1 for _ in records(lines, name)) - 1


def read_rows(
    lines: Iterable[str], name: str, table: TableFormat, latest: date | None
) -> Iterator[SourceRow]:
    """Every row after the header as a typed value or a rejection."""
    rows = records(lines, name)
    _, first, _ = next(rows, (1, [""], ""))
    columns = [field.strip() for field in first]
    if not set(columns).issuperset(table.required):
        raise UnreadableFile(f"{name} was changed since it was opened; import it again.")
    width = len(columns)
    parse = table.bind({column: at for at, column in enumerate(columns) if column in table.known}, latest)
    for line, fields, raw in rows:
        value: Value
        if len(fields) != width:
            value = Rejected("fields", f"{len(fields)} fields; accepted: {width}, as many as the header has")
        elif len(raw) > FIELD_CHARS and max(map(len, fields)) > FIELD_CHARS:
            value = Rejected(
                "too_long", f"a field of more than {FIELD_CHARS} characters; accepted: shorter ones"
            )
        else:
            try:
                value = parse(fields)
            except RowError as error:
                value = Rejected(error.code, error.reason)
        yield SourceRow(line, value, raw[:RAW_CHARS].rstrip("\r\n"))
