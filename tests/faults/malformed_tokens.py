"""Malformed requests to the authorization server and with bearers, made from a seed.

Each is a method, a path, headers and a body, so that one connection can send them all.
"""

import random
from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import NamedTuple

FORM = "application/x-www-form-urlencoded"
PATHS = ("/oauth/token", "/oauth/introspect", "/oauth/revoke")
TYPES = (
    FORM,
    FORM,
    FORM,
    FORM.upper(),
    FORM + ";charset=utf-7",
    "application/json",
    "text/plain",
    "",
    "x",
    "a/b;" * 50,
)
NAMES = (
    "grant_type",
    "client_id",
    "client_secret",
    "scope",
    "token",
    "token_type_hint",
    "client_assertion",
    "%67",
    "é",
    "[]",
)
VALUES = (
    *(
        "client_credentials",
        "password",
        "",
        "%",
        "%zz",
        "%ff",
        "%00",
        "+",
        "a+b",
        "%C0%AF",
        "0",
        "null",
        "ops:read",
    ),
    *(
        "ops:read%20ops:read",
        "ops:read%20%20x",
        "%22",
        "%5C",
        "é",
        "🍅",
        "\u202e",
        "%0D%0ASet-Cookie:%20x",
        "a" * 5000,
    ),
    *(
        "{}",
        "[]",
        "<script>",
        "' OR 1=1 --",
        "../../etc/passwd",
        "%E0%A4%86",
        "Basic x",
        "e30.e30.e30",
        "..",
        ".",
    ),
)
SCHEMES = (
    "Basic",
    "basic",
    "Bearer",
    "bearer",
    "BEARER",
    "Digest",
    "Negotiate",
    "",
    "Basic ",
    "Bearer  ",
    "B",
    "Basic,",
)
BEARERS = (
    *(
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "e30.e30.",
        "e30.e30.e30",
        "eyJhbGciOiJub25lIn0.e30.",
        "=",
        "====",
        "a" * 3000,
    ),
    *(
        "W10.W10.W10",
        "bnVsbA.bnVsbA.bnVsbA",
        "MQ.MQ.MQ",
        "IiI.IiI.IiI",
        "_-.-_.__",
        "e30=.e30=.e30=",
        "%00.%00.%00",
    ),
)


class Malformed(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: Sequence[tuple[str, str]]
    body: bytes


def requests(count: int, seed: int, token: str, basic: str) -> Iterator[Malformed]:
    """`count` requests, a third of them with a mutated `token`; `basic` are good credentials, used rarely."""
    rng = random.Random(seed)
    for _ in range(count):
        if rng.random() < 0.34:
            yield Malformed("GET", "/metrics", [("authorization", _bearer(rng, token))], b"")
        else:
            yield _form(rng, token, basic)


def _bearer(rng: random.Random, token: str) -> str:
    scheme = rng.choice(SCHEMES) if rng.random() < 0.3 else "Bearer"
    return f"{scheme} {_mutated(rng, token)}".encode("ascii", "replace").decode()


def _mutated(rng: random.Random, token: str) -> str:
    if rng.random() < 0.3:
        return rng.choice(BEARERS)
    parts = token.split(".")
    which = rng.randrange(3)
    text = parts[which]
    at = rng.randrange(len(text))
    match rng.randrange(6):
        case 0:  # one character is another, never the last one, whose low bits mean nothing
            at = rng.randrange(len(text) - 1)
            text = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        case 1:
            text = text[:at]
        case 2:
            text += rng.choice(("A", "=", "==", " A", ".", "-", "%", "AAAA" * 50))
        case 3:
            text = b64encode(rng.randbytes(rng.randrange(60))).decode()
        case 4:
            text = parts[(which + 1) % 3]
        case 5:
            return ".".join(rng.sample(parts, rng.randrange(3)))
    return ".".join([*parts[:which], text, *parts[which + 1 :]])


def _form(rng: random.Random, token: str, basic: str) -> Malformed:
    headers = []
    if rng.random() < 0.8:
        headers.append(("content-type", rng.choice(TYPES)))
    if rng.random() < 0.6:
        headers.append(("authorization", _credentials(rng, basic)))
    if rng.random() < 0.05:
        headers.append(("authorization", _credentials(rng, basic)))
    if rng.random() < 0.1:
        body = rng.randbytes(rng.randrange(400))
    else:
        fields = rng.choices(NAMES, k=rng.randrange(40 if rng.random() < 0.1 else 5))
        pairs = [f"{name}{rng.choice(('=', '=', '=', '', '=='))}{_value(rng, token)}" for name in fields]
        body = rng.choice(("&", "&", "&", ";", "&&")).join(pairs).encode()
    query = "?" + rng.choice(NAMES) + "=" + rng.choice(("x", "%zz", token)) if rng.random() < 0.05 else ""
    return Malformed("POST", (rng.choice(PATHS) + query).encode("ascii", "replace").decode(), headers, body)


def _value(rng: random.Random, token: str) -> str:
    return _mutated(rng, token) if rng.random() < 0.2 else rng.choice(VALUES)


def _credentials(rng: random.Random, basic: str) -> str:
    match rng.randrange(6):
        case 0:
            return basic
        case 1:
            return "Basic " + b64encode(rng.randbytes(rng.randrange(80))).decode()
        case 2:
            return "Basic " + b64encode(f"{rng.choice(VALUES)}:{rng.choice(VALUES)}"[:900].encode()).decode()
        case 3:
            return basic[: rng.randrange(len(basic))]
        case 4:
            return f"{rng.choice(SCHEMES)} {basic[6:]}"
        case _:
            return rng.choice(("", "Basic", "Basic " + "A" * 2000, "\t", "Basic \xff", ":", "Basic Og=="))
