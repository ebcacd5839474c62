"""Nobody can make the authorization server fail by what they send; refusals have the standards' forms."""

import http.client
import os
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from tests.faults import malformed_tokens
from tests.faults.malformed_tokens import Malformed
from tests.support.catalogue import new_database, run
from tests.support.oauth import PRODUCTION, PRODUCTION_KEYS, Known, register
from tests.support.server import Answer, Server, serving

REQUESTS = int(os.environ.get("FARMLOKAL_TEST_MALFORMED_REQUESTS", "3000"))
"""`make malformed` sends 100,000."""

SEED = 20261125
WORDS = {"invalid_request", "invalid_client", "invalid_scope", "unsupported_grant_type"}


def ask(connection: http.client.HTTPConnection, request: Malformed) -> Answer:
    """One request, whose headers are sent as they are."""
    connection.putrequest(request.method, request.path)
    for name, value in (*request.headers, ("content-length", str(len(request.body)))):
        connection.putheader(name, value.encode("latin-1"))
    connection.endheaders(request.body)
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def complaint(request: Malformed, answer: Answer) -> str | None:
    """What is wrong with an answer."""
    body: Any = msgspec.json.decode(answer.body) if answer.body else None
    if answer.headers["cache-control"] != "no-store":
        return "may be stored"
    if request.path == "/metrics":
        challenge = answer.headers["www-authenticate"] or ""
        good = answer.status == 401 and challenge.startswith("Bearer ") and body["status"] == 401
        return None if good else "no challenge"
    if answer.status == 200:
        return None if request.path.split("?")[0] != "/oauth/token" or "access_token" in body else "no token"
    if answer.status == 401:
        good = body["error"] == "invalid_client" and answer.headers["www-authenticate"].startswith("Basic ")
        return None if good else "no challenge"
    if answer.status == 400:
        return None if body.keys() == {"error", "error_description"} and body["error"] in WORDS else "no word"
    return None if answer.status == 413 else "another status"


def token_from(server: Server, known: Known) -> str:
    """A good token."""
    headers = {**known.basic, "content-type": malformed_tokens.FORM}
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        connection.request("POST", "/oauth/token", b"grant_type=client_credentials", headers)
        token: str = msgspec.json.decode(connection.getresponse().read())["access_token"]
    return token


def test_malformed_requests_get_the_refusals_of_the_standards(tmp_path: Path) -> None:
    """Malformed requests for tokens, introspections, revocations and bearers get 200, 400, 401 or 413 in the
    form of RFC 6749, 7009, 7662 and 6750, never anything else, and a good token is as good afterwards."""
    database = new_database(tmp_path)
    known = run(register(f"sqlite:///{database}", keys=PRODUCTION_KEYS))
    more = PRODUCTION | {"FARMLOKAL_LOG_LEVEL": "warning"}
    seen: Counter[tuple[str, int]] = Counter()
    with serving(database, tmp_path / "server.log", more) as server:
        token = token_from(server, known)
        basic = known.basic["authorization"]
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
            for number, request in enumerate(malformed_tokens.requests(REQUESTS, SEED, token, basic)):
                answer = ask(connection, request)
                seen[request.path.split("?")[0], answer.status] += 1
                assert (wrong := complaint(request, answer)) is None, (number, wrong, request, answer)
        with server.caller() as caller:
            good = caller.ask("/metrics", {"authorization": f"Bearer {token_from(server, known)}"})
            assert good.status == 200
    sys.stdout.write(
        "".join(f"{count:>7} {path} {status}\n" for (path, status), count in sorted(seen.items()))
    )
    assert seen["/metrics", 401] > REQUESTS / 5
    assert seen["/oauth/token", 400] > 0
    assert seen["/oauth/token", 401] > 0
