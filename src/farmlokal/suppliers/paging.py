"""The query of the next page, from what a page held: it always lies ahead, whatever a supplier claims."""

from collections.abc import Mapping


def by_offset(
    asked: Mapping[str, str], offset: str, received: int, total: int | None
) -> dict[str, str] | None:
    """The query for what follows `received` items, None after the last one.

    Counted by what came and not by what was asked for: suppliers send less than the limit as they like. An
    empty page is the end, whatever `total` says.
    """
    following = int(asked[offset]) + received
    if not received or (total is not None and following >= total):
        return None
    return {**asked, offset: str(following)}


def by_number(asked: Mapping[str, str], page: str, received: int) -> dict[str, str] | None:
    """The query for the page after this one, None after an empty one: a shorter one need not be the last."""
    return {**asked, page: str(int(asked[page]) + 1)} if received else None
