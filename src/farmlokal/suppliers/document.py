"""A supplier's JSON, read so that one bad item costs that item and one bad page costs that page.

Strict within an item (duplicate members, NaN, numbers beyond belief), since what a lenient reader lets pass
is where two readers come to differ; but a fault inside becomes a value that no field accepts, instead of
the end of the page. Numbers keep their digits: no price passes through a float.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from json import JSONDecodeError, JSONDecoder
from typing import Any, NamedTuple

from farmlokal.catalog.importing.json_object import number, unique
from farmlokal.catalog.importing.rows import RAW_CHARS
from farmlokal.catalog.importing.values import RowError, shown
from farmlokal.suppliers.models import RefusedItem, SupplierOffer, UnreadablePage

VALUES, CONTAINERS = 300_000, 50_000
"""Most values, and most lists and objects, of a page: a body of 5 MB may be a tree of 200. Counted by their
commas and brackets, so texts with many of them count, too. The largest real page has 10,000 and 2,000."""

ITEMS = 10_000
"""Most items of a page: ten times what any of the formats sends."""

Members = dict[str, object]

Parse = Callable[[Members], Iterable[SupplierOffer | RowError]]
"""The offers in an item. A refusal that is raised is of what is left of the item, one that is yielded of a
part."""

Identify = Callable[[Members], Iterable[str]]
"""The external keys of the products that an item is about, whatever else is wrong with it."""


class Broken(NamedTuple):
    """What stands where a value should have been."""

    code: str
    reason: str


def read_items(body: bytes, member: str) -> tuple[list[object], Members]:
    """(items, members of the document around them): the list under `member`, or the document if that is a
    list.

    Raises `UnreadablePage`.
    """
    document = _read(body)
    around = document if isinstance(document, dict) else {}
    items = around.get(member) if isinstance(document, dict) else document
    if isinstance(document, Broken):
        raise UnreadablePage(document.reason)
    if not isinstance(items, list):
        raise UnreadablePage(f"not a list of {member}")
    if len(items) > ITEMS:
        raise UnreadablePage(f"more than {ITEMS} {member}")
    return items, around


def read_offers(
    items: Iterable[object], parse: Parse, identify: Identify
) -> tuple[list[SupplierOffer], list[RefusedItem]]:
    """Offers and refusals of a page. Of two offers with one key the first counts, and the second is
    refused."""
    offers: dict[str, SupplierOffer] = {}
    refused: list[RefusedItem] = []
    for place, item in enumerate(items, start=1):
        for found in _parsed(item, parse):
            if isinstance(found, RowError):
                keys = _identified(item, identify)
                refused.append(RefusedItem(place, found.code, found.reason, _raw(item), keys))
            elif found.key in offers:
                reason = f"key {shown(found.key)} occurs twice; the first one counts"
                refused.append(RefusedItem(place, "duplicate_key", reason, _raw(item)))
            else:
                offers[found.key] = found
    return list(offers.values()), refused


def whole_number(value: object) -> int | None:
    """A count that a supplier gives as a number or as text; None for anything else."""
    written = str(value) if isinstance(value, str) else ""
    return int(written) if written.isascii() and written.isdigit() and len(written) <= 9 else None


def _parsed(item: object, parse: Parse) -> Iterator[SupplierOffer | RowError]:
    try:
        yield from parse(_members(item))
    except RowError as error:
        yield error


def _identified(item: object, identify: Identify) -> tuple[str, ...]:
    try:
        return tuple(identify(_members(item)))
    except RowError:
        return ()


def _members(item: object) -> Members:
    if isinstance(item, Broken):
        raise RowError(item.code, item.reason)
    if not isinstance(item, dict):
        raise RowError("not_object", f"{shown(item)}; accepted: a JSON object")
    return item


def _raw(item: object) -> str:
    return json.dumps(item, ensure_ascii=False)[:RAW_CHARS].encode("utf-8", "replace").decode()


def _read(body: bytes) -> object:
    if body.count(b",") > VALUES or body.count(b"[") + body.count(b"{") > CONTAINERS:
        raise UnreadablePage("too many values")
    try:
        return _DECODER.decode(body.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UnreadablePage("not UTF-8") from None
    except JSONDecodeError as error:
        raise UnreadablePage(f"not JSON at character {error.pos + 1}") from None
    except RecursionError:
        raise UnreadablePage("nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> Members | Broken:
    try:
        return unique(pairs)
    except RowError as error:
        return Broken(error.code, error.reason)


def _constant(written: str) -> Broken:
    return Broken("not_a_number", f"{written} is no number")


_DECODER: JSONDecoder = JSONDecoder(
    parse_float=number, parse_int=number, parse_constant=_constant, object_pairs_hook=_object
)
