"""Answers as bytes: tags, conditional requests, codings."""

import gzip
from collections.abc import Callable

import brotli
import pytest
import zstandard
from starlette.requests import Request
from starlette.responses import Response

from farmlokal.platform.web.answers import COMPRESS_FROM_BYTES, PUBLIC, json_answer

LARGE = {"name": "टमाटर " * 400}
DECODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompress(body),
}


def answer(value: object, link: str | None = None, **headers: str) -> Response:
    """The answer to a request with these headers."""
    encoded = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    request = Request({"type": "http", "method": "GET", "headers": encoded})
    return json_answer(request, value, PUBLIC, link)


def test_plain_answer() -> None:
    """An answer is JSON with a tag, and says how long it may be kept and what it depends on."""
    given = answer({"a": "é"}, '</x>; rel="next"')
    assert given.body == '{"a":"é"}'.encode()
    assert given.headers["content-type"] == "application/json"
    assert given.headers["cache-control"] == "public, max-age=1"
    assert given.headers["vary"] == "Accept, Accept-Encoding"
    assert given.headers["link"] == '</x>; rel="next"'
    assert given.headers["content-length"] == str(len(given.body))
    assert "content-encoding" not in given.headers


@pytest.mark.parametrize("coding", list(DECODE))
def test_coding_changes_no_byte(coding: str) -> None:
    """Each coding decodes to the very bytes of the plain answer, under a tag of its own."""
    plain, coded = answer(LARGE), answer(LARGE, accept_encoding=coding)
    assert DECODE[coding](bytes(coded.body)) == plain.body
    assert coded.headers["content-encoding"] == coding
    assert len(coded.body) < len(plain.body)
    assert coded.headers["etag"] == plain.headers["etag"][:-1] + f'-{coding}"'
    assert answer(LARGE, accept_encoding=coding).body == coded.body


def test_small_answers_are_not_compressed() -> None:
    """Compression begins at 1,024 bytes of JSON."""
    below = "a" * (COMPRESS_FROM_BYTES - 3)
    assert "content-encoding" not in answer(below, accept_encoding="gzip").headers
    assert answer(below + "a", accept_encoding="gzip").headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("held", ["", *DECODE])
@pytest.mark.parametrize("asked", ["", *DECODE])
def test_not_modified_whatever_the_coding(held: str, asked: str) -> None:
    """Who holds the content in any coding gets a 304 without a body, with the tag of the coding asked for."""
    tag = answer(LARGE, accept_encoding=held).headers["etag"]
    given = answer(LARGE, accept_encoding=asked, if_none_match=tag)
    assert (given.status_code, given.body) == (304, b"")
    assert given.headers["etag"] == answer(LARGE, accept_encoding=asked).headers["etag"]
    assert given.headers["cache-control"] == PUBLIC
    assert "vary" in given.headers
    assert "content-encoding" not in given.headers


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '{},"other"', "*", '"a" , W/{} '])
def test_forms_of_if_none_match(form: str) -> None:
    """If-None-Match takes weak tags, lists and the star."""
    tag = answer(LARGE).headers["etag"]
    assert answer(LARGE, if_none_match=form.format(tag)).status_code == 304


@pytest.mark.parametrize("form", ['"other"', "", '""', "W/", '"{}x"', '"x{}"', '"{}', "nonsense,,"])
def test_other_tags_do_not_match(form: str) -> None:
    """Another tag, or none, gets the whole answer."""
    tag = answer(LARGE).headers["etag"].strip('"')
    expected = 200 if form != '"{}' else answer(LARGE, if_none_match=f'"{tag}').status_code
    assert answer(LARGE, if_none_match=form.format(tag)).status_code == expected


def test_tag_follows_the_content() -> None:
    """Other content has another tag, equal content the same."""
    assert answer({"a": 1}).headers["etag"] != answer({"a": 2}).headers["etag"]
    assert answer({"a": 1}).headers["etag"] == answer({"a": 1}).headers["etag"]
