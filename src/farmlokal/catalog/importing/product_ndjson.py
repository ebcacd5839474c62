"""Our own product format as NDJSON: one JSON object a line, with the members of `product_members`.

Quirks: an unknown or a repeated member rejects its line, because readers differ in what they make of it;
a price may be a number as well as a string and never becomes a float; `organic` is a JSON boolean.
"""

from collections.abc import Iterable, Iterator

from farmlokal.catalog.importing.json_object import object_members
from farmlokal.catalog.importing.product_members import MEMBERS, product_draft
from farmlokal.catalog.importing.rows import RAW_CHARS, Rejected, SourceRow, Value
from farmlokal.catalog.importing.values import RowError, shown
from farmlokal.catalog.models import ProductDraft


def count_rows(lines: Iterable[str]) -> int:
    """How many lines are not blank."""
    return sum(1 for line in lines if not line.isspace())


def read_rows(lines: Iterable[str]) -> Iterator[SourceRow]:
    """Every line that is not blank as a product or a rejection."""
    for number, line in enumerate(lines, start=1):
        if line.isspace():
            continue
        value: Value
        try:
            value = _draft(line)
        except RowError as error:
            value = Rejected(error.code, error.reason)
        yield SourceRow(number, value, line[:RAW_CHARS].rstrip("\r\n"))


def _draft(line: str) -> ProductDraft:
    members = object_members(line)
    unknown = sorted(members.keys() - MEMBERS)
    if unknown:
        named = ", ".join(shown(name) for name in unknown[:3])
        raise RowError("unknown_member", f"unknown member {named}; accepted: {', '.join(sorted(MEMBERS))}")
    return product_draft(members)
