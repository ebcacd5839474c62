"""The kinds of value that the catalogue's parameters take, and the parameters that several lists share."""

import re
from decimal import Decimal

from farmlokal.catalog.models import PRICE_CEILING_MINOR
from farmlokal.catalog.reference import canonical_state
from farmlokal.catalog.text import fold, words
from farmlokal.platform.web.parameters import ID_CEILING, Kind, NotAccepted, Parameter, integer, scaled

SEARCH_LETTERS, SEARCH_WORDS = 100, 8
"""Longest search, and most words in it: more than a person types, few enough to answer at once."""

RADIUS_CEILING_KM = 5000
"""Wider than India: past it a radius selects everything and says nothing."""

NAME_LETTERS = 100
"""Longest name of a category, state or district, as in the schema."""


def _search(text: str) -> tuple[str, ...]:
    if len(text) > SEARCH_LETTERS:
        raise NotAccepted("too long")
    found = tuple(dict.fromkeys(words(text)))
    if not found:
        raise NotAccepted("no letter or digit")
    if len(found) > SEARCH_WORDS:
        raise NotAccepted("too many words")
    return found


def _name(text: str) -> str:
    if len(text) > NAME_LETTERS:
        raise NotAccepted("too long")
    folded = fold(text)
    if not folded:
        raise NotAccepted("empty")
    return folded


def _place(text: str) -> tuple[int, int]:
    latitude, comma, longitude = text.partition(",")
    if not comma:
        raise NotAccepted("not lat,lng")
    return _degrees_e6(latitude, 90), _degrees_e6(longitude, 180)


def _degrees_e6(text: str, limit: int) -> int:
    """Phones give up to 15 places; the sixth is a hand's breadth, the rest is rounded away."""
    if not re.fullmatch(r" ?-?[0-9]{1,3}(\.[0-9]{1,15})?", text):
        raise NotAccepted("not a decimal")
    value = Decimal(text.strip())
    if abs(value) > limit:
        raise NotAccepted("out of range")
    return round(value.scaleb(6))


def _postcode(text: str) -> str:
    if len(text) != 6 or not (text.isascii() and text.isdigit()) or text[0] == "0":
        raise NotAccepted("not a postcode")
    return text


_NAME_SCHEMA = {"type": "string", "minLength": 1, "maxLength": NAME_LETTERS}
_SEARCH_ACCEPTED = (
    f"1 to {SEARCH_WORDS} words of letters or digits, at most {SEARCH_LETTERS} characters together"
)

ID = integer(1, ID_CEILING)
RUPEES = scaled(2, 0, PRICE_CEILING_MINOR // 100)
RADIUS_KM = scaled(3, 0, RADIUS_CEILING_KM)
SEARCH = Kind(_search, _SEARCH_ACCEPTED, {"type": "string", "minLength": 1, "maxLength": SEARCH_LETTERS})
NAME = Kind(_name, f"a name of 1 to {NAME_LETTERS} characters", _NAME_SCHEMA)
POSTCODE = Kind(_postcode, "a known postcode of six digits", {"type": "string", "pattern": "^[1-9][0-9]{5}$"})
PLACE = Kind(
    _place,
    "latitude,longitude in decimal degrees",
    {"type": "string", "pattern": r"^-?[0-9]{1,2}(\.[0-9]{1,15})?,-?[0-9]{1,3}(\.[0-9]{1,15})?$"},
)

STATE = Parameter(
    "state",
    Kind(lambda text: fold(canonical_state(_name(text))), NAME.accepted, _NAME_SCHEMA),
    "In this state. Case and accents do not count, and former names work.",
    "Kerala",
)
DISTRICT = Parameter("district", NAME, "In this district.", "Thrissur")
