"""Arbitrary files: rows or a refusal, and nothing else."""

import gzip
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmlokal.catalog.importing.product_members import MEMBERS
from farmlokal.catalog.importing.recognition import TABLES
from farmlokal.catalog.importing.source import UnreadableFile, open_source

HEADERS = [",".join(table.required + table.optional) for table in TABLES.values()]
FIELDS = st.one_of(
    st.sampled_from(["1", "3500", "kg", "INR", "2026-07-24", "24/07/2026", "NaN", '"', "", "110001", "-1e5"]),
    st.text(max_size=12),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), FIELDS)


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """A known header, and rows of about its width with anything in them."""
    header = draw(st.sampled_from(HEADERS))
    width = header.count(",") + 1
    rows = draw(st.lists(st.lists(FIELDS, min_size=width - 1, max_size=width + 1), max_size=5))
    lines = [header, *(",".join(row) for row in rows)]
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines).encode("utf-8", "surrogatepass")


OBJECTS = st.dictionaries(
    st.one_of(st.sampled_from(sorted(MEMBERS)), st.text(max_size=5)), SCALARS, max_size=9
)
LINES = st.lists(OBJECTS, max_size=5).map(lambda found: "\n".join(map(json.dumps, found)).encode())
DOCUMENTS = st.lists(OBJECTS, max_size=5).map(lambda found: json.dumps({"records": found}).encode())
FILES = st.one_of(
    st.binary(max_size=400),
    st.binary(max_size=60).map(lambda tail: b'{"records": [' + tail),
    st.binary(max_size=60).map(lambda tail: b"\x1f\x8b\x08\x00" + tail),
    st.binary(max_size=60).map(lambda tail: HEADERS[0].encode() + b"\n" + tail),
    tables(),
    LINES,
    DOCUMENTS,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples."""
    return tmp_path_factory.mktemp("fuzz")


@given(content=FILES, packed=st.booleans())
@settings(max_examples=400, deadline=5000)  # ms: no short file may take long, and a busy machine may
def test_any_bytes_give_rows_or_a_refusal(folder: Path, content: bytes, packed: bool) -> None:
    """Whatever the bytes, a file gives as many rows as its check counts, or is refused as unreadable."""
    path = folder / "any"
    path.write_bytes(gzip.compress(content) if packed else content)
    try:
        source = open_source(path)
        counted = source.check()
    except UnreadableFile:
        with pytest.raises(UnreadableFile, match=r"^any"):
            list(open_source(path).read())
        return
    rows = list(source.read())
    assert len(rows) == counted
    assert all(row.line >= 1 and len(row.raw) <= 2000 for row in rows)
    msgspec.json.encode(rows)  # every text of them is one that UTF-8 can carry
