"""What a client may write of a product and of a seller: read member by member, every fault at once.

Members have the names and shapes in which they are shown, so that what was read can be changed and sent back.
A merge patch (RFC 7396) is laid over what is stored, and the whole is read by the same rules as a new one.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from farmlokal.catalog import reference
from farmlokal.catalog import representation as shown
from farmlokal.catalog.importing.json_object import object_members
from farmlokal.catalog.importing.product_members import DESCRIPTION_CHARS, image_url
from farmlokal.catalog.importing.values import (
    KEY_BYTES,
    SELLER_CHARS,
    RowError,
    day,
    label,
    optional_label,
    optional_text,
    place_e6,
    postcode,
    quantity,
    rupees,
    text,
)
from farmlokal.catalog.models import NAME_BYTES, UNITS, SellerKind, unit_price_minor
from farmlokal.catalog.text import sort_key
from farmlokal.errors import Fault, Invalid

T = TypeVar("T")
Document = Mapping[str, Any]

PRODUCT = (
    *("externalKey", "sellerId", "name", "names", "category", "price", "pack", "stock", "organic"),
    *(
        "certification",
        "harvestedOn",
        "bestBefore",
        "imageUrl",
        "description",
        "commodity",
        "variety",
        "grade",
    ),
)
SELLER = ("externalKey", "kind", "name", "district", "state", "postcode", "location")
NESTED = {
    "names": ("hi", "ml"),
    "pack": ("value", "unit"),
    "stock": ("available", "unit"),
    "location": ("latitude", "longitude"),
}
"""Members that are objects, and theirs."""


def document(body: bytes) -> dict[str, Any]:
    """The object that a body is. Raises `Invalid`."""
    try:
        written = body.decode()
    except UnicodeDecodeError:
        raise Invalid("The body is not UTF-8.", Fault("body", "encoding", "JSON in UTF-8")) from None
    try:
        return object_members(written)
    except RowError as error:
        raise Invalid("The body is no JSON object.", _fault("body", error)) from None


def merged(stored: Document, patch: Document) -> dict[str, Any]:
    """RFC 7396, as deep as our members are: null takes away, an object is laid over an object."""
    result = {**stored}
    for name, value in patch.items():
        before = result.get(name)
        if name in NESTED and isinstance(value, dict):
            value = {**before, **value} if isinstance(before, dict) else value
            value = {inner: kept for inner, kept in value.items() if kept is not None}
        if value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return result


class _Reader:
    """Reads the members of one document, and notes what is wrong with any."""

    def __init__(self, given: Document, known: tuple[str, ...]) -> None:
        self._given = given
        self.faults = [
            Fault(_told(name), "unknown", "one of " + ", ".join(known)) for name in given if name not in known
        ]

    def get(self, name: str, parse: Callable[[str, object], T], otherwise: T) -> T:
        """A member read by `parse`; `otherwise` where it is wrong."""
        return self.part(name, parse, self._given.get(name), otherwise)

    def inner(self, name: str) -> dict[str, Any]:
        """A member that is an object; empty where there is none."""
        value = self._given.get(name)
        if not isinstance(value, dict):
            if value is not None:
                self.faults.append(Fault(name, "not_object", "an object of " + ", ".join(NESTED[name])))
            return {}
        for inner in value.keys() - set(NESTED[name]):
            accepted = "one of " + ", ".join(NESTED[name])
            self.faults.append(Fault(_told(f"{name}.{inner}"), "unknown", accepted))
        return value

    def part(self, name: str, parse: Callable[[str, object], T], value: object, otherwise: T) -> T:
        """A value inside a member."""
        try:
            return parse(name, value)
        except RowError as error:
            self.faults.append(_fault(name, error))
            return otherwise

    def done(self) -> None:
        """Raises `Invalid` naming every fault."""
        if self.faults:
            raise Invalid.because(self.faults)


def product_columns(given: Document) -> dict[str, Any]:
    """The columns of a product; `category` is its name, and who sells it is `seller_id`. Raises `Invalid`."""
    read = _Reader(given, PRODUCT)
    pack = read.inner("pack")
    pack_milli, pack_unit = _pack(read, pack)
    names = read.inner("names")
    harvested_on, best_before = read.get("harvestedOn", _day, None), read.get("bestBefore", _day, None)
    if harvested_on and best_before and best_before < harvested_on:
        read.faults.append(Fault("bestBefore", "out_of_range", f"a date from {harvested_on} on"))
    price_minor, name = read.get("price", rupees, 0), read.get("name", _name, "")
    columns = {
        "external_key": read.get("externalKey", _key, None),
        "seller_id": read.get("sellerId", _id, None),
        "name": name,
        "name_hi": read.part("names.hi", _optional_name, names.get("hi"), None),
        "name_ml": read.part("names.ml", _optional_name, names.get("ml"), None),
        "name_key": sort_key(name),
        "category": read.get("category", label, ""),
        "price_minor": price_minor,
        "pack_milli": pack_milli,
        "pack_unit": pack_unit,
        "unit_price_minor": unit_price_minor(price_minor, pack_milli, pack_unit),
        "stock_milli": _stock(read, read.inner("stock"), pack_unit),
        "organic": read.get("organic", _organic, 0),
        "harvested_on": harvested_on,
        "best_before": best_before,
        "image_url": read.get("imageUrl", lambda _, value: image_url(value), None),
        "description": read.get("description", _description, None),
    }
    for member in ("certification", "commodity", "variety", "grade"):
        columns[member] = read.get(member, optional_label, None)
    read.done()
    return columns


def product_document(columns: Document, category: str) -> dict[str, Any]:
    """What a client has written of a stored product, as it would write it."""
    pack = shown.pack(columns["pack_milli"], columns["pack_unit"])
    stock = columns["stock_milli"]
    written = {
        "name": columns["name"],
        "names": {"hi": columns["name_hi"], "ml": columns["name_ml"]},
        "category": category,
        "price": shown.rupees(columns["price_minor"]),
        "pack": pack and {"value": pack.value, "unit": pack.unit},
        "stock": None if stock is None else {"available": shown.quantity(stock)},
        "organic": bool(columns["organic"]),
        "certification": columns["certification"],
        "harvestedOn": columns["harvested_on"],
        "bestBefore": columns["best_before"],
        "imageUrl": columns["image_url"],
        "description": columns["description"],
        "commodity": columns["commodity"],
        "variety": columns["variety"],
        "grade": columns["grade"],
    }
    return {name: value for name, value in written.items() if value is not None}


def seller_columns(given: Document) -> dict[str, Any]:
    """The columns of a seller. Raises `Invalid`."""
    read = _Reader(given, SELLER)
    latitude, longitude = _place(read, read.inner("location"))
    district = read.get("district", label, "")
    state = read.get("state", lambda name, value: reference.canonical_state(label(name, value)), "")
    columns = {
        "external_key": read.get("externalKey", _key, None),
        "kind": read.get("kind", _kind, ""),
        "name": read.get("name", lambda name, value: label(name, value, SELLER_CHARS), ""),
        "district": district,
        "state": state,
        "district_key": sort_key(district),
        "state_key": sort_key(state),
        "postcode": read.get("postcode", _postcode, None),
        "latitude_e6": latitude,
        "longitude_e6": longitude,
    }
    read.done()
    return columns


def seller_document(columns: Document) -> dict[str, Any]:
    """What a client has written of a stored seller, as it would write it."""
    latitude, longitude = columns["latitude_e6"], columns["longitude_e6"]
    written = {name: columns[name] for name in ("kind", "name", "district", "state", "postcode")}
    if latitude is not None:
        written["location"] = {"latitude": shown.degrees(latitude), "longitude": shown.degrees(longitude)}
    return {name: value for name, value in written.items() if value is not None}


def _told(name: str) -> str:
    """A name of the client's as an answer may hold it: short, and without halves of characters."""
    return name[:100].encode("utf-8", "replace").decode()


def _fault(name: str, error: RowError) -> Fault:
    return Fault(name, error.code, error.reason.partition("accepted: ")[2] or "a value: it is required")


def _place(read: _Reader, place: Document) -> tuple[int | None, int | None]:
    def parse(_name: str, _value: object) -> tuple[int | None, int | None]:
        return place_e6(place.get("latitude"), place.get("longitude"), ("latitude", "longitude"))

    nowhere: tuple[int | None, int | None] = (None, None)
    return read.part("location", parse, None, nowhere)


def _pack(read: _Reader, pack: Document) -> tuple[int | None, str | None]:
    if not pack:
        return None, None
    milli = read.part(
        "pack.value", lambda name, value: quantity(name, value, least=1), pack.get("value"), None
    )
    unit = pack.get("unit")
    if not isinstance(unit, str) or unit not in UNITS:
        read.faults.append(Fault("pack.unit", "not_one_of", "one of " + ", ".join(UNITS)))
        return None, None
    return milli, unit if milli else None


def _stock(read: _Reader, stock: Document, pack_unit: str | None) -> int | None:
    if not stock:
        return None
    base = UNITS[pack_unit].base if pack_unit else "piece"
    if stock.get("unit", base) != base:
        read.faults.append(Fault("stock.unit", "not_one_of", f"{base}, which is what the price is per"))
    return read.part("stock.available", quantity, stock.get("available"), None)


def _key(name: str, value: object) -> str | None:
    return optional_text(name, value, KEY_BYTES)


def _name(name: str, value: object) -> str:
    return text(name, value, NAME_BYTES)


def _optional_name(name: str, value: object) -> str | None:
    return optional_text(name, value, NAME_BYTES)


def _description(name: str, value: object) -> str | None:
    return optional_text(name, value, DESCRIPTION_CHARS, "characters")


def _day(name: str, value: object) -> str | None:
    return None if value is None else day(name, value)


def _postcode(name: str, value: object) -> str | None:
    return None if value is None else postcode(name, value)


def _organic(name: str, value: object) -> int:
    if value is None or isinstance(value, bool):
        return int(bool(value))
    raise RowError("not_true_or_false", f"{name} is no boolean; accepted: true or false")


def _kind(name: str, value: object) -> str:
    if not isinstance(value, str) or value not in set(SellerKind):
        raise RowError("not_one_of", f"{name} is no kind; accepted: one of {', '.join(SellerKind)}")
    return value


def _id(name: str, value: object) -> int | None:
    if value is None:
        return None
    if (
        not isinstance(value, str)
        or not value.isascii()
        or not value.isdigit()
        or not 0 < int(value[:19]) < 2**63
    ):
        raise RowError("not_an_id", f"{name} is no id; accepted: the id of a seller, a number")
    return int(value)
