"""Cursors: nobody but us makes one, and each goes with the query it came from."""

import base64
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.catalog.listing import ListingQuery
from farmlokal.catalog.models import NAME_BYTES
from farmlokal.catalog.text import SORT_KEY_BYTES, sort_key
from farmlokal.errors import Invalid
from farmlokal.platform.keyset.cursor import CURSOR_LENGTH, CursorCodec, Key, Position, fingerprint
from farmlokal.platform.web.parameters import ID_CEILING
from tests.support.catalogue import KEY, Shelf, catalogue, run

OF = fingerprint("products", ListingQuery().identity())
CODEC = CursorCodec([KEY])
CURSOR = CODEC.encode(Position(4250, 17), OF)
BASE64 = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"  # in the order of RFC 4648

KEYS: st.SearchStrategy[Key] = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=100), st.binary(max_size=SORT_KEY_BYTES)
)
TIES = st.one_of(st.integers(0, ID_CEILING), st.dates().map(str))


def refusal(cursor: str, of: bytes = OF, codec: CursorCodec = CODEC) -> str:
    """The code with which a cursor is refused."""
    with pytest.raises(Invalid) as caught:
        codec.decode(cursor, of)
    [fault] = caught.value.faults
    assert fault.parameter == "cursor"
    return fault.code


@given(
    key=KEYS, tie=TIES, backward=st.booleans(), inclusive=st.booleans(), of=st.binary(min_size=8, max_size=8)
)
def test_position_survives(key: Key, tie: int | str, backward: bool, inclusive: bool, of: bytes) -> None:
    """A cursor carries its position exactly: integers, text, bytes and no key at all."""
    position = Position(key, tie, backward, inclusive)
    found = CODEC.decode(CODEC.encode(position, of), of)
    assert found == position
    assert type(found.key) is type(key)


def test_cursor_is_versioned_and_safe_in_a_url() -> None:
    """A cursor begins with its version and is made of characters that a URL carries as they are."""
    version, payload, mac = CURSOR.split(".")
    assert version == "v1"
    assert set(payload + mac) <= set(BASE64)
    assert len(mac) == 22  # 128 bits


@pytest.mark.parametrize("end", range(len(CURSOR)))
def test_truncated(end: int) -> None:
    """Every beginning of a cursor is refused."""
    assert refusal(CURSOR[:end]) == "forged"


@given(at=st.integers(0, len(CURSOR) - 1), bit=st.integers(0, 6))
def test_bit_flipped(at: int, bit: int) -> None:
    """A cursor with one bit flipped is refused."""
    flipped = CURSOR[:at] + chr(ord(CURSOR[at]) ^ 1 << bit) + CURSOR[at + 1 :]
    assert refusal(flipped) == "forged"


@given(
    cut=st.tuples(st.integers(0, len(CURSOR)), st.integers(0, len(CURSOR))),
    text=st.text(alphabet=st.one_of(st.sampled_from(BASE64 + ".=+/%\n\0 "), st.characters()), max_size=30),
)
def test_any_mutation(cut: tuple[int, int], text: str) -> None:
    """Whatever is cut out of a cursor and put into it: it is refused, or it is the same text."""
    mutated = CURSOR[: min(cut)] + text + CURSOR[max(cut) :]
    if mutated == CURSOR:
        assert CODEC.decode(mutated, OF) == Position(4250, 17)
    else:
        assert refusal(mutated) == "forged"


@given(text=st.text(max_size=200))
def test_any_text(text: str) -> None:
    """Text that is no cursor is refused, and never more than that."""
    assert refusal(text) == "forged"


@pytest.mark.parametrize("tie", range(9))
def test_base64_spellings(tie: int) -> None:
    """The other base64 spellings of the same bytes are no cursors: there is one text for one place."""
    cursor = CODEC.encode(Position(None, 10**tie), OF)
    version, *parts = cursor.split(".")
    for place, part in enumerate(parts):
        spare = -len(part) % 4
        last = BASE64.index(part[-1])
        for low in range(1, 1 << 2 * spare) if spare else []:
            twin = part[:-1] + BASE64[last ^ low]
            assert base64.urlsafe_b64decode(twin + "=" * spare) == base64.urlsafe_b64decode(
                part + "=" * spare
            )
            others = parts.copy()
            others[place] = twin
            assert refusal(".".join([version, *others])) == "forged"
        padded = parts.copy()
        padded[place] = part + "=" * (spare or 4)
        assert refusal(".".join([version, *padded])) == "forged"


def test_other_version_is_refused() -> None:
    """A cursor of another version is refused, even where the rest of it is right."""
    assert refusal("v2" + CURSOR[2:]) == "forged"
    assert refusal(CURSOR[3:]) == "forged"


def test_keys_rotate() -> None:
    """The first key signs and every key is accepted, so that walks go on while keys change."""
    new = b"another key of the tests, also thirty-two bytes"
    rotated = CursorCodec([new, KEY])
    assert rotated.decode(CURSOR, OF) == Position(4250, 17)
    fresh = rotated.encode(Position(4250, 17), OF)
    assert CursorCodec([new]).decode(fresh, OF) == Position(4250, 17)
    assert refusal(fresh) == "forged"
    assert refusal(CURSOR, codec=CursorCodec([new])) == "forged"


@given(of=st.binary(min_size=8, max_size=8).filter(lambda of: of != OF))
def test_cursor_of_another_query_is_foreign(of: bytes) -> None:
    """A genuine cursor of another query is refused as foreign: its place would be another one there."""
    assert refusal(CURSOR, of) == "foreign"


@pytest.mark.parametrize(
    "letter",
    ["a", "ß", "é", "ा", "आ", "ക", "\U00011103", "🍅", "\u0344", "ﷺ", "ﬃ", "Ⅷ", "\u0390", "İ", "\uffff"],
)
def test_cursor_of_the_longest_name_is_short(letter: str) -> None:
    """The cursor of a 300-byte name stays under 1 kB, in any script and however its fold lengthens it."""
    name = (letter * NAME_BYTES).encode()[:NAME_BYTES].decode("utf-8", "ignore")
    cursor = CODEC.encode(Position(sort_key(name), ID_CEILING, True, True), OF)
    assert len(cursor) <= 600
    assert CURSOR_LENGTH == 1024


def answer_to(path: Path, query: str) -> list[int]:
    """The ids on the page that a query string asks for."""

    async def go() -> list[int]:
        async with catalogue(path) as service:
            page = await service.listing(ListingQuery.parse(query.encode()))
            return [product.id for product in page.data]

    return run(go())


def test_digits_are_the_last_id_seen(shelf: Shelf, database_path: Path) -> None:
    """A cursor of digits is the last id seen, as in the first system, whatever page size or filter."""
    ids = [shelf.product("Tomato", "Fruits") for _ in range(5)]
    assert answer_to(database_path, "cursor=2&limit=2") == ids[2:4]
    assert answer_to(database_path, "cursor=2&limit=2&sort=id") == ids[2:4]
    assert answer_to(database_path, "cursor=2&category=fruits&order=asc") == ids[2:]
    assert answer_to(database_path, "cursor=0") == ids
    assert answer_to(database_path, "cursor=002") == ids[2:]
    assert answer_to(database_path, f"cursor={ID_CEILING}") == []


@pytest.mark.parametrize(
    "query",
    [
        *("cursor=2&sort=-id", "cursor=2&order=desc", "cursor=2&sort=price", "cursor=2&sort=name"),
        *("cursor=2&sort=relevance&search=a", "cursor=2&sort=distance&near=1,1"),
        *(f"cursor={ID_CEILING + 1}", f"cursor={10**30}", "cursor=" + "0" * 20, "cursor=" + "1" * 1024),
        *("cursor=-1", "cursor=1.0", "cursor=%201", "cursor=1_0", "cursor=１０", "cursor=²", "cursor=٣"),
        *("cursor=", "cursor=v1", "cursor=v1.", "cursor=v1..", "cursor=...", "cursor=" + "a" * 1025),
    ],
)
def test_other_digits_are_refused(query: str, shelf: Shelf, database_path: Path) -> None:
    """Digits in another order, too large or of another script are refused, and so is what is no cursor."""
    shelf.product()
    with pytest.raises(Invalid) as caught:
        answer_to(database_path, query)
    assert [fault.parameter for fault in caught.value.faults] == ["cursor"]


FOREIGN = [
    *("sort=id", "sort=-price", "sort=name", "sort=price&category=fruits", "sort=price&minPrice=1"),
    *("sort=price&organic=false", "sort=price&search=a", "sort=price&near=1,1&radiusKm=5000"),
    *(
        "sort=price&near=1,1",
        "sort=price&state=kerala",
        "sort=price&district=thrissur",
        "sort=price&seller=1",
    ),
    *("sort=price&ids=1,2,3,4", "sort=price&updatedSince=1970-01-01T00:00:00Z", "sort=price&inStock=true"),
    *("sort=price&harvestedAfter=1970-01-01", "sort=price&maxPrice=100"),
]


def test_cursor_goes_with_sort_and_filters_only(shelf: Shelf, database_path: Path) -> None:
    """A cursor goes with another page size, language or choice of members, not another sort or filter."""
    for _ in range(3):
        shelf.product("apple", "Fruits")

    async def go() -> None:
        async with catalogue(database_path) as service:
            first = await service.listing(ListingQuery.parse(b"sort=price&limit=1"))
            cursor = f"&cursor={first.next_cursor}"
            for shown in (
                "&limit=2",
                "&lang=hi",
                "&fields=id",
                "&count=exact",
                "&facets=state",
                "&order=asc",
            ):
                page = await service.listing(ListingQuery.parse(f"sort=price{shown}{cursor}".encode()))
                assert len(page.data) >= 1
            for query in FOREIGN:
                with pytest.raises(Invalid) as caught:
                    await service.listing(ListingQuery.parse((query + cursor).encode()))
                assert [fault.code for fault in caught.value.faults] == ["foreign"], query

    run(go())


def test_cursor_goes_with_its_endpoint_only(shelf: Shelf, database_path: Path) -> None:
    """A cursor of the products is no cursor of sellers or of a price history, nor of another product's."""
    first, second = shelf.product(seller="one"), shelf.product(seller="two")
    for product in (first, second):
        for day in ("2026-07-23", "2026-07-24"):
            shelf.connection.execute(
                "INSERT INTO price_history (product_id, observed_on, price_minor) VALUES (?, ?, 1)",
                (product, day),
            )

    async def go() -> None:
        async with catalogue(database_path) as service:
            products = (await service.listing(ListingQuery(limit=1))).next_cursor
            sellers = (await service.sellers({}, 1, None)).next_cursor
            prices = (await service.prices(first, 1, None)).next_cursor
            assert len((await service.sellers({}, 1, sellers)).data) == 1
            assert len((await service.prices(first, 1, prices)).data) == 1
            for refused in (
                service.listing(ListingQuery(cursor=sellers)),
                service.listing(ListingQuery(cursor=prices)),
                service.sellers({}, 1, products),
                service.sellers({"kind": "farm"}, 1, sellers),
                service.prices(first, 1, products),
                service.prices(second, 1, prices),
                service.prices(first, 1, "1"),
            ):
                with pytest.raises(Invalid) as caught:
                    await refused
                assert caught.value.faults[0].parameter == "cursor"

    run(go())
