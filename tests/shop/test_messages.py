"""What the pages say."""

import re
from string import Formatter

import pytest

from farmlokal.catalog.listing import LANGUAGES as CATALOGUE_LANGUAGES
from farmlokal.catalog.models import UNITS
from farmlokal.shop.address import SORTS
from farmlokal.shop.assets import FOLDER
from farmlokal.shop.messages import LANGUAGES, MESSAGES, Words, grouped, rupees


def _fields(pattern: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(pattern) if name}


def test_every_message_is_there_in_every_language() -> None:
    """Each message has a text in each language, with the same values in it."""
    assert tuple(LANGUAGES) == CATALOGUE_LANGUAGES
    for key, texts in MESSAGES.items():
        assert len(texts) == len(LANGUAGES), key
        assert all(text.strip() for text in texts), key
        assert len({frozenset(_fields(text)) for text in texts}) == 1, key
    assert all(len(Words(lang)("months").split()) == 12 for lang in LANGUAGES)


def test_every_message_is_said_somewhere() -> None:
    """The table holds what the pages need, and nothing else."""
    said = "".join(
        path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.*") if path.suffix in (".py", ".html")
    )
    needed = {*(f"unit_{unit}" for unit in UNITS), *(f"sort_{sort}" for sort in SORTS)}
    needed |= {f"mandi_{where}" for where in ("below", "within", "above")}
    assert needed <= MESSAGES.keys()
    table = (FOLDER / "messages.py").read_text(encoding="utf-8")
    rest = said.replace(table, table.partition("class Words")[2])
    silent = [
        key for key in MESSAGES.keys() - needed if not re.search(rf"""["']{re.escape(key)}["']""", rest)
    ]
    assert not silent


@pytest.mark.parametrize(
    ("digits", "read"), [("7", "7"), ("999", "999"), ("1000", "1,000"), ("1234567", "12,34,567")]
)
def test_numbers_are_grouped_as_in_india(digits: str, read: str) -> None:
    """Thousands, lakhs and crores are told apart."""
    assert grouped(digits) == read


def test_rupees_and_days() -> None:
    """Paise are shown where there are some; a day is named in the reader's language."""
    assert (rupees("3600.00"), rupees("0.50"), rupees("123456.05")) == ("₹3,600", "₹0.50", "₹1,23,456.05")
    assert [Words(lang).day("2026-07-04") for lang in LANGUAGES] == ["4 Jul 2026", "4 जुल॰ 2026", "4 ജൂലൈ 2026"]
