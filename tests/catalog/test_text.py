"""Folding: one rule by which names are equal, sorted and cut into words."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.catalog.text import SORT_KEY_BYTES, WORD_LETTERS, fold, sort_key, words

TEXT = st.text(
    alphabet=st.one_of(
        st.sampled_from("aAbZßéÉ ôöø'-_^`~+()0９٣²½ \t\u00a0\u200d\u200c\u093c"),
        st.sampled_from("आमटमाटरकखज़ड़तक्काളിതക്കാളിന്‍ൻ\u0d4d\u0301\u0308🍅🏽ﬁﬃİıſΣςﷺ"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=40,
)


@pytest.mark.parametrize(
    ("spellings", "folded"),
    [
        (["Café", "CAFÉ", "cafe", " cafe\u0301 ", "cafe\t", "\u00a0café\u2003"], "cafe"),
        (["Green  chilli", "GREEN\nCHILLI"], "green chilli"),
        (["Straße", "STRASSE", "strasse", "STRAẞE"], "strasse"),
        (["ﬁg", "FIG", "ｆｉｇ", "ｆﬁg"[:1] + "ig"], "fig"),
        (["No. 1", "Ｎｏ． １", "no. १", "no. ൧"], "no. 1"),
        (["ज़ीरा", "ज\u093cीरा", "जीरा"], "जीरा"),
        (["അവൻ", "അവന\u0d4d\u200d"], "അവൻ"),
        (["आम", "आ\u200dम", "\ufeffआम"], "आम"),
        (["🍅", "🍅\ufe0f"], "🍅"),
        (["", "  ", "\u200b"], ""),
    ],
)
def test_spellings_of_one_name(spellings: list[str], folded: str) -> None:
    """Case, accents, width, nukta, joiners, digits of a script and white space do not count."""
    assert {fold(spelling) for spelling in spellings} == {folded}


@pytest.mark.parametrize(
    ("one", "other"),
    [("आम", "आमा"), ("टमाटर", "टमटर"), ("തക്ക", "തക"), ("कि", "की"), ("a", "b"), ("ss", "s"), ("क", "क्")],
)
def test_different_names_stay_different(one: str, other: str) -> None:
    """Vowel signs and viramas are letters to their readers: they count."""
    assert fold(one) != fold(other)


@given(text=TEXT)
def test_fold_is_stable(text: str) -> None:
    """Folding what is folded changes nothing: what is stored equals what is asked."""
    assert fold(fold(text)) == fold(text)


@given(text=TEXT)
def test_fold_does_not_depend_on_the_form(text: str) -> None:
    """Composed and decomposed text fold alike."""
    forms = {fold(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")}
    assert forms == {fold(text)}


@given(text=st.text(alphabet=st.characters(max_codepoint=127), max_size=60))
def test_plain_text_takes_the_same_rule(text: str) -> None:
    """ASCII is folded by a short cut that gives what the long way gives."""
    beside_hindi = fold("आ" + text)[1:]
    assert fold("x" + text)[1:] == beside_hindi


@given(text=st.text(max_size=400))
def test_sort_key_is_bounded_text(text: str) -> None:
    """A sort key is the folded name in UTF-8, cut between characters at 300 bytes."""
    key = sort_key(text)
    assert len(key) <= SORT_KEY_BYTES
    assert fold(text).encode().startswith(key)
    assert len(key) > SORT_KEY_BYTES - 4 or key == fold(text).encode()
    key.decode()


@given(one=TEXT, other=TEXT)
def test_sort_keys_order_by_code_point(one: str, other: str) -> None:
    """Sort keys compare by byte as the folded names do by code point, on every engine alike."""
    assert (sort_key(one) < sort_key(other)) == (fold(one) < fold(other))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sesamum(Gingelly,Til)", ["sesamum", "gingelly", "til"]),
        ("Green-chilli / No. 1", ["green", "chilli", "no", "1"]),
        ("टमाटर, आम", ["टमाटर", "आम"]),
        ("തക്കാളി–നാടൻ", ["തക്കാളി", "നാടൻ"]),
        ("fresh 🍅🍅!", ["fresh", "🍅🍅"]),
        ("Café au lait", ["cafe", "au", "lait"]),
        ("!?-–—…", []),
        ("a^b `c", ["a", "b", "c"]),
        ("a^b `c आम", ["a", "b", "c", "आम"]),
        ("½ kg", ["1", "2", "kg"]),
        ("x" * 20, ["x" * WORD_LETTERS]),
        ("ട" * 20, ["ട" * WORD_LETTERS]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    """Words are runs of letters, marks, digits and pictures; each counts by its first 16 letters."""
    assert words(text) == expected


@given(one=TEXT, other=TEXT)
def test_words_of_two_texts(one: str, other: str) -> None:
    """What stands beside a text does not change its words."""
    assert words(f"{one} | {other}") == words(one) + words(other)


@given(text=TEXT)
def test_words_are_folded(text: str) -> None:
    """Words are not empty, hold no space, are of bounded length and fold to themselves."""
    for word in words(text):
        assert 1 <= len(word) <= WORD_LETTERS
        assert not re.search(r"\s", word)
    assert words(fold(text)) == words(text)
