"""What callers can read: media types and codings, by their own order of preference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.platform.web.negotiation import CODINGS, accepts, coding


@pytest.mark.parametrize(
    "header",
    [
        *("", "*/*", "application/json", "application/*", "APPLICATION/JSON", "text/html, */*;q=0.1"),
        *("application/json;q=0.001", "application/json; charset=utf-8", "text/html;q=0, application/json"),
        *("*/*;q=0, application/json", "application/*;q=0, application/json;q=1", ",,", "text/html,*/*"),
    ],
)
def test_json_is_acceptable(header: str) -> None:
    """JSON is acceptable to who says nothing, names it, or admits it by a wider range."""
    assert accepts(header, "application/json")


@pytest.mark.parametrize(
    "header",
    [
        "text/html",
        "application/json;q=0",
        "*/*;q=0",
        "application/*;q=0.0",
        "application/json;q=0, */*",
        "image/*",
    ],
)
def test_json_is_not_acceptable(header: str) -> None:
    """JSON is not acceptable to who excludes it; the most specific range decides."""
    assert not accepts(header, "application/json")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        *(("", None), ("identity", None), ("gzip", "gzip"), ("GZIP", "gzip"), ("deflate", None)),
        *(("gzip, deflate, br, zstd", "zstd"), ("gzip, br", "br"), ("br;q=0.5, gzip", "gzip")),
        *(("*", "zstd"), ("*;q=0", None), ("gzip;q=0", None), ("zstd;q=0, *", "br"), ("br, *;q=0", "br")),
        *(("identity, gzip;q=0.5", None), ("identity;q=0.5, gzip", "gzip"), ("gzip;q=1.0, identity", "gzip")),
        *(("gzip;q=0.001", "gzip"), ("gzip;q=x, br;q=0.2", "gzip"), (";q=1", None)),
    ],
)
def test_coding(header: str, expected: str | None) -> None:
    """The coding is the caller's favourite of those we have, ours among equals, or none."""
    assert coding(header) == expected


@given(header=st.text(max_size=200))
def test_any_header(header: str) -> None:
    """Whatever stands in a header, it is read leniently and never fails."""
    assert accepts(header, "application/json") in (True, False)
    assert coding(header) in (None, *CODINGS)
