"""Bodies from strangers: what is the same content, and what is refused."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.orders.strict_json import DEPTH, Document, NotJson


def digest(text: str | bytes) -> bytes:
    """The digest of a body's content."""
    return Document(text if isinstance(text, bytes) else text.encode()).digest


@pytest.mark.parametrize(
    "spellings",
    [
        ('{"a":1,"b":[2]}', '{ "b" : [ 2 ] , "a" : 1 }', '\n{"b":[2],\t"a":1}\r\n'),
        ('{"a":1}', '{"a":1.0}', '{"a":1e0}', '{"a":10e-1}', '{"\\u0061":1}'),
        ('["आम/"]', '["\\u0906\\u092e\\/"]'),
        ('["😀"]', '["\\ud83d\\ude00"]'),
        ("[100000000000000000]", "[1e17]", "[100000000000000000.0]"),
        ("[1000000000000000000]", "[1e18]", "[10E17]"),
        ("[-0]", "[0]", "[0.0]", "[0e5]"),
        ("[0.5]", "[5e-1]", "[0.50]"),
    ],
)
def test_one_content_has_many_spellings(spellings: tuple[str, ...]) -> None:
    """Whitespace, the order of members, escapes and the spelling of numbers do not change a content."""
    assert len({digest(each) for each in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[9007199254740993]", "[9007199254740992]"),
        ("[0.1]", "[0.10000000000000001]"),
        ("[1]", '["1"]'),
        ("[1]", "[true]"),
        ("[null]", "[]"),
        ('{"a":null}', "{}"),
        ("[[1],2]", "[1,[2]]"),
        ('["é"]', '["e\u0301"]'),
        ('["a"]', '["a "]'),
        ('["a"]', '["A"]'),
        ('["a"]', '["a\\u0000"]'),
        ('{"a":{"b":1}}', '{"a":{},"b":1}'),
    ],
)
def test_other_content_is_told_apart(one: str, other: str) -> None:
    """Numbers that a double would confuse, types, nesting, forms of letters and empty things all count."""
    assert digest(one) != digest(other)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"a":1}x',
        b"1 2",
        b"{'a':1}",
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":1_0}',
        '{"a":１}'.encode(),  # a full-width digit
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":1e999999999999}',
        b'{"a":1e-999999999999}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":1,"a":2}',
        b'{"a":1,"\\u0061":1}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'["\\ud800"]',
        b'["\\udc00\\ud800"]',
        b'["a\nb"]',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1),
    ],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """Whatever a body does, it is refused in one way, and the interpreter's own limits are not met."""
    with pytest.raises(NotJson):
        Document(body)


def test_brackets_inside_text_are_not_nesting() -> None:
    """A text full of brackets and quotes nests nothing, and the deepest nesting that is accepted is read."""
    text = '["' + '[{\\"' * 1000 + '\\\\"]'
    assert Document(text.encode()).value == json.loads(text)
    deepest = b"[" * DEPTH + b"]" * DEPTH
    assert Document(deepest).value == json.loads(deepest)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.decimals(-1000, 1000, places=3)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def _written(value: Any, *, turned: bool) -> str:
    """The value as JSON, in one of two spellings."""
    if isinstance(value, dict):
        pairs = sorted(value.items(), reverse=turned)
        inner = ",".join(
            f"{json.dumps(k, ensure_ascii=turned)}: {_written(v, turned=turned)}" for k, v in pairs
        )
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{','.join(_written(each, turned=turned) for each in value)}]"
    if isinstance(value, Decimal):
        return f"{value:f}00" if turned else f"{value:f}"
    return json.dumps(value, ensure_ascii=turned)


def _same(one: Any, other: Any) -> bool:
    """Python's equality, but for `True == 1`."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


@given(_JSON, _JSON)
def test_the_digest_is_the_content(one: Any, other: Any) -> None:
    """Two spellings of one value have one digest, and two values have one digest when they are the same."""
    first = digest(_written(one, turned=False))
    assert digest(_written(one, turned=True)) == first
    assert (digest(_written(other, turned=False)) == first) == _same(one, other)
