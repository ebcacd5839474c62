"""Query strings: strictly read, refused by name, all faults at once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.errors import Fault, Invalid
from farmlokal.platform.web.parameters import (
    BOOLEAN,
    DAY,
    FIELDS,
    INSTANT,
    QUERY_BYTES,
    Kind,
    NotAccepted,
    Parameter,
    integer,
    list_of,
    one_of,
    read,
    scaled,
)

SIZE = Parameter("size", integer(1, 100), "A size.", default=20)
COLOUR = Parameter("colour", one_of("red", "green"), "A colour.", repeatable=True, empty_is_absent=True)
NAME = Parameter("name", Kind(str, "a name", {"type": "string"}), "A name.")
ALL = (SIZE, COLOUR, NAME)
EARLY, LATE = (datetime(year, 1, 2, tzinfo=UTC).replace(tzinfo=None) for year in (1970, 2100))


def faults(query: bytes) -> list[Fault]:
    """The faults with which a query string is refused."""
    with pytest.raises(Invalid) as caught:
        read(query, ALL)
    return list(caught.value.faults)


def test_values_and_defaults() -> None:
    """What is given is read, what is absent has its default, and what repeats is a tuple."""
    assert read(b"", ALL) == {"size": 20, "colour": None, "name": None}
    given = read(b"colour=red&name=a+b%20c&colour=green&&size=007", ALL)
    assert given == {"size": 7, "colour": ("red", "green"), "name": "a b c"}


def test_empty_value() -> None:
    """An empty value counts as absent only where the parameter says so."""
    assert read(b"colour=&colour", ALL)["colour"] is None
    assert read(b"name=", ALL)["name"] == ""
    assert [fault.parameter for fault in faults(b"size=")] == ["size"]


def test_unknown_name_gets_a_suggestion() -> None:
    """An unknown parameter is refused by name, with the nearest known one or the list of all."""
    assert faults(b"sise=3") == [Fault("sise", "unknown", "did you mean size?")]
    assert faults(b"x=3") == [Fault("x", "unknown", "one of colour, name, size")]
    assert faults(b"Size=3")[0].accepted == "did you mean size?"
    assert faults(b"=3")[0].parameter == ""
    assert len(faults(b"x" * 5000)[0].parameter) == 100


def test_all_faults_at_once() -> None:
    """All faults of a query are named in one answer, unknown names and wrong values alike."""
    found = faults(b"sise=1&size=0&colour=blue&name=a&name=b")
    assert {(fault.parameter, fault.code) for fault in found} == {
        ("sise", "unknown"),
        ("size", "out of range"),
        ("colour", "not one of the choices"),
        ("name", "repeated"),
    }
    assert all(fault.accepted for fault in found)


@pytest.mark.parametrize("query", [b"name=%ff", b"name=\xff", b"%c3%28=1", b"name=%ed%a0%80", b"name=%c0%80"])
def test_bad_utf8(query: bytes) -> None:
    """Bytes that are not UTF-8, overlong forms and surrogates are refused."""
    assert [(fault.parameter, fault.code) for fault in faults(query)] == [("query", "encoding")]


@pytest.mark.parametrize("query", [b"name=%00", b"na%00me=1", b"name=a%00b", b"name=\x00"])
def test_nul(query: bytes) -> None:
    """A NUL is refused wherever it stands."""
    assert [(fault.parameter, fault.code) for fault in faults(query)] == [("query", "encoding")]


def test_bounds_of_a_query() -> None:
    """A query longer than 8 kB or of more than 64 parts is refused as a whole."""
    assert read(b"name=" + b"a" * (QUERY_BYTES - 5), ALL)["name"] == "a" * (QUERY_BYTES - 5)
    assert [fault.code for fault in faults(b"name=" + b"a" * (QUERY_BYTES - 4))] == ["too long"]
    assert len(read(b"&".join([b"colour=red"] * FIELDS), ALL)["colour"]) == FIELDS
    assert [fault.code for fault in faults(b"&".join([b"colour=red"] * (FIELDS + 1)))] == ["too many"]


@given(query=st.binary(max_size=80))
def test_any_bytes(query: bytes) -> None:
    """Whatever bytes arrive: they are read or refused, and nothing else."""
    try:
        found = set(read(query, ALL))
    except Invalid as refusal:
        found = {fault.parameter for fault in refusal.faults}
        assert found
    else:
        assert found == {"size", "colour", "name"}


@given(text=st.text(max_size=60).filter(lambda text: "\0" not in text))
def test_text_arrives_as_it_was_sent(text: str) -> None:
    """Text arrives as it was sent, however it was encoded."""
    assert read(f"name={quote(text)}".encode(), ALL)["name"] == text
    assert read(f"name={quote(text, safe='')}".replace("%20", "+").encode(), ALL)["name"] == text


NO_INTEGER = [
    "",
    " 5",
    "5 ",
    "+5",
    "-5",
    "1_0",
    "１０",
    "٣",
    "²",
    "5.0",
    "1e3",
    "0x5",
    str(10**30),
    "0" * 20,
    "5\n",
]


@pytest.mark.parametrize("text", [*NO_INTEGER, "0", "101", "9223372036854775808"])
def test_no_integer(text: str) -> None:
    """An integer is ASCII digits within its range: no sign, space, underscore, other script or exponent."""
    with pytest.raises(NotAccepted):
        integer(1, 100).parse(text)


@given(value=st.integers(1, 100), zeros=st.integers(0, 10))
def test_integer(value: int, zeros: int) -> None:
    """Every integer within the range is read."""
    assert integer(1, 100).parse("0" * zeros + str(value)) == value


@pytest.mark.parametrize(
    "text",
    ["", ".5", "5.", "1.234", "-1", "+1", "1e2", "1_0.0", "１.0", "NaN", "Infinity", "100.01", " 1", "1,5"],
)
def test_no_decimal(text: str) -> None:
    """A decimal has digits on both sides of its point, at most the given places, and is within its range."""
    with pytest.raises(NotAccepted):
        scaled(2, 0, 100).parse(text)


@given(paise=st.integers(0, 10_000))
def test_decimal(paise: int) -> None:
    """A decimal is read exactly, with or without zeros at its end."""
    text = str(Decimal(paise) / 100)
    assert scaled(2, 0, 100).parse(text) == paise
    assert scaled(2, 0, 100).parse(f"{paise // 100}.{paise % 100:02d}") == paise


def test_list() -> None:
    """A list is values with commas between them, none empty, each counted once, in their order."""
    kind = list_of(integer(1, 9), 3, "[1-9]")
    assert kind.parse("3,1,3") == (3, 1)
    for text in ("", ",", "1,", ",1", "1,,2", "1, 2", "1;2", "10", "1,2,3,4"):
        with pytest.raises(NotAccepted):
            kind.parse(text)


@pytest.mark.parametrize("text", ["True", "1", "yes", "", " true", "TRUE", "on"])
def test_no_boolean(text: str) -> None:
    """A boolean is true or false, so written."""
    assert (BOOLEAN.parse("true"), BOOLEAN.parse("false")) == (True, False)
    with pytest.raises(NotAccepted):
        BOOLEAN.parse(text)


@pytest.mark.parametrize(
    "text", ["2026-02-30", "2026-2-3", "20260203", "2026-W05-1", "0000-01-01", "２026-01-01", ""]
)
def test_no_day(text: str) -> None:
    """A day is a date of the calendar, written in full."""
    assert DAY.parse("2024-02-29") == "2024-02-29"
    with pytest.raises(NotAccepted):
        DAY.parse(text)


@given(
    when=st.datetimes(EARLY, LATE),
    offset=st.integers(-14 * 60, 14 * 60),
    separator=st.sampled_from("Tt "),
)
def test_instant(when: datetime, offset: int, separator: str) -> None:
    """An instant is read to the microsecond, in any offset."""
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    text = when.isoformat(timespec="microseconds").replace("T", separator) + zone
    expected = (when.replace(tzinfo=UTC) - timedelta(minutes=offset)) - datetime(1970, 1, 1, tzinfo=UTC)
    assert INSTANT.parse(text) == expected // timedelta(microseconds=1)
    assert INSTANT.parse(text.replace("+", " ")) == INSTANT.parse(text)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.1z", 100_000),
        ("1970-01-01T00:00:00.123456789Z", 123_456),
        ("1970-01-01T05:30:00+05:30", 0),
        ("1969-12-31T23:59:59.9Z", -100_000),
    ],
)
def test_instant_by_example(text: str, microseconds: int) -> None:
    """Digits finer than microseconds are cut off; Z is UTC."""
    assert INSTANT.parse(text) == microseconds


@pytest.mark.parametrize(
    "text",
    [
        *("2026-01-01", "2026-01-01T00:00Z", "2026-01-01T00:00:00", "2026-01-01T25:00:00Z", "1700000000", ""),
        *(
            "2026-02-30T00:00:00Z",
            "2026-01-01T00:00:00+99:99",
            "0001-01-01T00:00:00+14:00",
            "2026-01-01T00:00:60Z",
        ),
        *("2026-01-01T00:00:00.1234567890Z", "2026-01-01T00:00:00,5Z", "２026-01-01T00:00:00Z"),
    ],
)
def test_no_instant(text: str) -> None:
    """An instant has a date, a time to the second and an offset, and exists."""
    with pytest.raises(NotAccepted):
        INSTANT.parse(text)
