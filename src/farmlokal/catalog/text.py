"""One rule for folding names, so that every database sorts and finds the same rows.

Collations differ between engines and between their versions. So names are folded here, the result is
stored, and the engines compare bytes. The same fold makes the words that search compares.
"""

import re
import unicodedata
from functools import lru_cache

SORT_KEY_BYTES = 300
"""Longest stored sort key. A name may be 300 bytes; a fold can lengthen it (ligatures), and two names
that agree for 300 folded bytes are ordered by id, like any tie."""

WORD_LETTERS = 16
"""A word is compared by its first 16 letters: the longest that stays one token of at most 84 characters,
the limit of a full-text index in InnoDB, in any script (see `fulltext.encode`)."""

# Diacritics that Latin, Greek and Cyrillic letters carry. The vowel signs of Indic scripts are combining
# characters as well, and are letters to their readers: they stay.
_DIACRITICS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0\ufe20-\ufe2f]")
# Typed or left out at will: the nukta of Devanagari (ज़/ज) and the joiners, which only shape glyphs.
_OPTIONAL = re.compile("[\u093c\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff]")
# Malayalam chillus are written as one character or, in older text, as consonant + virama + joiner.
_CHILLUS = {
    "\u0d23\u0d4d\u200d": "\u0d7a",
    "\u0d28\u0d4d\u200d": "\u0d7b",
    "\u0d30\u0d4d\u200d": "\u0d7c",
    "\u0d32\u0d4d\u200d": "\u0d7d",
    "\u0d33\u0d4d\u200d": "\u0d7e",
    "\u0d15\u0d4d\u200d": "\u0d7f",
}
_CHILLU = re.compile("[\u0d15\u0d23\u0d28\u0d30\u0d32\u0d33]\u0d4d\u200d")
_SPACES = re.compile(r"\s+")
_ASCII_WORD = re.compile("[a-z0-9]+")


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """The form under which two spellings of one name are equal.

    Case, accents, width, joiners and runs of white space do not count: ``"  CAFÉ "`` and ``"cafe"`` fold
    to ``"cafe"``. Decimal digits of any script become ASCII digits.
    """
    if text.isascii():
        return _SPACES.sub(" ", text.casefold()).strip()
    text = _CHILLU.sub(lambda match: _CHILLUS[match.group()], text)
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    text = unicodedata.normalize("NFC", _OPTIONAL.sub("", _DIACRITICS.sub("", text)))
    text = "".join(_ascii_digit(char) for char in text)
    return _SPACES.sub(" ", text).strip()


def _ascii_digit(char: str) -> str:
    value = unicodedata.decimal(char, None) if char > "\x7f" else None
    return char if value is None else str(int(value))


@lru_cache(maxsize=4096)
def sort_key(name: str) -> bytes:
    """The bytes by which `sort=name` orders: the folded name in UTF-8, at most `SORT_KEY_BYTES` of it."""
    key = fold(name).encode("utf-8", "surrogatepass")
    if len(key) <= SORT_KEY_BYTES:
        return key
    return key[:SORT_KEY_BYTES].decode("utf-8", "ignore").encode()


def words(text: str) -> list[str]:
    """The folded words of a text, in order, each cut to `WORD_LETTERS` letters.

    A word is a run of letters, marks, digits or pictures (an emoji is a word one may look for);
    everything else separates: ``"Sesamum(Gingelly,Til)"`` has three words.
    """
    folded = fold(text)
    if folded.isascii():
        return [word[:WORD_LETTERS] for word in _ASCII_WORD.findall(folded)]
    separated = "".join(char if _is_in_word(char) else " " for char in folded)
    return [word[:WORD_LETTERS] for word in separated.split()]


def _is_in_word(char: str) -> bool:
    return unicodedata.category(char) in _WORD_CATEGORIES or char in _SKIN_TONES


_WORD_CATEGORIES = frozenset(["Ll", "Lu", "Lt", "Lo", "Lm", "Mn", "Mc", "Nd", "Nl", "No", "So"])
_SKIN_TONES = frozenset(map(chr, range(0x1F3FB, 0x1F400)))
