"""A finished answer: bytes, the tag that names them, and compressed forms, made when first asked for."""

import gzip
from hashlib import blake2b
from typing import Any

import brotli
import msgspec
import zstandard

_BROTLI_QUALITY, _GZIP_LEVEL, _ZSTD_LEVEL = 4, 6, 3
"""For a 5 kB page each is within 10 % of its best size at under 0.2 ms (docs/benchmarks.md)."""

CONTENT_FORM = 1
"""The form in which `ContentCodec` and the representations of this release write; another form, another
number, and instances of both releases do not read each other's entries."""

_encoder = msgspec.json.Encoder()


class Content:
    """A body, most often JSON, with the cursors of its neighbours, where it is a page.

    Once it is packed its zstd form alone is kept, a fifth of the memory; the others are made anew each time.
    """

    __slots__ = ("_body", "_coded", "next_cursor", "prev_cursor", "tag")

    def __init__(self, body: bytes, next_cursor: str | None = None, prev_cursor: str | None = None) -> None:
        self._body: bytes | None = body
        self.next_cursor = next_cursor
        self.prev_cursor = prev_cursor
        self.tag = blake2b(body, digest_size=12).hexdigest()
        self._coded: dict[str, bytes] = {}

    @classmethod
    def of(cls, value: Any) -> "Content":
        """The JSON of a struct; one that is a page says `next_cursor` and `prev_cursor`."""
        return cls(
            _encoder.encode(value), getattr(value, "next_cursor", None), getattr(value, "prev_cursor", None)
        )

    @property
    def body(self) -> bytes:
        """The bytes themselves."""
        return zstandard.decompress(self._coded["zstd"]) if self._body is None else self._body

    @property
    def size(self) -> int:
        """Bytes of memory: the body thrice, which is itself and three compressed forms of at most two thirds
        of it each; or what is packed."""
        return len(self._coded["zstd"]) if self._body is None else 3 * len(self._body)

    def coded(self, coding: str) -> bytes:
        """The body in zstd, br or gzip."""
        coded = self._coded.get(coding)
        if coded is None:
            coded = _compress(self.body, coding)
            if self._body is not None:
                self._coded[coding] = coded
        return coded

    def pack(self) -> None:
        """Take less memory from now on, and 15 µs more to be read as it is."""
        self._coded = {"zstd": self.coded("zstd")}
        self._body = None


class ContentCodec:
    """Content as bytes for other processes. The compressed forms stay behind: they are quickly made."""

    def encode(self, value: Content) -> bytes:
        """MessagePack of (body, cursors)."""
        return msgspec.msgpack.encode((value.body, value.next_cursor, value.prev_cursor))

    def decode(self, data: bytes) -> Content:
        """Raises `ValueError` for anything else."""
        try:
            return Content(*msgspec.msgpack.decode(data, type=tuple[bytes, str | None, str | None]))
        except msgspec.DecodeError as error:
            raise ValueError("no content") from error

    def size(self, value: Content) -> int:
        """Bytes."""
        return value.size

    def pack(self, value: Content) -> None:
        """Make it smaller."""
        value.pack()


def _compress(body: bytes, coding: str) -> bytes:
    if coding == "zstd":
        # Copied: the library makes its result in room for the worst case and cuts it, and what is cut off
        # lies between what is kept, too small for the next one. Four thousand pages took 110 MB more.
        return bytes(memoryview(zstandard.compress(body, _ZSTD_LEVEL)))
    if coding == "br":
        return brotli.compress(body, quality=_BROTLI_QUALITY)  # type: ignore[no-any-return]  # untyped
    return gzip.compress(body, _GZIP_LEVEL, mtime=0)
