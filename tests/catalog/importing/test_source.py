"""Opening a file: its format, its digest, and everything that makes it unreadable."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from farmlokal.catalog.importing.source import Format, Rejected, UnreadableFile, open_source

DAILY = "date,state,district,market,commodity,variety,grade,min_price,max_price,modal_price\n"
DAILY_ROW = "2026-07-24,Kerala,Thrissur,Thrissur Market,Banana,Nendran,FAQ,3000,4000,3500\n"
CATALOGUE = (
    "product_key,name,category,commodity,variety,grade,market_key,market,district,state,lat,lon,unit,"
    "min_paise_per_kg,max_paise_per_kg,price_paise_per_kg,currency,observed_on\n"
)
PRODUCTS = "externalKey,name,category,price,sellerName,district,state\n"
PRODUCT_ROW = "p1,Nendran banana,Fruits,36.00,Thrissur Growers,Thrissur,Kerala\n"
PRODUCT_LINE = (
    '{"externalKey":"p1","name":"Banana","category":"Fruits","price":"36","sellerName":"Growers",'
    '"district":"Thrissur","state":"Kerala"}\n'
)
POSTCODES = "pincode,district,state,lat,lon,offices\n"
HISTORY = "product_key,observed_on,min_paise_per_kg,max_paise_per_kg,modal_paise_per_kg\n"

Write = Callable[[bytes | str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A file with this content, under a name that says nothing."""

    def write(content: bytes | str) -> Path:
        path = tmp_path / "upload.bin"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (DAILY, Format.AGMARKNET_DAILY),
        (CATALOGUE, Format.AGMARKNET_CATALOGUE),
        (PRODUCTS, Format.PRODUCT_CSV),
        (POSTCODES, Format.POSTCODES),
        (HISTORY, Format.PRICE_HISTORY),
        (PRODUCT_LINE, Format.PRODUCT_NDJSON),
        ('{"externalKey": broken', Format.PRODUCT_NDJSON),
        ('{"records": []}', Format.DATAGOVIN),
        ('{\n "created": 1,\n "records": []\n}', Format.DATAGOVIN),
    ],
)
def test_format_is_told_by_content(write: Write, content: str, expected: Format) -> None:
    """The format is told by the first line, whatever the file is called."""
    assert open_source(write(content)).format is expected


def test_header_only_has_no_rows(write: Write) -> None:
    """A header without rows is a file of zero rows."""
    source = open_source(write(DAILY.rstrip("\n")))
    assert source.check() == 0
    assert list(source.read()) == []


@pytest.mark.parametrize("packing", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_plain_and_gzip_read_alike(write: Write, packing: Callable[[bytes], bytes]) -> None:
    """Plain and gzip are told apart by the first bytes, and a byte order mark is allowed."""
    path = write(packing(b"\xef\xbb\xbf" + (DAILY + DAILY_ROW).encode()))
    source = open_source(path)
    assert source.check() == 1
    assert [row.line for row in source.read()] == [2]
    assert source.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_gzip_of_several_members_is_one_file(write: Write) -> None:
    """Gzip files that were joined are read as one."""
    source = open_source(write(gzip.compress(DAILY.encode()) + gzip.compress(DAILY_ROW.encode())))
    assert source.check() == 1


def test_columns_may_stand_in_any_order(write: Write) -> None:
    """Columns may stand in any order, and those of a published file that we do not know are ignored."""
    swapped = "note," + ",".join(reversed(DAILY.strip().split(",")))
    row = "x," + ",".join(reversed(DAILY_ROW.strip().split(",")))
    (found,) = open_source(write(f"{swapped}\n{row}\n")).read()
    (plain,) = open_source(write(DAILY + DAILY_ROW)).read()
    assert not isinstance(found.value, Rejected)
    assert found.value == plain.value


def test_cut_off_gzip_is_unreadable(write: Write) -> None:
    """A gzip file that was cut off is refused by the check, even if only its trailer is missing."""
    whole = gzip.compress((DAILY + DAILY_ROW * 50).encode())
    for cut in (1, 8, len(whole) // 2):
        path = write(whole[:-cut])
        with pytest.raises(UnreadableFile, match="cut off"):
            open_source(path).check()


def test_damaged_gzip_is_unreadable(write: Write) -> None:
    """A gzip file whose checksum does not fit is refused."""
    whole = bytearray(gzip.compress((DAILY + DAILY_ROW * 50).encode()))
    whole[-6] ^= 0xFF
    with pytest.raises(UnreadableFile, match="damaged gzip"):
        open_source(write(bytes(whole))).check()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n\n", "is empty"),
        (b"PK\x03\x04 sheet", "zip archive or a spreadsheet"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        ((DAILY + DAILY_ROW).encode("utf-16"), "UTF-16"),
        (b"[1, 2]", "JSON array"),
        (b"\n" + DAILY.encode(), "line 1: empty"),
        (DAILY.encode() + b"caf\xe9\n", "line 2, byte 4: not UTF-8"),
        (DAILY.encode() + DAILY_ROW.encode() + b"a\0b\n", "line 3: a NUL byte"),
        (b"a,b,c\n", "no header of a known format"),
        (DAILY.replace(",modal_price", "").encode(), "lacks the column modal_price"),
        (DAILY.replace("variety", "grade").encode(), "column 'grade' occurs twice"),
        (PRODUCTS.replace("state", "state,bestbefore").encode(), "unknown column 'bestbefore'"),
        (DAILY.encode() + b'2026-07-24,"Kerala\n', "line 2: not CSV"),
        (DAILY.encode() + b'2026-07-24,"Ker"ala"\n', "line 2: not CSV"),
        (DAILY.encode() + b"x" * (1 << 20) + b"\n", "line 2: longer than 1 MiB"),
        (b'{"status":"error","message":"Key not authorised"}', "without records"),
        (b'{"records": [1, 2}', "malformed"),
        (b'{"records": [NaN]}', "records"),
        (b'{"records": 7}', "records"),
        (b'{"records": ' + b"[" * 100_000, "records|nested"),
    ],
)
def test_unreadable_file_is_named_with_the_reason(write: Write, content: bytes, said: str) -> None:
    """A file that cannot be read is refused as a whole, with its name, the line and what is accepted."""
    path = write(content)
    with pytest.raises(UnreadableFile, match=said) as caught:
        open_source(path).check()
    assert caught.value.detail.startswith("upload.bin")
    assert str(path.parent) not in caught.value.detail
    with pytest.raises(UnreadableFile, match=said):
        list(open_source(path).read())


def test_lacking_columns_are_listed_with_the_accepted_formats(write: Write) -> None:
    """A header that almost fits is answered with the missing columns and all accepted formats."""
    with pytest.raises(UnreadableFile) as caught:
        open_source(write("externalKey,name,category,sellerName,district,state\n"))
    assert "as product-csv it lacks the column price" in caught.value.detail
    assert all(str(known) in caught.value.detail for known in Format)


def test_missing_file_and_folder_are_unreadable(tmp_path: Path) -> None:
    """A file that is not there, or is a folder, is refused by its name."""
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UnreadableFile, match=path.name):
            open_source(path)


def test_progress_ends_at_the_size_of_the_file(write: Write) -> None:
    """Progress is told in stored bytes and ends at the size of the file."""
    path = write(gzip.compress((DAILY + DAILY_ROW * 50_000).encode(), compresslevel=0))
    seen: list[int] = []
    assert open_source(path).check(seen.append) == 50_000
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert seen[-1] == path.stat().st_size


@pytest.mark.parametrize("changed", [DAILY + DAILY_ROW * 2, DAILY, "", POSTCODES, "pincode"])
def test_file_that_changes_after_opening_is_refused(write: Write, changed: str) -> None:
    """A file that changes between two readings is refused."""
    path = write(DAILY + DAILY_ROW)
    source = open_source(path)
    path.write_text(changed, encoding="utf-8")
    with pytest.raises(UnreadableFile, match="changed"):
        source.check()
    with pytest.raises(UnreadableFile, match="changed"):
        list(source.read())
