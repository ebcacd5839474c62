"""JSON from strangers: one value or a refusal, never an exception of the interpreter, and one canonical form.

Two bodies have the same content when their canonical forms are equal: whitespace, the order of members,
escapes and the spelling of a number (`1`, `1.0`, `1e0`) do not count. Numbers are decimals, not doubles:
9007199254740993 and 9007199254740992 are different content. A member that is given twice is refused, since
readers differ in which one they believe.
"""

import json
import re
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from hashlib import blake2b
from typing import Any, NoReturn

import msgspec

NUMBER_CHARACTERS = 100
"""Longest number: `int` and `Decimal` take time that grows with the square of it."""

NUMBER_MAGNITUDE = 400
"""Most places of a number before or after its point; a double has 308."""

DEPTH = 100
"""Deepest nesting: what is read by recursion is bounded here and not by the interpreter's stack."""


class NotJson(ValueError):
    """The bytes are no JSON that is accepted here; the text says why."""


class Document:
    """A JSON value and the digest of its content."""

    __slots__ = ("digest", "value")

    def __init__(self, body: bytes) -> None:
        """Read a body. Raises `NotJson`."""
        if body.count(b"[") + body.count(b"{") > DEPTH:
            _require_shallow(body)
        try:
            self.value: Any = _decoder.decode(body.decode())
            canonical = _encoder.encode(self.value)
        except UnicodeDecodeError:
            raise NotJson("it is not UTF-8") from None
        except UnicodeEncodeError:
            raise NotJson("it has half of a surrogate pair") from None
        except json.JSONDecodeError:
            raise NotJson("it is not JSON") from None
        self.digest = blake2b(canonical, digest_size=32).digest()


def _require_shallow(body: bytes) -> None:
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEPTH:
            raise NotJson(f"it is nested deeper than {DEPTH}")


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _PLAIN_DIGITS else _number(text)


def _number(text: str) -> int | Decimal:
    """An `int` where it is a whole number of few digits, however it is written."""
    if len(text) > NUMBER_CHARACTERS:
        raise NotJson(f"it has a number of more than {NUMBER_CHARACTERS} characters")
    try:
        number = _exact.create_decimal(text)
    except ArithmeticError:  # an exponent past anything
        raise NotJson("it has a number that is out of range") from None
    if abs(number.adjusted()) > NUMBER_MAGNITUDE:
        raise NotJson("it has a number that is out of range")
    if number.adjusted() < _PLAIN_DIGITS and number == number.to_integral_value():
        return int(number)
    return number.normalize(_exact)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise NotJson("it has a member that is given twice")
    return members


def _no_constant(_name: str) -> NoReturn:
    raise NotJson("it has NaN or Infinity, which JSON does not know")


_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_PLAIN_DIGITS = 18
"""So many always fit 64 bits, with a sign."""

_exact = Context(prec=NUMBER_CHARACTERS, traps=[InvalidOperation, Overflow, Inexact])
_decoder = json.JSONDecoder(
    parse_int=_integer, parse_float=_number, parse_constant=_no_constant, object_pairs_hook=_members
)
_encoder = msgspec.json.Encoder(order="sorted", decimal_format="number")
