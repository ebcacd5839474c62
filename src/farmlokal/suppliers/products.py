"""A supplier's page of products as our callers get it: unchanged, but for items that nobody should be handed.

Numbers keep their digits: they were never a float, so nothing is rounded and no NaN comes out. What is
refused here is an item; what is left is one page of valid JSON, whatever came in.
"""

import re
from typing import NamedTuple

import msgspec

from farmlokal.catalog.importing.values import NUMBER_CHARS, Number
from farmlokal.suppliers.document import Broken, read_items, whole_number

ITEMS_UNASKED = 1_000
"""Most items that are passed on when the caller named no limit."""

DEPTH = 32
"""Deepest nesting of an item; the published ones have 3."""

PRICE_CHARS = 12
"""Digits of a price with its point: up to a thousand million."""

_PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_PRICE = re.compile(rf"[0-9.]{{1,{PRICE_CHARS}}}")


class ProductsPage(NamedTuple):
    """The members of an answer, finished but for its last brace, and how many items are not in it."""

    body: bytes
    dropped: int


class _Unfit(Exception):
    """The item is not passed on."""


def read_products(body: bytes, limit: int | None, skip: int | None) -> ProductsPage:
    """The page in an answer to a question for `limit` items after `skip`. Raises `UnreadablePage`."""
    items, around = read_items(body, "products")
    most = ITEMS_UNASKED if limit is None else limit
    products: list[dict[str, object]] = []
    for item in items:
        if len(products) == most:
            break
        try:
            products.append(_product(item))
        except _Unfit:
            continue
    told = {name: whole_number(around.get(name)) for name in ("total", "skip", "limit")}
    otherwise = {
        "total": (skip or 0) + len(products),
        "skip": skip or 0,
        "limit": most if limit else len(items),
    }
    members = {name: otherwise[name] if count is None else count for name, count in told.items()}
    encoded = msgspec.json.encode({"products": products, **members})
    return ProductsPage(encoded[:-1], len(items) - len(products))


def _product(item: object) -> dict[str, object]:
    if not isinstance(item, dict):
        raise _Unfit
    known, title, price = item.get("id"), item.get("title", ""), item.get("price", Number("0"))
    if not isinstance(known, str) or not known:  # numbers are a kind of text here
        raise _Unfit
    if not isinstance(title, str) or isinstance(title, Number):
        raise _Unfit
    if not isinstance(price, Number) or not _PRICE.fullmatch(price):
        raise _Unfit
    return {_text(name): _plain(value, DEPTH) for name, value in item.items()}


def _plain(value: object, depth: int) -> object:
    """The value as it is written out again."""
    if isinstance(value, Broken) or not depth:
        raise _Unfit
    if isinstance(value, Number):
        if len(value) > NUMBER_CHARS or not _PLAIN.fullmatch(value):
            raise _Unfit
        return msgspec.Raw(value.encode())
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {_text(name): _plain(inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, depth - 1) for inner in value]
    return value


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a character: JSON may say it, UTF-8 cannot
        raise _Unfit from None
    return value
