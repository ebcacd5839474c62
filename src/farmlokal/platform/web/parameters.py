"""Query strings, read strictly: what is not understood is refused by name, all of it at once.

A shop page that misspells `minPrise` and gets every product back is a bug that nobody sees; a 400 that
names the parameter and what would be accepted is seen at once.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from farmlokal.errors import Fault, Invalid

QUERY_BYTES = 8192
"""Longest query string in bytes; a cursor of 1 kB and a full set of filters need less than a quarter."""

FIELDS = 64
"""Most name=value pairs in a query string."""

ID_CEILING = 2**63 - 1


class NotAccepted(ValueError):
    """A value that does not fit; its parameter says what would."""


class Kind(NamedTuple):
    """A kind of value: how its text is read, what is accepted in words, and the same as JSON Schema.

    `parse` takes the decoded text and raises `NotAccepted`.
    """

    parse: Callable[[str], Any]
    accepted: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter. A `repeatable` one collects a tuple; an empty value is refused unless
    `empty_is_absent`."""

    name: str
    kind: Kind
    description: str
    example: Any = None
    repeatable: bool = False
    empty_is_absent: bool = False
    default: Any = None


class Contradiction(NamedTuple):
    """A fault of several parameters together: who is involved, when it holds, and what it is.

    It is looked for where one of them was given and all could be read.
    """

    involved: tuple[str, ...]
    holds: Callable[[Mapping[str, Any]], bool]
    fault: Fault


def read(
    query_string: bytes, parameters: Sequence[Parameter], contradictions: Sequence[Contradiction] = ()
) -> dict[str, Any]:
    """Every parameter's value by name, defaults filled in. Raises `Invalid` naming every fault."""
    known = {parameter.name: parameter for parameter in parameters}
    faults: list[Fault] = []
    given: dict[str, list[str]] = {}
    for name, value in pairs(query_string):
        if name in known:
            given.setdefault(name, []).append(value)
        else:
            faults.append(_unknown(name, known))
    values: dict[str, Any] = {}
    for parameter in parameters:
        texts = given.get(parameter.name)
        try:
            values[parameter.name] = parameter.default if texts is None else _value(parameter, texts)
        except NotAccepted as refusal:
            faults.append(Fault(parameter.name, str(refusal) or "invalid", parameter.kind.accepted))
    values.update((fault.parameter, None) for fault in faults if fault.parameter in known)
    refused = {fault.parameter for fault in faults}
    for involved, holds, fault in contradictions:
        if given.keys().isdisjoint(involved):
            continue
        if known.keys() >= set(involved) and refused.isdisjoint(involved) and holds(values):
            faults.append(fault)
    if faults:
        raise Invalid.because(faults)
    return values


def _value(parameter: Parameter, texts: list[str]) -> Any:
    if parameter.empty_is_absent:
        texts = [text for text in texts if text]
    if not texts:
        return parameter.default
    if parameter.repeatable:
        return tuple(parameter.kind.parse(text) for text in texts)
    if len(texts) > 1:
        raise NotAccepted("repeated")
    return parameter.kind.parse(texts[0])


def _unknown(name: str, known: Mapping[str, Parameter]) -> Fault:
    close = get_close_matches(name, known, n=1)
    accepted = f"did you mean {close[0]}?" if close else "one of " + ", ".join(sorted(known))
    return Fault(name[:100], "unknown", accepted)


def in_path(path: Mapping[str, str], name: str, kind: Kind) -> Any:
    """The value of a parameter that is a part of the path. Raises `Invalid`."""
    try:
        return kind.parse(path[name])
    except NotAccepted as refusal:
        raise Invalid.because([Fault(name, str(refusal), kind.accepted)]) from None


def pairs(query_string: bytes) -> list[tuple[str, str]]:
    """Names and values of an application/x-www-form-urlencoded query, in UTF-8 and nothing else.

    Raises `Invalid`, also for a query that is too long or has too many parts.
    """
    if len(query_string) > QUERY_BYTES:
        raise Invalid("The query is too long.", Fault("query", "too long", f"at most {QUERY_BYTES} bytes"))
    pieces = [piece for piece in query_string.split(b"&") if piece]
    if len(pieces) > FIELDS:
        raise Invalid(
            "The query has too many parts.", Fault("query", "too many", f"at most {FIELDS} parameters")
        )
    return [(_decode(name), _decode(value)) for name, _, value in (piece.partition(b"=") for piece in pieces)]


def _decode(text: bytes) -> str:
    try:
        decoded = unquote_to_bytes(text.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise Invalid(
            "The query is not UTF-8.", Fault("query", "encoding", "percent-encoded UTF-8")
        ) from None
    if "\0" in decoded:
        raise Invalid("The query holds a NUL.", Fault("query", "encoding", "text without NUL"))
    return decoded


def integer(low: int, high: int) -> Kind:
    """ASCII digits only: `int()` would take ``1_000`` and ``１０`` as well."""

    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,19}", text):
            raise NotAccepted("not an integer")
        value = int(text)
        if not low <= value <= high:
            raise NotAccepted("out of range")
        return value

    return Kind(
        parse, f"an integer from {low} to {high}", {"type": "integer", "minimum": low, "maximum": high}
    )


def one_of(*choices: str) -> Kind:
    """One of a few words, as they are written."""

    def parse(text: str) -> str:
        if text not in choices:
            raise NotAccepted("not one of the choices")
        return text

    return Kind(parse, "one of " + ", ".join(choices), {"type": "string", "enum": list(choices)})


def list_of(kind: Kind, most: int, pattern: str) -> Kind:
    """Comma-separated values, each counted once; `pattern` is one value as a regular expression."""

    def parse(text: str) -> tuple[Any, ...]:
        values = [kind.parse(part) for part in text.split(",")]
        if len(values) > most:
            raise NotAccepted("too many")
        return tuple(dict.fromkeys(values))

    schema = {"type": "string", "pattern": f"^({pattern})(,({pattern})){{0,{most - 1}}}$"}
    return Kind(parse, f"1 to {most} values with commas between them, each {kind.accepted}", schema)


def scaled(places: int, low: int, high: int) -> Kind:
    """A plain decimal of at most `places` places, as an integer in units of 10^-places."""
    plain = rf"[0-9]{{1,12}}(\.[0-9]{{1,{places}}})?"

    def parse(text: str) -> int:
        if not re.fullmatch(plain, text):
            raise NotAccepted("not a decimal")
        value = Decimal(text)
        if not low <= value <= high:
            raise NotAccepted("out of range")
        return int(value.scaleb(places))

    accepted = f"a decimal from {low} to {high} with at most {places} places"
    return Kind(parse, accepted, {"type": "string", "pattern": f"^{plain}$"})


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise NotAccepted("not a boolean")
    return text == "true"


BOOLEAN = Kind(_boolean, "true or false", {"type": "boolean"})


def _day(text: str) -> str:
    if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise NotAccepted("not a date")
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise NotAccepted("not a date") from None


DAY = Kind(_day, "a date like 2026-11-20", {"type": "string", "format": "date"})

_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:[Zz]|([+ -](?:[01][0-9]|2[0-3]):[0-5][0-9]))"
)


def _instant_us(text: str) -> int:
    """Microseconds since 1970; digits finer than that are cut off."""
    match = _INSTANT.fullmatch(text)
    if not match:
        raise NotAccepted("not an instant")
    on, at, fraction, zone = match.groups()
    # A "+05:30" that was not percent-encoded arrives as " 05:30".
    offset = (zone or "+00:00").replace(" ", "+")
    try:
        when = datetime.fromisoformat(f"{on}T{at}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise NotAccepted("not an instant") from None
    seconds = round((when - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return seconds * 1_000_000 + int(((fraction or "") + "000000")[:6])


INSTANT = Kind(
    _instant_us, "an instant like 2026-11-20T04:10:00.000000Z", {"type": "string", "format": "date-time"}
)
