"""What is made of a provider's answer, whatever it is."""

import json
from contextlib import suppress
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.oauth.upstream.law import Timing
from farmlokal.oauth.upstream.token import Grant, NoGrant, UpstreamToken, read_grant

TIMES = Timing()
GOOD = {"access_token": "abc", "token_type": "Bearer", "expires_in": 3600}


def body(without: str = "", **members: Any) -> bytes:
    """The good answer with other members, or without one."""
    return json.dumps({name: value for name, value in (GOOD | members).items() if name != without}).encode()


@pytest.mark.parametrize(
    ("answer", "grant"),
    [
        (body(), Grant("abc", "asked", 3600)),
        (body(token_type="bEARER"), Grant("abc", "asked", 3600)),
        (body("expires_in"), Grant("abc", "asked", 60)),
        (body(expires_in=3600.9), Grant("abc", "asked", 3600)),
        (body(expires_in=1e12), Grant("abc", "asked", 86_400)),
        (body(expires_in=86_401), Grant("abc", "asked", 86_400)),
        (body(expires_in=5), Grant("abc", "asked", 5)),
        (body(scope="other"), Grant("abc", "other", 3600)),
        (body(scope='a "quoted" one'), Grant("abc", "asked", 3600)),
        (body(scope=["a"]), Grant("abc", "asked", 3600)),
        (body(refresh_token="never", id_token=None, more={"deep": [1]}), Grant("abc", "asked", 3600)),
    ],
)
def test_what_is_understood(answer: bytes, grant: Grant) -> None:
    """The type counts in any case; without a life it is a minute, and never more than a day; without a
    scope it is the one that was asked for; what is not known is not looked at."""
    assert read_grant(answer, "asked", TIMES) == grant


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"null",
        b"[]",
        b"<!doctype html><title>Welcome</title>",
        b'{"error": "invalid_client"}',
        b"\xff\xfe{}",
        b"[" * 30_000,
        b'{"a":' * 30_000,
        body("access_token"),
        body(access_token=""),
        body(access_token=7),
        body(access_token=None),
        body(access_token="two words"),
        body(access_token="a\r\nSet-Cookie: b"),
        body(access_token="ü"),
        body(access_token="a" * 8193),
        body("token_type"),
        body(token_type="mac"),
        body(token_type=None),
        body(token_type="Bearer "),
        body(expires_in="3600"),
        body(expires_in=0),
        body(expires_in=-1),
        body(expires_in=None),
        body(expires_in=True),
        body(expires_in=[3600]),
        body(expires_in=float("nan")),
        body(expires_in=float("inf")),
        body().replace(b"3600", b"1e999"),
        body().replace(b"3600", b"-" + b"9" * 5000),
    ],
    ids=lambda answer: answer[:60].decode("latin-1"),
)
def test_what_is_refused(answer: bytes) -> None:
    """An answer without a token that fits into a header, of another type than bearer, or whose life is no
    positive number, gives nothing, and words of ours."""
    with pytest.raises(NoGrant) as refusal:
        read_grant(answer, None, TIMES)
    assert str(refusal.value) in {"no token answer", "no access token", "unknown token type", "no life"}


def test_a_life_of_five_thousand_digits() -> None:
    """An absurd life is a day."""
    for digits in (10, 300, 5000):
        with suppress(NoGrant):  # or none, where the number is too long to be read
            assert read_grant(body().replace(b"3600", b"9" * digits), None, TIMES).life_s == 86_400
    assert read_grant(body(expires_in=10**9), None, TIMES).life_s == 86_400


@given(
    st.dictionaries(
        st.sampled_from([*GOOD, "scope"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
            max_leaves=5,
        ),
    ),
    st.binary(max_size=20),
)
def test_no_answer_breaks_the_reader(members: dict[str, Any], after: bytes) -> None:
    """Whatever a provider says, it is a grant within the bounds or it is none."""
    for answer in (json.dumps(GOOD | members).encode(), json.dumps(members).encode() + after):
        try:
            grant = read_grant(answer, None, TIMES)
        except NoGrant:
            continue
        assert 0 <= grant.life_s <= 86_400
        assert grant.value.isprintable()


@given(st.floats(1, 86_400))
def test_the_next_one_is_fetched_before_anybody_waits(life_s: float) -> None:
    """The time in which the next token is fetched ahead of need begins after a second of life at the
    soonest, and before callers begin to wait wherever a life is long enough; of a long life it is the last
    fifth or five minutes, a tenth more or less."""
    token = UpstreamToken.of("abc", None, life_s, 1000 + life_s, TIMES)
    early_s = token.ends_s - token.early_s
    assert 0 < early_s < life_s
    if life_s >= 31:
        assert early_s >= 30
        assert life_s - early_s >= 0.999
    if life_s >= 400:
        assert 0.89 <= early_s / min(life_s / 5, 300) <= 1.11


def test_a_token_does_not_show_itself() -> None:
    """Printing a token shows everything but its value."""
    token = UpstreamToken.of("canary", None, 60, 1000, TIMES)
    assert "canary" not in f"{token} {token!r}"
    assert token.name == sha256(b"canary").hexdigest()[:8]
