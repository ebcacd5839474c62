"""The bytes of a file, decompressed and decoded while they are read: never more than one line in memory.

Gzip is told by its first bytes and not by the name, because a browser that downloads ``x.csv.gz`` often
saves it unpacked under the same name. Every byte is hashed on the way, so that a file which changes
between two readings is noticed.
"""

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from farmlokal.catalog.importing.rows import UnreadableFile

Progress = Callable[[int], None]

LINE_BYTES = 1 << 20
"""Longest line: a bound of ours, a thousand times the longest row of the published files."""

_CHUNK_BYTES = 256 * 1024
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


class RawFile(io.RawIOBase):
    """The file as stored: counts, reports and hashes what is read, and names the file when a read fails."""

    def __init__(self, file: io.FileIO, name: str, progress: Progress | None) -> None:
        super().__init__()
        self._file = file
        self._name = name
        self._progress = progress
        self._hash = hashlib.sha256()
        self._consumed = 0

    def readable(self) -> bool:
        """Always: it is open for reading only."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed wants any buffer
        """Fill the buffer from the file; 0 at its end."""
        try:
            count = self._file.readinto(buffer) or 0
        except OSError as error:
            raise UnreadableFile(f"{self._name} cannot be read: {_cause(error)}.") from error
        self._hash.update(buffer[:count])
        self._consumed += count
        if self._progress is not None and count:
            self._progress(self._consumed)
        return count

    def digest(self) -> str:
        """SHA-256 of what was read so far, in hex."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close the file as well."""
        if not self.closed:
            self._file.close()
        super().close()


def _open(path: Path, progress: Progress | None) -> RawFile:
    try:
        return RawFile(path.open("rb", buffering=0), path.name, progress)
    except (OSError, ValueError) as error:
        raise UnreadableFile(f"{path.name} cannot be opened: {_cause(error)}.") from error


def _cause(error: Exception) -> str:
    # `strerror` and not the error itself: that prints the whole path.
    return getattr(error, "strerror", None) or type(error).__name__


def digest_of(path: Path) -> str:
    """SHA-256 of the file as stored, in hex."""
    with _open(path, None) as raw:
        buffer = memoryview(bytearray(_CHUNK_BYTES))
        while raw.readinto(buffer):
            pass
        return raw.digest()


@contextmanager
def open_content(
    path: Path, progress: Progress | None = None, digest: str | None = None
) -> Iterator[BinaryIO]:
    """The decompressed bytes of a file; raises `UnreadableFile`.

    With `digest`, whoever reads to the end and leaves normally learns whether the file is still that one.
    """
    with _open(path, progress) as raw, io.BufferedReader(raw, _CHUNK_BYTES) as stored:
        try:
            if stored.peek(2)[:2] == _GZIP:
                with (
                    gzip.GzipFile(fileobj=stored) as unpacked,
                    io.BufferedReader(unpacked, _CHUNK_BYTES) as content,
                ):
                    yield content
            else:
                yield stored
        except EOFError:
            raise UnreadableFile(f"{path.name} is a gzip file that ends too early; it was cut off.") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise UnreadableFile(f"{path.name} is a damaged gzip file ({error}).") from None
        if digest is not None and raw.digest() != digest:
            raise UnreadableFile(f"{path.name} was changed while it was being read; import it again.")


def text_lines(content: BinaryIO, name: str) -> Iterator[str]:
    """The lines with their ends, strict UTF-8, without a byte order mark at the start."""
    line_number = 0
    read = content.readline
    while line := read(LINE_BYTES + 1):
        line_number += 1
        if line_number == 1 and line.startswith(_BOM):
            line = line[len(_BOM) :]
        if len(line) > LINE_BYTES:
            raise UnreadableFile(f"{name}, line {line_number}: longer than 1 MiB, the longest accepted.")
        yield decoded(line, name, line_number)


def decoded(data: bytes, name: str, line_number: int) -> str:
    """Text of UTF-8 without NUL; `line_number` is where the bytes start."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line_number += data.count(b"\n", 0, error.start)
        column = error.start - data.rfind(b"\n", 0, error.start)
        where = f"{name}, line {line_number}, byte {column}"
        raise UnreadableFile(f"{where}: not UTF-8, the one accepted encoding.") from None
    if "\0" in text:
        line_number += text.count("\n", 0, text.index("\0"))
        raise UnreadableFile(f"{name}, line {line_number}: a NUL byte; accepted: UTF-8 text, plain or gzip.")
    return text
