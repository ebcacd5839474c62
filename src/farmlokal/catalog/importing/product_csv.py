"""Our own product format as CSV: a header with any of `product_members`, in any order.

Quirks: a column we do not know is refused with the file, not ignored, because a misspelt ``bestbefore``
would otherwise be lost in silence; an empty field is an absent one; ``TRUE`` is true, as in spreadsheets.
"""

from collections.abc import Callable
from datetime import date

from farmlokal.catalog.importing.product_members import OPTIONAL, REQUIRED, product_draft
from farmlokal.catalog.importing.rows import Format, TableFormat
from farmlokal.catalog.models import ProductDraft

_ORGANIC = {"true": True, "false": False}


def _bind(columns: dict[str, int], latest: date | None) -> Callable[[list[str]], ProductDraft]:  # noqa: ARG001  # no price has a date here
    names = tuple(sorted(columns, key=columns.__getitem__))

    def parse(fields: list[str]) -> ProductDraft:
        members: dict[str, object] = dict(zip(names, fields, strict=True))
        organic = members.get("organic")
        if isinstance(organic, str):
            members["organic"] = _ORGANIC.get(organic.strip().lower(), organic)
        return product_draft(members)

    return parse


TABLE = TableFormat(Format.PRODUCT_CSV, REQUIRED, OPTIONAL, extra_ignored=False, bind=_bind)
