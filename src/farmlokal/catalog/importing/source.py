"""A file of any accepted format as a stream of typed rows, in constant memory.

A file is read twice: once whole by `check`, so that nothing of a file that is damaged at its end reaches
the catalogue, and once by `read`. Both are cheap beside the database, and a transaction around the whole
import would hold its locks for as long.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import BinaryIO

from farmlokal.catalog.importing import datagovin, product_ndjson, recognition, table
from farmlokal.catalog.importing.rows import Format, Rejected, SourceRow, UnreadableFile, Value
from farmlokal.catalog.importing.stream import Progress, digest_of, open_content, text_lines
from farmlokal.catalog.importing.values import day_after

__all__ = ["Format", "Rejected", "Source", "SourceRow", "UnreadableFile", "Value", "open_source"]


@dataclass(frozen=True, slots=True)
class Source:
    """A file whose format is known. `digest` is the SHA-256 of its bytes as stored, in hex."""

    path: Path
    format: Format
    digest: str
    today: date | None = None

    def check(self, progress: Progress | None = None) -> int:
        """Read the whole file once and count its rows; `progress` gets the stored bytes consumed so far.

        Raises `UnreadableFile` for compression, encoding, quoting, header, or a file that has changed.
        """
        with open_content(self.path, progress, self.digest) as content:
            return self._count(content)

    def read(self, progress: Progress | None = None) -> Iterator[SourceRow]:
        """Every row, as often as asked. Raises what `check` would, if `check` was not called before."""
        with open_content(self.path, progress, self.digest) as content:
            yield from self._rows(content)

    def _count(self, content: BinaryIO) -> int:
        name = self.path.name
        if self.format is Format.DATAGOVIN:
            return datagovin.count_rows(content, name)
        lines = text_lines(content, name)
        if self.format is Format.PRODUCT_NDJSON:
            return product_ndjson.count_rows(lines)
        return table.count_rows(lines, name)

    def _rows(self, content: BinaryIO) -> Iterator[SourceRow]:
        name = self.path.name
        latest = day_after(self.today)
        if self.format is Format.DATAGOVIN:
            return datagovin.read_rows(content, name, latest)
        lines = text_lines(content, name)
        if self.format is Format.PRODUCT_NDJSON:
            return product_ndjson.read_rows(lines)
        return table.read_rows(lines, name, recognition.TABLES[self.format], latest)


def open_source(path: Path, today: date | None = None) -> Source:
    """Recognise a file by its content; raises `UnreadableFile`.

    With `today`, a price of a day after tomorrow or later rejects its row.
    """
    with open_content(path) as content:
        found = recognition.recognise(content.read(recognition.HEAD_BYTES), path.name)
    return Source(path, found, digest_of(path), today)
