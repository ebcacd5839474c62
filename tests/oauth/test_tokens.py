"""Access tokens: what is accepted, and everything that only looks like one."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from farmlokal.oauth.tokens import LIFE_S
from tests.support.asgi import application, calling
from tests.support.catalogue import new_database, run
from tests.support.oauth import (
    PRODUCTION,
    PRODUCTION_KEYS,
    Known,
    ask_token,
    bearer,
    register,
    token_of,
    with_clients,
)


def b64(data: bytes | str) -> str:
    """Base64url without padding."""
    text = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Header, claims and signature."""
    header, claims, signature = token.split(".")

    def decoded(part: str) -> Any:
        return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))

    return decoded(header), decoded(claims), signature


def with_app(path: Path, work: Callable[[httpx2.AsyncClient, Known], Awaitable[None]], **more: Any) -> None:
    """Do something with an application and a client of its own."""

    async def go() -> None:
        await register(f"sqlite:///{path}", algorithm="RS256")
        known = await register(f"sqlite:///{path}", **more)
        async with calling(application(path)) as caller:
            await work(caller, known)

    run(go())


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_a_token_is_as_its_standard_says(database_path: Path, algorithm: str) -> None:
    """A token has the type and the claims of RFC 9068, and whoever has the key set can check it."""

    async def work(caller: httpx2.AsyncClient, known: Known) -> None:
        answer = (await ask_token(caller, known, {"scope": "ops:read"})).json()
        assert (answer["token_type"], answer["expires_in"], answer["scope"]) == ("Bearer", LIFE_S, "ops:read")
        header, claims, _ = parts(answer["access_token"])
        published = (await caller.get("/.well-known/jwks.json")).json()["keys"]
        [key] = [key for key in published if key["kid"] == header["kid"]]
        assert header == {"typ": "at+jwt", "alg": algorithm, "kid": key["kid"]}
        assert claims.keys() == {"iss", "aud", "sub", "client_id", "iat", "exp", "jti", "scope"}
        assert (claims["iss"], claims["sub"], claims["exp"] - claims["iat"]) == (
            "http://127.0.0.1:3000",
            known.client_id,
            LIFE_S,
        )
        assert not {"d", "p", "q"} & key.keys()
        kind = ECKey if algorithm == "ES256" else RSAKey
        jws.deserialize_compact(answer["access_token"], kind.import_key(key), algorithms=[algorithm])

    with_app(database_path, work, algorithm=algorithm)


def forgeries(token: str, keys: list[dict[str, Any]]) -> dict[str, str]:
    """Tokens that somebody might make of a good one and the published keys."""
    header, claims, signature = parts(token)
    rsa = next(key for key in keys if key["kty"] == "RSA")
    own = ECKey.generate_key("P-256")
    pem = RSAKey.import_key(rsa).public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def signed(header: dict[str, Any], claims: dict[str, Any] | str = claims) -> str:
        text = claims if isinstance(claims, str) else json.dumps(claims)
        return jws.serialize_compact({"alg": "ES256", **header}, text, own, algorithms=["ES256"])

    def hs256(secret: bytes, kid: str) -> str:
        start = f"{b64(json.dumps({**header, 'alg': 'HS256', 'kid': kid}))}.{b64(json.dumps(claims))}"
        return f"{start}.{b64(hmac.digest(secret, start.encode(), 'sha256'))}"

    def as_is(header: str, claims: str = json.dumps(claims)) -> str:
        return f"{b64(header)}.{b64(claims)}.{signature}"

    head = json.dumps(header)
    return {
        "alg none": f"{b64(json.dumps({**header, 'alg': 'none'}))}.{b64(json.dumps(claims))}.",
        "alg none, signature kept": as_is(json.dumps({**header, "alg": "none"})),
        "alg in other case": as_is(json.dumps({**header, "alg": "es256"})),
        "HS256 with the public key as PEM": hs256(pem, rsa["kid"]),
        "HS256 with the public key as JWK": hs256(json.dumps(rsa).encode(), rsa["kid"]),
        "HS256 with nothing": hs256(b"", header["kid"]),
        "the other key's algorithm": as_is(json.dumps({**header, "kid": rsa["kid"]})),
        "a key of their own": signed({**header}),
        "a key of their own, in the header": signed({**header, "jwk": own.as_dict(private=False)}),
        "jku": signed({**header, "jku": "http://127.0.0.1:9/keys"}),
        "x5u": signed({**header, "x5u": "http://127.0.0.1:9/keys"}),
        "crit": as_is(json.dumps({**header, "crit": ["exp"]})),
        "kid a path": signed({**header, "kid": "../../etc/passwd"}),
        "kid SQL": signed({**header, "kid": "' OR 1=1 --"}),
        "kid a number": as_is(json.dumps({**header, "kid": 1})),
        "no kid": as_is(json.dumps({"alg": "ES256", "typ": "at+jwt"})),
        "typ JWT": as_is(json.dumps({**header, "typ": "JWT"})),
        "no typ": as_is(json.dumps({name: header[name] for name in ("alg", "kid")})),
        "alg twice": as_is(head[:-1] + ', "alg": "none"}'),
        "header a list": as_is("[]"),
        "header not JSON": as_is("{"),
        "header deep": as_is("[" * 700 + "]" * 700),
        "claims changed": as_is(head, json.dumps({**claims, "scope": "ops:read orders:repair"})),
        "signature changed": token[:-6] + ("AAAAAA" if not token.endswith("AAAAAA") else "BBBBBB"),
        "signature cut": token[:-10],
        "no signature": token.rpartition(".")[0],
        "two parts": ".".join(token.split(".")[:2]) + ".",
        "four parts": token + ".AAAA",
        "padded": token + "=",
        "with a space": token.replace(".", " .", 1),
        "too long": token + "A" * 4000,
        "empty": "",
        "not ASCII": "ключ.ключ.ключ",
        "NUL": token + "\x00",
    }


def test_what_only_looks_like_a_token_is_refused(database_path: Path) -> None:
    """Introspection says of forged tokens of every known kind that they are not active, and no more."""

    async def work(caller: httpx2.AsyncClient, known: Known) -> None:
        token = await token_of(caller, known)
        published = (await caller.get("/.well-known/jwks.json")).json()["keys"]
        assert (await inspect(caller, known, token))["active"] is True
        tried = forgeries(token, published)
        for name, forged in tried.items():
            if name not in ("NUL", "empty"):  # a form cannot have them
                assert await inspect(caller, known, forged) == {"active": False}, name
        assert len(tried) > 30

    with_app(database_path, work)


async def inspect(caller: httpx2.AsyncClient, known: Known, token: str) -> dict[str, Any]:
    """What introspection says of a token."""
    answer = await caller.post("/oauth/introspect", data={"token": token}, headers=known.basic)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_bearers_are_refused_as_the_standard_says(tmp_path: Path) -> None:
    """A route with a scope refuses by RFC 6750: 401 without an error for no token, with `invalid_token` for a
    bad one, 403 naming the scope for one that lacks it, and lets a good one in."""
    path = new_database(tmp_path)
    url = f"sqlite:///{path}"

    async def go() -> None:
        reader = await register(url, ["ops:read"], PRODUCTION_KEYS)
        writer = await register(url, ["catalog:write"], PRODUCTION_KEYS, algorithm="RS256")
        async with calling(application(path, PRODUCTION)) as caller:
            assert (await caller.get("/metrics")).headers["www-authenticate"] == 'Bearer realm="farmlokal"'
            good, other = await token_of(caller, reader), await token_of(caller, writer)
            published = (await caller.get("/.well-known/jwks.json")).json()["keys"]
            assert (await caller.get("/metrics", headers=bearer(good))).status_code == 200
            assert (
                await caller.get("/metrics", headers={"authorization": f"bEARER  {good}"})
            ).status_code == 200
            refused = await caller.get("/metrics", headers=bearer(other))
            assert (refused.status_code, refused.headers["www-authenticate"]) == (
                403,
                'Bearer realm="farmlokal", error="insufficient_scope", scope="ops:read"',
            )
            for name, forged in forgeries(good, published).items():
                if name in ("NUL", "empty", "padded", "with a space"):
                    continue  # no header can carry it, or it is another token in one
                raw = [(b"authorization", b"Bearer " + forged.encode())]
                answer = await caller.get("/metrics", headers=raw)
                assert answer.status_code == 401, name
                assert answer.headers["www-authenticate"] == 'Bearer realm="farmlokal", error="invalid_token"'
                assert answer.headers["content-type"] == "application/problem+json"
                assert not forged or forged not in answer.text
            twice = [(b"authorization", f"Bearer {good}".encode())] * 2
            assert (await caller.get("/metrics", headers=twice)).status_code == 401
            assert (await caller.get("/metrics", headers=reader.basic)).status_code == 401
            assert (await caller.get(f"/metrics?access_token={good}")).status_code == 401
            assert (await caller.get("/api/categories", headers=bearer("junk"))).status_code == 200

    run(go())


def test_a_revoked_token_is_refused_though_it_was_seen(tmp_path: Path) -> None:
    """A token whose signature is remembered is refused as soon as it is revoked, elsewhere within a second;
    what is no token of the client is no error and changes nothing."""
    path = new_database(tmp_path)
    url = f"sqlite:///{path}"

    async def go() -> None:
        one, two = await register(url, keys=PRODUCTION_KEYS), await register(url, keys=PRODUCTION_KEYS)
        async with (
            calling(application(path, PRODUCTION)) as caller,
            calling(application(path, PRODUCTION)) as elsewhere,
        ):
            token = await token_of(caller, one)
            for each in (caller, elsewhere):
                assert (await each.get("/metrics", headers=bearer(token))).status_code == 200
            for known, text in ((two, token), (one, "junk"), (one, token + "x")):
                answer = await caller.post("/oauth/revoke", data={"token": text}, headers=known.basic)
                assert (answer.status_code, answer.content) == (200, b"")
            assert (await inspect(caller, two, token))["active"] is True  # it has ops:read
            answer = await caller.post("/oauth/revoke", data={"token": token}, headers=one.basic)
            assert answer.status_code == 200
            assert (await caller.get("/metrics", headers=bearer(token))).status_code == 401
            assert await inspect(caller, one, token) == {"active": False}
            await refused_soon(elsewhere, token)
            again = await caller.post("/oauth/revoke", data={"token": token}, headers=one.basic)
            assert again.status_code == 200

    run(go())


async def refused_soon(caller: httpx2.AsyncClient, token: str) -> None:
    """Polls with a deadline far beyond the promise: how long it took is for a quiet machine to measure."""
    deadline = time.monotonic() + 15
    while (await caller.get("/metrics", headers=bearer(token))).status_code != 401:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_a_disabled_client_is_out(tmp_path: Path) -> None:
    """A disabled client gets no token, and those that it has are refused."""
    path = new_database(tmp_path)
    url = f"sqlite:///{path}"

    async def go() -> None:
        known = await register(url, keys=PRODUCTION_KEYS)
        async with calling(application(path, PRODUCTION)) as caller:
            token = await token_of(caller, known)
            assert (await caller.get("/metrics", headers=bearer(token))).status_code == 200
            await with_clients(url, lambda clients: clients.disable(known.client_id))
            await refused_soon(caller, token)
            assert (await ask_token(caller, known)).status_code == 401

    run(go())


def test_a_client_sees_its_own_tokens_only(database_path: Path) -> None:
    """Introspection tells a client of its own tokens alone, unless it may read operations; and a stranger of
    none."""
    url = f"sqlite:///{database_path}"

    async def go() -> None:
        one, two = await register(url, ["catalog:write"]), await register(url, ["orders:read"])
        async with calling(application(database_path)) as caller:
            token = await token_of(caller, one)
            assert (await inspect(caller, one, token))["client_id"] == one.client_id
            assert await inspect(caller, two, token) == {"active": False}
            stranger = await caller.post("/oauth/introspect", data={"token": token})
            assert (stranger.status_code, stranger.json()["error"]) == (401, "invalid_client")
            missing = await caller.post("/oauth/introspect", data={"x": "y"}, headers=one.basic)
            assert (missing.status_code, missing.json()["error"]) == (400, "invalid_request")

    run(go())


def test_metadata_name_the_issuer_exactly(database_path: Path) -> None:
    """The metadata of RFC 8414 name the issuer as it was set, and every endpoint under it."""

    async def go() -> None:
        async with calling(application(database_path, PRODUCTION)) as caller:
            told = (await caller.get("/.well-known/oauth-authorization-server")).json()
        assert told["issuer"] == "https://shop.example"
        assert told["token_endpoint"] == "https://shop.example/oauth/token"
        assert told["grant_types_supported"] == ["client_credentials"]
        assert "catalog:write" in told["scopes_supported"]

    run(go())


def test_log_knows_a_token_by_its_digest() -> None:
    """What the log says of a refused token is the beginning of its SHA-256."""
    from farmlokal.oauth.resource_server import _name

    assert _name("token") == hashlib.sha256(b"token").hexdigest()[:8]
