"""What was known a while ago, with its age: the last good answers, and the failures of the last seconds.

Bounded in number, in bytes and in age. By the monotonic clock, so that a clock that is set makes nothing
young.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

from farmlokal.platform.clock import SystemClock

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Kept(NamedTuple, Generic[T]):
    """A value and how many seconds ago it was kept."""

    value: T
    age_s: float


class Store(Generic[K, T]):
    """Values by key for `longest_s` seconds; past a bound the one kept longest ago goes first."""

    def __init__(
        self,
        clock: SystemClock,
        longest_s: float,
        *,
        entries: int,
        bytes_in_all: int | None = None,
        size: Callable[[T], int] = lambda _value: 0,
    ) -> None:
        self._clock = clock
        self._longest_s = longest_s
        self._most = entries
        self._most_bytes = bytes_in_all
        self._size = size
        self._values: OrderedDict[K, tuple[T, float, int]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._values)

    def keep(self, key: K, value: T) -> None:
        """Keep a value from now on, instead of the one before."""
        self.forget(key)
        size = self._size(value)
        if self._most_bytes is not None and size > self._most_bytes:
            return
        self._values[key] = (value, self._clock.monotonic_s(), size)
        self._bytes += size
        while len(self._values) > self._most or self._over():
            self.forget(next(iter(self._values)))

    def find(self, key: K) -> Kept[T] | None:
        """The value, unless it is older than `longest_s`."""
        found = self._values.get(key)
        if found is None:
            return None
        value, since_s, _ = found
        age_s = self._clock.monotonic_s() - since_s
        if age_s > self._longest_s:
            self.forget(key)
            return None
        return Kept(value, age_s)

    def forget(self, key: K) -> None:
        """Drop a value, if there is one."""
        found = self._values.pop(key, None)
        if found is not None:
            self._bytes -= found[2]

    def _over(self) -> bool:
        return self._most_bytes is not None and self._bytes > self._most_bytes
