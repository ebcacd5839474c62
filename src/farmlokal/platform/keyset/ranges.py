"""The keyset query: a page of any list, read from an index at the place where the last page ended.

A page is the concatenation of at most three index ranges, read one after another until it is full:

1. the rest of the tie: ``key = :key AND id > :id``
2. what follows:        ``key > :key``
3. the rows without a key: ``key IS NULL``, which come last in both directions

Most pages end in the first range or the second. MySQL and MariaDB read these two as one range of the index
on (key, id) when they are joined by OR and the index is forced; SQLite would scan the index from its
beginning, so there they stay two (`merged`, docs/decisions/0009). A row value ``(key, id) > (?, ?)`` is read
well by neither: MariaDB walks the whole index, SQLite the whole tie.

Walking back reads the same ranges in reverse order, each reversed; the caller turns the page round.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, or_

from farmlokal.platform.keyset.cursor import Position


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is ordered: by `key` and then `tie`, both in one direction, NULL keys last.

    `key` None means that the tie-break alone orders (it is unique), as in `sort=id`. `backward` means that
    the list is read from its end.
    """

    tie: ColumnElement[Any]
    key: ColumnElement[Any] | None = None
    nullable: bool = False
    descending: bool = False
    backward: bool = False

    @property
    def reverse(self) -> bool:
        """Whether keys are read from great to small."""
        return self.descending != self.backward


class Range(NamedTuple):
    """One range of an index: which rows, in which order. Parameters: `after_key` and `after_tie`."""

    where: list[ColumnElement[bool]]
    order_by: list[ColumnElement[Any]]


def ranges(order: Order, position: Position | None, *, merged: bool) -> tuple[Range, ...]:
    """The ranges after `position`, in the order in which they are read."""
    at = None if position is None else (position.key is None, position.inclusive)
    return _ranges(order, at, merged=merged)


# Building a range costs as much as a tenth of reading it, and there are few different ones.
@lru_cache(maxsize=256)
def _ranges(order: Order, at: tuple[bool, bool] | None, *, merged: bool) -> tuple[Range, ...]:
    """`at` is what statements depend on of a position: whether it has no key, and whether it is inclusive."""
    unkeyed_at, inclusive = at or (False, False)
    tie = _directed(order, [order.tie])
    beyond_tie = [] if at is None else [_beyond(order, order.tie, "after_tie", inclusive)]
    if order.key is None:
        return (Range(beyond_tie, tie),)
    by_key = _directed(order, [order.key, order.tie])
    keyed = Range([order.key.is_not(None)] if order.nullable else [], by_key)
    unkeyed = Range([order.key.is_(None)], tie)
    if at is None:
        both = (unkeyed, keyed) if order.backward else (keyed, unkeyed)
        return both if order.nullable else (keyed,)
    if unkeyed_at:
        rest = Range([*unkeyed.where, *beyond_tie], tie)
        return (rest, keyed) if order.backward else (rest,)
    tied = [order.key == bindparam("after_key"), *beyond_tie]
    following = _beyond(order, order.key, "after_key", inclusive=False)
    found = (
        (Range([or_(following, and_(*tied))], by_key),)
        if merged
        else (Range(tied, tie), Range([following], by_key))
    )
    return found if order.backward or not order.nullable else (*found, unkeyed)


def whole(order: Order, position: Position | None) -> Range:
    """All ranges as one, for rows that are gathered by another index and then sorted."""
    found = ranges(order, position, merged=True)
    where = [] if position is None else [or_(*(and_(*each.where) for each in found))]
    if order.key is None or not order.nullable:
        return Range(where, found[0].order_by)
    last = order.key.is_(None)
    by_key = _directed(order, [order.key, order.tie])
    return Range(where, [last.desc() if order.backward else last.asc(), *by_key])


def _directed(order: Order, columns: Sequence[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    return [column.desc() if order.reverse else column.asc() for column in columns]


def _beyond(order: Order, column: ColumnElement[Any], parameter: str, inclusive: bool) -> ColumnElement[bool]:
    value: ColumnElement[Any] = bindparam(parameter)
    if inclusive:
        return column <= value if order.reverse else column >= value
    return column < value if order.reverse else column > value
