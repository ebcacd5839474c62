"""From rows to a page: cut the one row too many, turn a page that was read backwards, make its cursors."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from farmlokal.errors import Fault, Invalid
from farmlokal.platform.keyset.cursor import CursorCodec, Key, Position
from farmlokal.platform.web.parameters import ID_CEILING

Row = tuple[Any, ...]


class Slice(NamedTuple):
    """The rows of a page, in the order of the list, and the cursors to its neighbours."""

    rows: list[Row]
    next_cursor: str | None
    prev_cursor: str | None


class Walk:
    """One caller's walk over one list: reads its cursor, writes the next ones.

    `of` is the fingerprint of the query. A row is (sort key, tie, …).
    """

    def __init__(self, codec: CursorCodec, of: bytes, cursor: str | None, *, by_id: bool = False) -> None:
        self._codec = codec
        self._of = of
        self.position = None if cursor is None else self._read(cursor, by_id)

    def _read(self, cursor: str, by_id: bool) -> Position:
        if not cursor.isdigit():
            return self._codec.decode(cursor, self._of)
        # The first system's cursors: the last id seen, in id order.
        if by_id and len(cursor) <= 19 and int(cursor) <= ID_CEILING:
            return Position(None, int(cursor))
        raise Invalid(
            "A cursor of digits goes with the order of ids.",
            Fault("cursor", "foreign", "a number with sort=id, or a cursor of this very query"),
        )

    def slice(self, rows: Sequence[Row], limit: int) -> Slice:
        """The page in `rows`, of which there are up to `limit` + 1, in the direction of reading."""
        here, more = list(rows[:limit]), len(rows) > limit
        if self.position is not None and self.position.backward:
            here.reverse()
            after, before = True, more
        else:
            after, before = more, self.position is not None
        if not here:
            return self._empty()
        return Slice(
            here,
            self._cursor(here[-1][0], here[-1][1], backward=False) if after else None,
            self._cursor(here[0][0], here[0][1], backward=True) if before else None,
        )

    def _empty(self) -> Slice:
        """Nothing here any more: the only way is back, to the row of the cursor itself if it still exists."""
        at = self.position
        if at is None:
            return Slice([], None, None)
        back = self._cursor(at.key, at.tie, backward=not at.backward, inclusive=not at.inclusive)
        return Slice([], back, None) if at.backward else Slice([], None, back)

    def _cursor(self, key: Key, tie: int | str, *, backward: bool, inclusive: bool = False) -> str:
        return self._codec.encode(Position(key, tie, backward, inclusive), self._of)
