"""The keyset query: one page of any list, read from an index at the place where the last page ended.

A page is the concatenation of at most three index ranges, each in index order and each cut at one row more
than the page holds:

1. the rest of the tie: ``key = :key AND id > :id``
2. what follows:        ``key > :key``
3. the rows without a key: ``key IS NULL``, which come last in both directions

Each is a branch of a UNION ALL. The usual ``key > ? OR (key = ? AND id > ?)`` says the first two at once,
and an optimizer then has one plan for both. A row value ``(key, id) > (?, ?)`` makes MariaDB walk the index
from its end. A branch has one sensible plan (docs/decisions/0005).

Walking back reads the same ranges in reverse order, each reversed; the caller turns the page round.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, Subquery, bindparam, literal_column, select, union_all

from farmlokal.catalog.cursor import Position


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is ordered: by `key` and then `tie`, both in one direction, NULL keys last.

    `key` None means that the tie-break alone orders (it is unique), as in `sort=id`.
    """

    tie: ColumnElement[Any]
    key: ColumnElement[Any] | None = None
    nullable: bool = False
    descending: bool = False


class Page(NamedTuple):
    """The rows of a page as (segment, sort_key, tie), to be joined with what is shown, and their order."""

    rows: Subquery
    order_by: list[ColumnElement[Any]]


def page(
    source: FromClause, conditions: Sequence[ColumnElement[bool]], order: Order, position: Position | None
) -> Page:
    """At most `:page_rows` rows of each segment after `position`.

    The statement's own LIMIT, the same `:page_rows`, is the caller's to set. Parameters: `page_rows`, and
    with a position `after_tie` and `after_key`.
    """
    reverse = order.descending != (position is not None and position.backward)
    key = literal_column("NULL") if order.key is None else order.key
    branches = [
        select(
            select(
                literal_column(str(number)).label("segment"), key.label("sort_key"), order.tie.label("tie")
            )
            .select_from(source)
            .where(*conditions, *segment)
            .order_by(*_columns(order, reverse, fixed=fixed))
            .limit(bindparam("page_rows"))
            .subquery(f"segment_{number}")
        )
        for number, (segment, fixed) in enumerate(_segments(order, position, reverse))
    ]
    rows = (union_all(*branches) if len(branches) > 1 else branches[0]).subquery("page")
    directed = [column.desc() if reverse else column.asc() for column in (rows.c.sort_key, rows.c.tie)]
    return Page(rows, [rows.c.segment.asc(), *directed])


def _columns(order: Order, reverse: bool, *, fixed: bool) -> list[ColumnElement[Any]]:
    """What a segment is ordered by; where its key is `fixed` to one value the tie-break says it all."""
    columns = [order.tie] if fixed or order.key is None else [order.key, order.tie]
    return [column.desc() if reverse else column.asc() for column in columns]


def _segments(
    order: Order, position: Position | None, reverse: bool
) -> list[tuple[list[ColumnElement[bool]], bool]]:
    """The index ranges of a page, in page order, each with whether its key is one fixed value."""
    beyond_tie: list[ColumnElement[bool]] = (
        [] if position is None else [_beyond(order.tie, "after_tie", reverse, position.inclusive)]
    )
    if order.key is None:
        return [(beyond_tie, True)]
    unkeyed: ColumnElement[bool] = order.key.is_(None)
    keyed: ColumnElement[bool] = order.key.is_not(None)
    if position is None:
        with_key = ([keyed] if order.nullable else [], False)
        return [with_key, ([unkeyed], True)] if order.nullable else [with_key]
    if position.key is None:
        rest = ([unkeyed, *beyond_tie], True)
        return [rest, ([keyed], False)] if position.backward else [rest]
    tied: ColumnElement[bool] = order.key == bindparam("after_key")
    tie = ([tied, *beyond_tie], True)
    following = ([_beyond(order.key, "after_key", reverse, False)], False)
    if position.backward or not order.nullable:
        return [tie, following]
    return [tie, following, ([unkeyed], True)]


def _beyond(
    column: ColumnElement[Any], parameter: str, reverse: bool, inclusive: bool
) -> ColumnElement[bool]:
    value: ColumnElement[Any] = bindparam(parameter)
    if inclusive:
        return column <= value if reverse else column >= value
    return column < value if reverse else column > value
