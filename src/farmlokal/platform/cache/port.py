"""What a cache does, for whoever uses one."""

from collections import Counter
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Generic, NamedTuple, Protocol, TypeVar

T = TypeVar("T")


class Outcome(StrEnum):
    """How a lookup was answered: from the cache; loaded for it; from the cache while a newer value is being
    loaded; with what somebody else was loading at that moment."""

    HIT = "hit"
    MISS = "miss"
    STALE = "stale"
    COALESCED = "coalesced"


class Loaded(NamedTuple, Generic[T]):
    """A value from the source; `empty` ones ("there is no such thing") are kept for a shorter time."""

    value: T
    empty: bool = False


class Found(NamedTuple, Generic[T]):
    """A value and how it was come by."""

    value: T
    outcome: Outcome


Load = Callable[[], Awaitable[Loaded[T]]]


class Cache(Protocol[T]):
    """A read-through cache."""

    async def open(self) -> None:
        """Begin to follow the generation."""

    async def close(self) -> None:
        """Cancel what is being loaded."""

    async def get_or_load(self, key: bytes, load: Load[T]) -> Found[T]:
        """The value of a key, loaded when there is none that may be served. `key` is a digest of 16 bytes of
        *all* that the value depends on. Raises what `load` raises; an error is never kept."""

    def still(self, key: bytes, value: T) -> bool:
        """Whether a lookup would find this very object, as a hit; if so it counts as one."""


class Codec(Protocol[T]):
    """A value as bytes, for other processes. `decode` raises `ValueError` for what `encode` never made."""

    def encode(self, value: T) -> bytes:
        """To bytes."""

    def decode(self, data: bytes) -> T:
        """From bytes."""

    def size(self, value: T) -> int:
        """Bytes that a value takes in this process, roughly and not too low."""

    def pack(self, value: T) -> None:
        """Make a value smaller where it is, and slower to use; others may hold it."""


class CacheCounts:
    """Lookups by outcome, and errors of Redis that were gone around. Bounded: five names."""

    def __init__(self) -> None:
        self.by_name: Counter[str] = Counter(dict.fromkeys([*map(str, Outcome), "errors"], 0))
