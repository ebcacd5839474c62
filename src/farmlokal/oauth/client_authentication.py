"""How a client says who it is: Basic or form (RFC 6749 §2.3.1), read to the letter and only one way."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

FORM_BYTES = 8192
"""Longest form: a token of 2 kB and credentials need half of it."""

FIELDS = 32
"""Most fields of a form."""

_ESCAPES = re.compile(rb"(?:[^%]|%[0-9A-Fa-f]{2})*")


class OAuthRefusal(Exception):
    """A refusal in the words of RFC 6749 §5.2. `description` is ours, of the characters allowed there."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.error = error
        self.description = description


class Presented(NamedTuple):
    """What a client presented."""

    client_id: str
    secret: str


def form_of(content_type: Sequence[str], query: bytes, body: bytes) -> dict[str, str]:
    """The fields of a request; those without a value count as left out. Raises `OAuthRefusal`."""
    if query:
        raise _invalid("nothing belongs in the query, and least of all a secret")
    kinds = [each.partition(";")[0].strip().lower() for each in content_type]
    if kinds != ["application/x-www-form-urlencoded"]:
        raise _invalid("the body must be application/x-www-form-urlencoded")
    if len(body) > FORM_BYTES:
        raise _invalid("the body is too long")
    pieces = [piece for piece in body.split(b"&") if piece]
    if len(pieces) > FIELDS:
        raise _invalid("the body has too many fields")
    form: dict[str, str] = {}
    for piece in pieces:
        name, _, value = piece.partition(b"=")
        field, text = _decoded(name), _decoded(value)
        if field is None or text is None:
            raise _invalid("the body is not form-encoded UTF-8")
        if field in form:
            raise _invalid("a field is repeated")
        form[field] = text
    return {field: text for field, text in form.items() if text}


def presented(authorization: Sequence[str], form: Mapping[str, str]) -> Presented:
    """The credentials of a request. Raises `OAuthRefusal`."""
    if not authorization:
        if "client_id" not in form or "client_secret" not in form:
            raise unknown_client()
        return Presented(form["client_id"], form["client_secret"])
    if len(authorization) > 1 or form.keys() & {"client_secret", "client_assertion", "client_assertion_type"}:
        raise _invalid("the client authenticates in more than one way")
    found = _basic(authorization[0])
    if found is None:
        raise unknown_client()
    if form.get("client_id", found.client_id) != found.client_id:
        raise _invalid("the client names itself in two ways")
    return found


def unknown_client() -> OAuthRefusal:
    """One refusal for whoever is not known, whatever was wrong: it tells nobody which clients there are."""
    return OAuthRefusal("invalid_client", "the client is not known, or its secret is wrong")


def _basic(header: str) -> Presented | None:
    """Both parts are form-encoded before they are joined, which Basic itself (RFC 7617) does not ask for."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        joined = base64.b64decode(encoded.strip(" "), validate=True)
    except (binascii.Error, ValueError):
        return None
    client_id, colon, secret = joined.partition(b":")
    name, word = _decoded(client_id), _decoded(secret)
    return Presented(name, word) if colon and name and word else None


def _decoded(text: bytes) -> str | None:
    """Form-decoded; None for what no encoder writes."""
    if not _ESCAPES.fullmatch(text):
        return None
    try:
        decoded = unquote_to_bytes(text.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in decoded else decoded


def _invalid(description: str) -> OAuthRefusal:
    return OAuthRefusal("invalid_request", description)
