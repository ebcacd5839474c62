"""Rows of CSV files: lines, widths, quotes and bounds."""

import csv
from pathlib import Path

import pytest

from farmlokal.catalog.importing.source import Rejected, SourceRow, UnreadableFile, open_source
from farmlokal.catalog.models import PostcodePlace

HEADER = "pincode,district,state,lat,lon,offices\n"


def rows(tmp_path: Path, body: str) -> list[SourceRow]:
    """The rows of a postcode file with this body; the check counts as many."""
    path = tmp_path / "places.csv"
    path.write_bytes((HEADER + body).encode())
    source = open_source(path)
    found = list(source.read())
    assert source.check() == len(found)
    return found


def test_line_is_where_the_record_starts(tmp_path: Path) -> None:
    """A row is named by the physical line where it starts; blank lines count as lines and not as rows."""
    body = '110001,"New\r\n Delhi",Delhi,1,2,3\r\n\r\n110002,Central,Delhi,1,2,3'
    found = rows(tmp_path, body)
    assert [row.line for row in found] == [2, 5]
    assert found[0].raw == '110001,"New\r\n Delhi",Delhi,1,2,3'
    assert found[1].raw == "110002,Central,Delhi,1,2,3"


def test_row_of_wrong_width_is_rejected_alone(tmp_path: Path) -> None:
    """A row with too few or too many fields is set aside, and the next one is read."""
    found = rows(tmp_path, "110001,A\n110001,A,Delhi,1,2,3,4\n110001,A,Delhi,1,2,3\n")
    assert [isinstance(row.value, Rejected) for row in found] == [True, True, False]
    assert found[0].value == Rejected("fields", "2 fields; accepted: 6, as many as the header has")


def test_field_beyond_the_bound_is_rejected(tmp_path: Path) -> None:
    """A field of more than 64 KiB rejects its row, and the text that is kept of it is cut."""
    found = rows(tmp_path, f"110001,{'a' * 70_000},Delhi,1,2,3\n110001,A,Delhi,1,2,3\n")
    assert isinstance(found[0].value, Rejected)
    assert found[0].value.code == "too_long"
    assert len(found[0].raw) == 2000
    assert isinstance(found[1].value, PostcodePlace)


@pytest.mark.parametrize(
    "body",
    ['110001,"A,Delhi,1,2,3\n' + "110001,A,Delhi,1,2,3\n" * 60_000, '"a\n","b\n",' * 200_000],
    ids=["one open quote", "a record without end"],
)
def test_open_quote_does_not_swallow_the_file(tmp_path: Path, body: str) -> None:
    """A quote left open stops the file after a bounded stretch and names the line where it began."""
    with pytest.raises(UnreadableFile, match="line 2: "):
        rows(tmp_path, body)


def test_process_wide_csv_limit_is_left_alone(tmp_path: Path) -> None:
    """Reading files does not change the limit of fields that the whole process shares."""
    before = csv.field_size_limit()
    rows(tmp_path, "110001,A,Delhi,1,2,3\n")
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("011001,A,Delhi,1,2,3", "pincode"),
        ("１10001,A,Delhi,1,2,3", "pincode"),
        ("110001,,Delhi,1,2,3", "district is missing"),
        ("110001,A,Delhi,91,2,3", "lat is '91'"),
        ("110001,A,Delhi,1,180.0000001,3", None),
        ("110001,A,Delhi,1,nan,3", "lon is 'nan'"),
        ("110001,A,Delhi,1,2,-3", "offices is '-3'"),
        ("110001,A,Delhi,1,2,1_0", "offices is '1_0'"),
    ],
)
def test_postcode_row_that_is_wrong_is_named(tmp_path: Path, row: str, said: str | None) -> None:
    """A place needs a postcode, its names, coordinates on the globe and a whole number of offices."""
    (found,) = rows(tmp_path, row)
    if said is None:
        assert isinstance(found.value, PostcodePlace)  # half a millionth of a degree is rounding
        return
    assert isinstance(found.value, Rejected)
    assert said in found.value.reason
    assert "accepted" in found.value.reason or "required" in found.value.reason


def test_postcode_places_are_integers(tmp_path: Path) -> None:
    """Coordinates become millionths of a degree without passing a float."""
    (found,) = rows(tmp_path, "110001,New  Delhi,NCT of Delhi,28.61986,-77.2129250001,23")
    assert found.value == PostcodePlace(
        postcode="110001",
        district="New Delhi",
        state="Delhi",
        latitude_e6=28_619_860,
        longitude_e6=-77_212_925,
        offices=23,
    )
