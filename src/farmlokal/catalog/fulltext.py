"""Search that finds the same rows on every engine, because the words are ours.

Engines disagree about words: SQLite's unicode61 tokenizer splits टमाटर at its vowel signs, its trigram
tokenizer cannot find आम, and MySQL drops short words and a list of English ones. So an engine is only
asked what each does well: is there a token that starts with these bytes? For that,

- a text is folded and cut into words by `text.words`;
- each word is indexed as all its suffixes, so that "inside a word" becomes "at the start of a token":
  ``tomato`` gives ``tomato omato mato ato to o``, and ``mat`` is found as the start of ``mato``;
- a token is written in ASCII letters and digits alone (`encode`), which no tokenizer takes apart.

A text matches a search when each word of the search stands somewhere inside a word of the text.
"""

from collections.abc import Sequence
from hashlib import blake2b

from sqlalchemy import ColumnElement, and_, bindparam, case, column, func, text
from sqlalchemy.dialects.mysql import match
from sqlalchemy.engine import Dialect

from farmlokal.catalog.schema import search_documents
from farmlokal.catalog.text import words

EXACT, PREFIX, WORD, INFIX = range(4)
CLASSES = (EXACT, PREFIX, WORD, INFIX)
"""Relevance, best first: the whole name; its beginning; whole words anywhere; letters inside words."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PLAIN = frozenset(_DIGITS) - frozenset("xy")
_INDIC = range(0x0900, 0x0E00)


def encode(letters: str) -> str:
    """A word as an ASCII token: starts of the word become starts of the token, and only they.

    Each character has a code that is no beginning of another's: a digit or letter stands for itself, an
    Indic character is ``x`` and two digits of base 36 (36² ≥ 1,280), any other ``y`` and four (36⁴ ≥
    1,114,112). The leading ``qq`` lifts one-letter tokens over the three that InnoDB asks for, and keeps a
    token from being a stop word. Longest: 2 + 16 × 5 = 82, under InnoDB's 84.
    """
    return "qq" + "".join(map(_code, letters))


def _code(char: str) -> str:
    if char in _PLAIN:
        return char
    point = ord(char)
    if point in _INDIC:
        high, low = divmod(point - _INDIC.start, 36)
        return "x" + _DIGITS[high] + _DIGITS[low]
    digits = ""
    for _ in range(4):
        point, digit = divmod(point, 36)
        digits = _DIGITS[digit] + digits
    return "y" + digits


class Document:
    """What search knows of a product: `body` for relevance, `grams` for the index, `digest` for identity."""

    __slots__ = ("body", "digest")

    def __init__(self, names: Sequence[str | None], more: Sequence[str | None]) -> None:
        """`names` may match exactly or by their beginning; `more` (commodity, variety) only by words."""
        titles = [" ".join(words(name)) for name in names if name]
        rest = [" ".join(words(value)) for value in more if value]
        self.body = " ".join([*(f"| {title}" for title in titles), "|", *(f"; {each}" for each in rest), ";"])
        self.digest = blake2b(self.body.encode(), digest_size=16).hexdigest()

    @property
    def grams(self) -> str:
        """Every suffix of every word, encoded, once."""
        found = dict.fromkeys(word for word in self.body.split() if word not in ("|", ";"))
        return " ".join(dict.fromkeys(encode(word[i:]) for word in found for i in range(len(word))))


def insert_sql(dialect: Dialect) -> str:
    """The statement that stores documents, for rows of `insert_row`."""
    if dialect.name == "sqlite":
        return "INSERT INTO search_documents (digest, body) VALUES (?, ?)"
    return "INSERT INTO search_documents (digest, body, grams) VALUES (%s, %s, %s)"


def insert_row(dialect: Dialect, document: Document) -> tuple[str, ...]:
    """A document as `insert_sql` takes it."""
    if dialect.name == "sqlite":
        return document.digest, document.body
    return document.digest, document.body, document.grams


def insert_index_sql(dialect: Dialect) -> str | None:
    """The statement that indexes (id, grams); None where the engine indexes the column of the table."""
    if dialect.name == "sqlite":
        return "INSERT INTO search_index (rowid, grams) VALUES (?, ?)"
    return None


def matching(dialect: Dialect) -> ColumnElement[bool]:
    """The documents that match the parameter `search_match`, by the full-text index."""
    if dialect.name == "sqlite":
        return search_documents.c.id.in_(
            text("SELECT rowid FROM search_index WHERE search_index MATCH :search_match")
        )
    return match(column("grams"), against=bindparam("search_match")).in_boolean_mode()


def contains(word_count: int) -> ColumnElement[bool]:
    """Whether a document matches, asked of its body: each word stands inside a word of it."""
    body = search_documents.c.body
    return and_(*(func.instr(body, bindparam(f"search_infix_{i}")) > 0 for i in range(word_count)))


def parameters(dialect: Dialect, search: Sequence[str]) -> dict[str, str]:
    """The values for `matching` (every word as the start of a token) and for `contains`."""
    tokens = [f"{encode(word)}*" for word in search]
    asked = " ".join(tokens if dialect.name == "sqlite" else (f"+{token}" for token in tokens))
    return {"search_match": asked, **{f"search_infix_{i}": word for i, word in enumerate(search)}}


def relevance(word_count: int) -> ColumnElement[int]:
    """The class of a matching document, from its body and the parameters of `relevance_parameters`."""
    body = search_documents.c.body
    whole_words = and_(*(func.instr(body, bindparam(f"search_word_{i}")) > 0 for i in range(word_count)))
    return case(
        (func.instr(body, bindparam("search_exact")) > 0, EXACT),
        (func.instr(body, bindparam("search_prefix")) > 0, PREFIX),
        (whole_words, WORD),
        else_=INFIX,
    )


def relevance_parameters(search: Sequence[str], number: int) -> dict[str, str | int]:
    """The values that `relevance` compares with, and the class that is wanted; a body reads
    ``| nendran banana | केला | ; banana ; nendran ;``."""
    phrase = " ".join(search)
    named = {f"search_word_{i}": f" {word} " for i, word in enumerate(search)}
    return {
        "search_class": number,
        "search_exact": f"| {phrase} |",
        "search_prefix": f"| {phrase}",
        **named,
    }
