"""Search: words become tokens that no engine takes apart."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from farmlokal.catalog.fulltext import INFIX, Document, encode, parameters, relevance_parameters
from farmlokal.catalog.text import WORD_LETTERS, words
from farmlokal.platform.database.sqlite import SqliteDatabase
from tests.support.catalogue import Shelf

INNODB_TOKEN = range(3, 85)
"""Lengths of a token that a full-text index in InnoDB keeps by default."""

LETTERS = st.text(
    st.one_of(
        st.sampled_from("abqwxyz0189"),
        st.sampled_from("XYA\u08ff\u0900आമ\u0dff\u0e00éя漢𐀀🍅\U0010ffff"),
        st.characters(codec="utf-8"),
    ),
    max_size=WORD_LETTERS,
)
"""Words of mixed scripts, with the characters at the edges of the code."""


@given(letters=LETTERS.filter(bool))
@example("\U0010ffff" * WORD_LETTERS)
def test_tokens_are_short_ascii(letters: str) -> None:
    """A token is ASCII letters and digits in lower case, of a length that InnoDB indexes."""
    token = encode(letters)
    assert token.isascii()
    assert token.isalnum()
    assert token == token.lower()
    assert len(token) in INNODB_TOKEN


@given(letters=LETTERS, other=LETTERS)
@example("xa0", "आ")
@example("y", "x")
@example("y0000", "é")
def test_starts_of_tokens_are_starts_of_words(letters: str, other: str) -> None:
    """A token starts with another exactly where the one word starts with the other."""
    assert encode(letters).startswith(encode(other)) == letters.startswith(other)
    assert encode(letters + other).startswith(encode(letters))


@given(letters=LETTERS, cut=st.integers(0, WORD_LETTERS))
def test_a_beginning_keeps_its_code(letters: str, cut: int) -> None:
    """The token of a word's beginning is a beginning of its token."""
    assert encode(letters).startswith(encode(letters[:cut]))


def test_plain_words_stay_readable() -> None:
    """Letters and digits of ASCII stand for themselves, but for the two that announce a code."""
    assert encode("tomato5") == "qqtomato5"
    assert encode("xy") not in ("qqxy", "qq")


def test_a_body_keeps_names_and_the_rest_apart() -> None:
    """A document's body is its folded names, each between bars, and then commodity and variety."""
    document = Document(("Nendran Banana", None, "केला"), ("Banana", None, "Nendran"))
    assert document.body == "| nendran banana | केला | ; banana ; nendran ;"


def test_one_wording_has_one_digest() -> None:
    """Two spellings of one wording are one document."""
    assert Document(("Plátano ",), ("RED",)).digest == Document(("platano", None), (None, "red")).digest


def test_another_wording_has_another_digest() -> None:
    """What is a name and what is not, and where one name ends, tells documents apart."""
    wordings: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
        (("a", "b"), ()),
        (("a",), ("b",)),
        (("a b",), ()),
        (("ab",), ()),
        (("b", "a"), ()),
        (("a",), ()),
        ((), ("a",)),
        (("a | b",), ("c",)),
        (("a ; b",), ()),
    ]
    digests = [Document(*wording).digest for wording in wordings]
    # The marks are no letters: a name that holds one is the same wording as without it.
    assert Document(("a ; b",), ()).digest == Document(("a b",), ()).digest
    assert len(set(digests)) == len(digests) - 1
    assert all(len(digest) == 32 for digest in digests)


def test_grams_are_the_suffixes_of_every_word() -> None:
    """A word is indexed as all its endings, each once."""
    assert Document(("Tomato", "mato"), ("to",)).grams.split() == [
        *("qqtomato", "qqomato", "qqmato", "qqato", "qqto", "qqo"),
    ]


@given(text=st.text(st.sampled_from("abxyആമआम🍅 "), max_size=30), data=st.data())
def test_any_letters_inside_a_word_are_found(text: str, data: st.DataObject) -> None:
    """Whatever stands inside a word is the start of one of its document's tokens, and nothing else is."""
    tokens = Document((text,), ()).grams.split()
    known = words(text)
    searched = data.draw(st.text(st.sampled_from("abxyആമआम🍅"), min_size=1, max_size=4))
    [word] = words(searched)
    found = any(token.startswith(encode(word)) for token in tokens)
    assert found == any(word in other for other in known)


@pytest.mark.parametrize(
    ("searched", "found"),
    [
        ("mato", {"Tomato", "Cherry tomatoes"}),
        ("TOMATO", {"Tomato", "Cherry tomatoes"}),
        ("o", {"Tomato", "Cherry tomatoes"}),
        ("cherry toma", {"Cherry tomatoes"}),
        ("आ", {"आम"}),
        ("म", {"आम", "टमाटर"}),
        ("मा", {"टमाटर"}),
        ("🍅", {"🍅"}),
        ("the", {"the"}),
        ("potato", set()),
    ],
)
def test_sqlite_finds_letters_inside_words(
    shelf: Shelf, database_path: Path, searched: str, found: set[str]
) -> None:
    """SQLite's index finds every wording whose words hold all the letters asked for, from one letter on."""
    names = ["Tomato", "Cherry tomatoes", "आम", "टमाटर", "🍅", "the"]
    by_id = {shelf.wording((name,)): name for name in names}
    asked = parameters(SqliteDatabase(database_path).dialect, words(searched))
    match = "SELECT rowid FROM search_index WHERE search_index MATCH ?"
    rows = shelf.connection.execute(match, (asked["search_match"],))
    assert {by_id[identity] for (identity,) in rows} == found


def test_relevance_compares_with_the_whole_phrase() -> None:
    """Relevance looks for the whole name, its beginning, and each word by itself."""
    assert relevance_parameters(["red", "tomato"], INFIX) == {
        "search_class": INFIX,
        "search_exact": "| red tomato |",
        "search_prefix": "| red tomato",
        "search_word_0": " red ",
        "search_word_1": " tomato ",
    }
