"""Search: which products it finds, in any script, and how well each matches."""

from contextlib import closing
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmlokal.catalog.fulltext import Document, encode
from farmlokal.catalog.listing import ListingQuery
from farmlokal.catalog.text import WORD_LETTERS, words
from farmlokal.errors import Invalid
from tests.support.catalogue import Shelf, catalogue, run
from tests.support.engines import Engine, FreshDatabase


def found(url: str, search: str, more: str = "") -> list[int]:
    """The ids that a search finds, in the order of the page."""

    async def go() -> list[int]:
        async with catalogue(url) as service:
            query = ListingQuery.parse(f"limit=100&search={quote(search)}{more}".encode())
            return [product.id for product in (await service.listing(query)).data]

    return run(go())


@pytest.mark.parametrize(
    ("name", "search"),
    [
        *(
            ("Tomato", "tom"),
            ("Tomato", "mat"),
            ("Tomato", "o"),
            ("Tomato", "TOMATO"),
            ("Tomato", " tomato "),
        ),
        *(("Café", "cafe"), ("Cafe", "Café"), ("Café", "CAFE\u0301"), ("Jalapeño", "peno")),
        *(("Straße", "strasse"), ("STRASSE", "straße"), ("ﬁg", "fi"), ("x-ray", "x"), ("Xyz", "yz")),
        *(("आम", "आम"), ("आम", "आ"), ("टमाटर", "ट"), ("टमाटर", "माट"), ("टमाटर", "टर"), ("ज़ीरा", "जीरा")),
        *(("തക്കാളി", "തക്ക"), ("തക്കാളി", "ത"), ("തക്കാളി", "ളി"), ("നാടൻ", "നാടന\u0d4d\u200d")),
        *(("Fresh 🍅", "🍅"), ("🍅🍅 two", "🍅"), ("No. 1 grade", "1"), ("no. १", "1"), ("No 1", "१")),
        *(("Green chilli", "chil gre"), ("Sesamum(Gingelly,Til)", "til sesamum"), ("Ladies' finger", "fing")),
        *(("AND OR NOT NEAR", "or and"), ("qq zz", "qq"), ("the a an", "the"), ("NULL", "null")),
        ("supercalifragilisticexpialidocious", "supercalifragilisticexpialidocious"),
        ("supercalifragilisticexpialidocious", ["supercalifragiliSTUFF", "that", "differs"][0]),
        ("𑄃𑄬𑄌𑄴", "𑄌"),
        ("汉字番茄", "番茄"),
    ],
)
def test_found(name: str, search: str, fresh_shelf: Shelf, fresh_database: FreshDatabase) -> None:
    """A search finds products whose name holds its words, at the beginning of a word or inside one, in any
    script, whatever case, accents and spelling."""
    fresh_shelf.product("Other thing")
    product = fresh_shelf.product(name)
    assert product in found(fresh_database.url, search)


@pytest.mark.parametrize(
    ("name", "search"),
    [
        *(
            ("Tomato", "tomatoes"),
            ("Tomato", "tomatto"),
            ("Green chilli", "greenchilli"),
            ("Tomato", "tomato x"),
        ),
        *(("आम", "आमा"), ("टमाटर", "टि"), ("तक", "तख"), ("തക്കാളി", "തക്ക് ")),
        *(("🍅", "🍆"), ("a", "b"), ("qtomato", "qq"), ("xx", "y")),
        ("supercalifragilistic", "fragilistic"),
    ],
)
def test_not_found(name: str, search: str, fresh_shelf: Shelf, fresh_database: FreshDatabase) -> None:
    """A search finds no product that lacks one of its words; letters after a word's sixteenth are not
    looked for inside it."""
    fresh_shelf.product(name)
    assert found(fresh_database.url, search) == []


def test_every_text_is_searched(fresh_shelf: Shelf, fresh_database: FreshDatabase) -> None:
    """A search looks at the names in all languages, the commodity and the variety, together."""
    product = fresh_shelf.product(
        "Nendran banana", name_hi="केला", name_ml="ഏത്തപ്പഴം", commodity="Banana", variety="Zanzibar"
    )
    for search in ("banana", "केला", "ഏത്ത", "zanz", "zanz केला nend", "पഏ"[1:]):
        assert found(fresh_database.url, search) == [product], search
    assert found(fresh_database.url, "nendran okra") == []


@pytest.mark.parametrize(
    "search", ["!!!", "%", "_", "*", '"', "'", "(", "-", "–", "…", "%_%", "\u0301", "\u200d"]
)
def test_punctuation_alone_is_refused(search: str) -> None:
    """A search without a letter, digit or picture is refused, with what would be accepted."""
    with pytest.raises(Invalid) as caught:
        ListingQuery.parse(f"search={quote(search)}".encode())
    [fault] = caught.value.faults
    assert (fault.parameter, fault.code) == ("search", "no letter or digit")


@pytest.mark.parametrize(
    "search", ['"tomato', "tomato*", "-tomato", "tomato OR", "tom%", "(tomato)", "tomato;--", "^tomato"]
)
def test_operators_are_plain_text(search: str, fresh_shelf: Shelf, fresh_database: FreshDatabase) -> None:
    """What an engine would take for an operator is text like any other."""
    product = fresh_shelf.product("Tomato or not")
    fresh_shelf.product("Okra")
    assert found(fresh_database.url, search) == [product]


def test_tombstones_are_not_found(fresh_shelf: Shelf, fresh_database: FreshDatabase) -> None:
    """A deleted product is not found."""
    fresh_shelf.product("Tomato", deleted_at_us=1)
    assert found(fresh_database.url, "tomato") == []


RANKED = {
    "whole name": ["Red onion", "RED  ONION", "Red-onion"],
    "beginning": ["Red onion big", "Red onions"],
    "whole words": ["Big red onion", "Onion, red", "Onion of the red kind"],
    "inside words": ["Bigred onions", "Redder springonion"],
}


@pytest.mark.parametrize(("sign", "back"), [("", False), ("-", True)])
def test_relevance_order(sign: str, back: bool, fresh_shelf: Shelf, fresh_database: FreshDatabase) -> None:
    """By relevance come the whole name, then its beginning, then whole words anywhere, then letters inside
    words; equals by id."""
    classes = [[fresh_shelf.product(name) for name in names] for names in RANKED.values()]
    expected = [identity for ids in classes for identity in ids]
    fresh_shelf.product("Red cabbage")
    order = found(fresh_database.url, "red onion", f"&sort={sign}relevance")
    assert order == (expected[::-1] if back else expected)


@pytest.mark.parametrize(
    ("search", "language"), [("banana", "name"), ("केला", "name_hi"), ("ഏത്തപ്പഴം", "name_ml")]
)
@pytest.mark.parametrize("more", [{}, {"commodity": "Fruit"}, {"commodity": "Fruit", "variety": "Robusta"}])
def test_whole_name_in_each_language(
    search: str, language: str, more: dict[str, Any], fresh_shelf: Shelf, fresh_database: FreshDatabase
) -> None:
    """The whole name in any language comes first, whatever is known of commodity and variety."""
    given: dict[str, Any] = {"name_hi": None, "name_ml": None, "name": "Something"} | more
    longer = fresh_shelf.product(**given | {language: f"{search} big"})
    whole = fresh_shelf.product(**given | {language: search})
    assert found(fresh_database.url, search, "&sort=relevance") == [whole, longer]


def test_commodity_is_not_a_name(fresh_shelf: Shelf, fresh_database: FreshDatabase) -> None:
    """Commodity and variety match by words, never as a name."""
    by_variety = fresh_shelf.product("Something", commodity="Banana", variety="Banana")
    begins = fresh_shelf.product("Bananas from afar")
    assert found(fresh_database.url, "banana", "&sort=relevance") == [begins, by_variety]


LETTERS = st.sampled_from("abxyq01आमटाकത്കളിé🍅ß𑄌汉 -'^")
NAMES = st.text(alphabet=LETTERS, min_size=1, max_size=24)


@given(
    names=st.lists(NAMES, min_size=1, max_size=12),
    searches=st.lists(NAMES, min_size=1, max_size=6),
    data=st.data(),
)
@settings(max_examples=60)
def test_search_is_containment_of_words(
    names: list[str], searches: list[str], data: st.DataObject, engine: Engine
) -> None:
    """A text is found when each word of the search stands inside some word of it, by the first sixteen
    letters of each: nothing more is found and nothing less."""
    # Drawn first: a draw may end the example, and would leave a connection open.
    pieces = [data.draw(st.sampled_from(names), label="piece of") for _ in range(2)]
    searches += [piece[data.draw(st.integers(0, len(piece))) :] for piece in pieces]

    async def go(url: str, products: dict[int, str]) -> None:
        async with catalogue(url) as service:
            for search in searches:
                wanted = words(search)
                if not 1 <= len(set(wanted)) <= 8:
                    continue
                query = ListingQuery.parse(f"limit=100&search={quote(search)}".encode())
                page = await service.listing(query)
                expected = [
                    identity
                    for identity, name in products.items()
                    if all(any(word in other for other in words(name)) for word in wanted)
                ]
                assert [product.id for product in page.data] == expected, search

    with engine.fresh() as database, closing(database.connect()) as connection:
        shelf = Shelf(connection)
        run(go(database.url, {shelf.product(name): name for name in names}))


@given(
    one=st.text(
        min_size=1, max_size=WORD_LETTERS, alphabet=st.characters(exclude_categories=["Cs", "Z", "C"])
    ),
    other=st.text(
        min_size=1, max_size=WORD_LETTERS, alphabet=st.characters(exclude_categories=["Cs", "Z", "C"])
    ),
)
def test_tokens_begin_as_words_do(one: str, other: str) -> None:
    """A token begins with another exactly when the word does, is ASCII, and fits a full-text index."""
    assert encode(one + other).startswith(encode(one))
    assert encode(other).startswith(encode(one)) == other.startswith(one)
    assert encode(one).isascii()
    assert encode(one).isalnum()
    assert 3 <= len(encode(one)) <= 84


def test_no_code_begins_another() -> None:
    """The code of a character is no beginning of another's, so that letters cannot run into each other."""
    codes = sorted(encode(chr(point)) for point in range(0x1_0000) if not 0xD800 <= point < 0xE000)
    assert not [one for one, following in pairwise(codes) if following.startswith(one)]


@given(names=st.lists(NAMES, min_size=1, max_size=3), more=st.lists(NAMES, max_size=2))
def test_equal_wordings_share_a_document(names: list[str], more: list[str]) -> None:
    """Two products whose texts have the same words in the same places share one document."""
    loud = Document([name.upper() + "!" for name in names], [text.upper() for text in more])
    assert loud.digest == Document(names, more).digest
    assert (Document([*names, "zz"], more).digest == loud.digest) is False
