"""How clients say who they are: a table of requests, and what the token endpoint answers to each."""

from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from farmlokal.oauth.clients import Clients
from farmlokal.oauth.credentials import SecretDigests
from farmlokal.oauth.models import StoredSecret
from farmlokal.platform.database.port import Transaction
from tests.support.asgi import application, calling
from tests.support.catalogue import run
from tests.support.oauth import SECRET_KEYS, basic, register, with_clients

SPECIAL = "foo — bar! +<&>*"
"""An id and a secret that only who encodes them can send (a case of Hydra's)."""

FORM = {"content-type": "application/x-www-form-urlencoded"}
GRANT = "grant_type=client_credentials"


def encoded(header: str) -> dict[str, str]:
    """A Basic header of these bytes."""
    return {"authorization": "Basic " + b64encode(header.encode()).decode()}


def form(**fields: str) -> str:
    """A body of these fields, after the grant."""
    return "&".join([GRANT, *(f"{name}={quote_plus(value)}" for name, value in fields.items())])


ID, SECRET = "shop", "s3cret"
OK = basic(ID, SECRET)
BOTH = form(client_id=ID, client_secret=SECRET)
REFUSED, MALFORMED = (401, "invalid_client"), (400, "invalid_request")
PLUS = quote_plus(SPECIAL)

CASES: dict[str, tuple[dict[str, str], str | bytes, str, tuple[int, str | None]]] = {
    # name: headers, body, query, (status, error)
    "basic": (OK, GRANT, "", (200, None)),
    "form": ({}, BOTH, "", (200, None)),
    "scheme in lower case": (
        {"authorization": OK["authorization"].replace("Basic", "basic")},
        GRANT,
        "",
        (200, None),
    ),
    "scheme in upper case": (
        {"authorization": OK["authorization"].replace("Basic", "BASIC")},
        GRANT,
        "",
        (200, None),
    ),
    "basic, and the same id in the form": (OK, form(client_id=ID), "", (200, None)),
    "basic with two spaces": (
        {"authorization": OK["authorization"].replace(" ", "  ")},
        GRANT,
        "",
        (200, None),
    ),
    "escapes in lower case": (basic("%73hop", SECRET), GRANT, "", (200, None)),
    "special, encoded": (basic(PLUS, PLUS), GRANT, "", (200, None)),
    "special, encoded with %20": (basic(PLUS.replace("+", "%20"), PLUS), GRANT, "", (200, None)),
    "special in the form": ({}, form(client_id=SPECIAL, client_secret=SPECIAL), "", (200, None)),
    "special, not encoded": (basic(SPECIAL, SPECIAL), GRANT, "", REFUSED),
    "special, only the id encoded": (basic(PLUS, SPECIAL), GRANT, "", REFUSED),
    "special, encoded twice": (basic(quote_plus(PLUS), quote_plus(PLUS)), GRANT, "", REFUSED),
    "a colon in the secret, encoded": (basic("colon", "a%3Ab"), GRANT, "", (200, None)),
    "a colon in the secret, as it is": (basic("colon", "a:b"), GRANT, "", (200, None)),
    "a field of its own": (OK, form(audience="x"), "", (200, None)),
    "a field without a value": (OK, GRANT + "&scope=", "", (200, None)),
    "charset in the type": (
        OK | {"content-type": FORM["content-type"] + "; charset=utf-8"},
        GRANT,
        "",
        (200, None),
    ),
    "an empty pair": (OK, GRANT + "&&", "", (200, None)),
    "a scope": (OK, form(scope="ops:read"), "", (200, None)),
    "wrong secret": (basic(ID, "wrong"), GRANT, "", REFUSED),
    "unknown client": (basic("nobody", SECRET), GRANT, "", REFUSED),
    "wrong secret in the form": ({}, form(client_id=ID, client_secret="wrong"), "", REFUSED),
    "unknown client in the form": ({}, form(client_id="nobody", client_secret=SECRET), "", REFUSED),
    "no credentials": ({}, GRANT, "", REFUSED),
    "id alone": ({}, form(client_id=ID), "", REFUSED),
    "secret alone": ({}, form(client_secret=SECRET), "", REFUSED),
    "empty secret": (basic(ID, ""), GRANT, "", REFUSED),
    "empty secret in the form": ({}, GRANT + "&client_id=shop&client_secret=", "", REFUSED),
    "empty id": (basic("", SECRET), GRANT, "", REFUSED),
    "no colon": (encoded("shops3cret"), GRANT, "", REFUSED),
    "not base64": ({"authorization": "Basic ***"}, GRANT, "", REFUSED),
    "base64 with junk": ({"authorization": OK["authorization"][:-3] + "\t!=="}, GRANT, "", REFUSED),
    "base64url": ({"authorization": "Basic c2hvcDpzM2NyZXQ-_w=="}, GRANT, "", REFUSED),
    "not UTF-8": ({"authorization": "Basic " + b64encode(b"shop:\xff").decode()}, GRANT, "", REFUSED),
    "escape cut short": (basic(ID, "s3cret%2"), GRANT, "", REFUSED),
    "NUL in the secret": (basic(ID, "s3cret%00"), GRANT, "", REFUSED),
    "a space after the secret": (basic(ID, SECRET + "+"), GRANT, "", REFUSED),
    "id in other case": (basic("SHOP", SECRET), GRANT, "", REFUSED),
    "another scheme": ({"authorization": "Bearer " + SECRET}, GRANT, "", REFUSED),
    "empty header": ({"authorization": ""}, GRANT, "", REFUSED),
    "line break in the id": (basic("shop%0D%0Ax: y", SECRET), GRANT, "", REFUSED),
    "both ways": (OK, BOTH, "", MALFORMED),
    "basic and a secret in the form": (OK, form(client_secret=SECRET), "", MALFORMED),
    "basic and an assertion": (OK, form(client_assertion="x"), "", MALFORMED),
    "two ids": (OK, form(client_id="other"), "", MALFORMED),
    "secret in the query": ({}, GRANT, f"client_id={ID}&client_secret={SECRET}", MALFORMED),
    "grant in the query": (OK, "", GRANT, MALFORMED),
    "repeated field": (OK, GRANT + "&" + GRANT, "", MALFORMED),
    "repeated id": ({}, BOTH + "&client_id=shop", "", MALFORMED),
    "JSON": (OK | {"content-type": "application/json"}, '{"grant_type":"client_credentials"}', "", MALFORMED),
    "multipart": (OK | {"content-type": "multipart/form-data; boundary=x"}, "--x--", "", MALFORMED),
    "no type": (OK | {"content-type": ""}, GRANT, "", MALFORMED),
    "body not UTF-8": (OK, GRANT.encode() + b"&x=%ff", "", MALFORMED),
    "body with a wrong escape": (OK, GRANT + "&x=%zz", "", MALFORMED),
    "too many fields": (OK, "&".join(f"f{number}=1" for number in range(33)), "", MALFORMED),
    "no grant": (OK, "", "", MALFORMED),
    "another grant": (OK, "grant_type=password", "", (400, "unsupported_grant_type")),
    "refresh": (OK, "grant_type=refresh_token&refresh_token=x", "", (400, "unsupported_grant_type")),
    "grant in other case": (OK, "grant_type=Client_Credentials", "", (400, "unsupported_grant_type")),
    "a scope too many": (OK, form(scope="ops:read orders:read"), "", (400, "invalid_scope")),
    "an unknown scope": (OK, form(scope="everything"), "", (400, "invalid_scope")),
    "a scope of two spaces": (OK, form(scope="ops:read  catalog:write"), "", (400, "invalid_scope")),
    "a scope with a quote": (OK, form(scope='"'), "", (400, "invalid_scope")),
    "unknown client, another grant": (basic("nobody", "x"), "grant_type=password", "", REFUSED),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The answer to each case, asked of one application."""
    from tests.support.catalogue import new_database

    return run(_ask_all(new_database(tmp_path_factory.mktemp("clients"))))


async def _ask_all(path: Path) -> dict[str, Any]:
    url = f"sqlite:///{path}"
    await with_clients(url, _with_chosen_secrets)
    found = {}
    async with calling(application(path)) as caller:
        for name, (headers, body, query, _) in CASES.items():
            given = {**FORM, **headers}
            raw = [(key.encode(), value.encode("latin-1")) for key, value in given.items()]
            content = body if isinstance(body, bytes) else body.encode()
            found[name] = await caller.post(f"/oauth/token?{query}", content=content, headers=raw)
    return found


async def _with_chosen_secrets(clients: Clients) -> None:
    """Clients whose secrets somebody chose, which no command of ours would let anyone do."""
    repository, digests = clients._repository, SecretDigests(SECRET_KEYS)
    for client_id, secret in ((ID, SECRET), (SPECIAL, SPECIAL), ("colon", "a:b")):
        await clients.create("chosen", ["catalog:write", "ops:read"], client_id=client_id)

        async def work(tx: Transaction, client_id: str = client_id, secret: str = secret) -> None:
            await repository.insert_secret(tx, client_id, StoredSecret(digests.digest(secret), 1, None))

        await repository.change(work, 1)


@pytest.mark.parametrize("name", CASES)
def test_each_way_of_authenticating(answers: dict[str, Any], name: str) -> None:
    """Each way of authenticating gets the status and the word that RFC 6749 has for it, is never stored, and
    nothing of what was sent comes back."""
    status, error = CASES[name][3]
    answer = answers[name]
    assert (answer.status_code, answer.json().get("error")) == (status, error), answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    assert answer.headers["content-type"] == "application/json"
    challenge = answer.headers.get("www-authenticate")
    assert challenge == ('Basic realm="farmlokal"' if status == 401 else None)
    if status == 200:
        assert answer.json().keys() == {"access_token", "token_type", "expires_in", "scope"}
    else:
        assert answer.json().keys() == {"error", "error_description"}
        assert all(
            0x20 <= ord(each) <= 0x7E and each not in '"\\' for each in answer.json()["error_description"]
        )


def test_the_table_is_large() -> None:
    """Over forty ways of authenticating are known to be answered right."""
    assert len(CASES) >= 40


def test_unknown_client_and_wrong_secret_are_told_the_same(answers: dict[str, Any]) -> None:
    """Nobody learns from a refusal whether a client exists: its bytes and its headers are the same."""
    wrong, unknown = answers["wrong secret"], answers["unknown client"]
    assert wrong.content == unknown.content
    assert wrong.headers.keys() == unknown.headers.keys()
    assert len({len(str(wrong.headers)), len(str(unknown.headers))}) == 1


def test_other_methods_are_refused(database_path: Path) -> None:
    """Tokens are given to POST alone: 405 names it."""

    async def go() -> None:
        async with calling(application(database_path)) as caller:
            for path in ("/oauth/token", "/oauth/introspect", "/oauth/revoke"):
                answer = await caller.get(path)
                assert (answer.status_code, answer.headers["allow"]) == (405, "POST")

    run(go())


def test_a_body_that_is_too_large_is_not_read(database_path: Path) -> None:
    """A form over its bound is refused with 413, whether or not its length was said before."""

    async def chunks() -> Any:
        for _ in range(10):
            yield b"x" * 1024

    async def go() -> None:
        async with calling(application(database_path)) as caller:
            for content in (b"x" * 9000, chunks()):
                answer = await caller.post("/oauth/token", content=content, headers=FORM)
                assert answer.status_code == 413

    run(go())


def test_failed_logins_are_limited_by_address_and_clients_by_themselves(database_path: Path) -> None:
    """Failed logins spend the quota of the address alone; a known client spends its own, and is told so."""
    url = f"sqlite:///{database_path}"

    async def go() -> None:
        one, two = await register(url), await register(url)
        limited = application(database_path, {"FARMLOKAL_RATE_LIMIT": "5/86400s;burst=5"})
        async with calling(limited) as caller:
            asks = [
                caller.post("/oauth/token", data={"grant_type": "client_credentials"}, headers=one.basic)
                for _ in range(7)
            ]
            statuses = [(await each).status_code for each in asks]
            assert statuses == [200] * 5 + [429] * 2
            answer = await caller.post(
                "/oauth/token", data={"grant_type": "client_credentials"}, headers=two.basic
            )
            assert answer.status_code == 200  # one client's flood is not another's
            assert answer.headers["ratelimit"].startswith('"default";r=4')
            wrong = [
                (await caller.post("/oauth/token", headers=basic("x", str(number)) | FORM)).status_code
                for number in range(7)
            ]
            assert wrong == [401] * 5 + [429] * 2
            assert (await caller.get("/api/categories")).status_code == 429  # it is the address's one quota

    run(go())
