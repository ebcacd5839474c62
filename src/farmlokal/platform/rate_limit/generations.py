"""A bounded map that forgets what was not written for a period, without looking at its entries.

Two dictionaries: what is written goes into the young one; once a period the old one is dropped whole and the
young one is the old. So an entry lives for one to two periods after it was last written, and forgetting a
hundred thousand costs no request more than another.
"""

from typing import Generic, TypeVar

V = TypeVar("V")


class Generations(Generic[V]):
    """Times are whatever `period` is in; `most` bounds the keys of both generations together."""

    def __init__(self, period: int, most: int) -> None:
        self._period = period
        self._most = most
        self._young: dict[str, V] = {}
        self._old: dict[str, V] = {}
        self._turn = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: str, now: int) -> V | None:
        """What was written last, or None. A read prolongs nothing."""
        if now >= self._turn:
            self.forget(now)
        found = self._young.get(key)
        return self._old.get(key) if found is None else found

    def put(self, key: str, value: V, now: int) -> bool:
        """Write; False when the map is full and the key is not in it."""
        if now >= self._turn:
            self.forget(now)
        if key not in self._young and self._old.pop(key, None) is None and len(self) >= self._most:
            return False
        self._young[key] = value
        return True

    def forget(self, now: int) -> None:
        """Drop what is due; `get` and `put` do it, too."""
        if now >= self._turn:
            self._old = self._young if now < self._turn + self._period else {}
            self._young = {}
            self._turn = now + self._period
