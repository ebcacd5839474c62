"""Programs that other people wrote get tokens from a running server, and nothing that is secret gets out."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from oauthlib.oauth2 import BackendApplicationClient, InvalidClientError
from requests_oauthlib import OAuth2Session

from tests.support.catalogue import new_database
from tests.support.server import Server, command, environment, serving

KEY = "canary-secret-key-0123456789abcdefghijklmnop"
WEBHOOK = "canary-webhook-secret-0123456789"
SETTINGS = {
    "FARMLOKAL_PROFILE": "production",
    "FARMLOKAL_PUBLIC_URL": "https://shop.example",
    "FARMLOKAL_SECRET_KEY": KEY,
    "FARMLOKAL_WEBHOOK_SECRETS": WEBHOOK,
    "FARMLOKAL_LOG_LEVEL": "debug",
}


class Shop(NamedTuple):
    """A running server, its address, and a client of it."""

    server: Server
    database: Path
    url: str
    client_id: str
    secret: str


def farmlokal(database: Path, *arguments: str) -> dict[str, str]:
    """What a command prints as name=value."""
    done = subprocess.run(
        command(*arguments),
        env=environment(database, SETTINGS),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pairs = (line.partition("=") for line in done.stdout.splitlines())
    return {name: value.strip("'") for name, _, value in pairs}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One for this module."""
    folder = tmp_path_factory.mktemp("oauth")
    database = new_database(folder)
    with serving(database, folder / "server.log", SETTINGS) as server:
        # Registered while the server runs, and known to it at once.
        made = farmlokal(database, "clients", "create", "A shop", "--scope", "ops:read catalog:write")
        url = f"http://127.0.0.1:{server.port}"
        yield Shop(server, database, url, made["client_id"], made["client_secret"])


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_gets_a_token_and_uses_it(shop: Shop, method: str) -> None:
    """Authlib's client gets a token in either way, calls with it, introspects it, and revokes it."""
    with AuthlibSession(
        shop.client_id, shop.secret, scope="ops:read", token_endpoint_auth_method=method
    ) as session:
        token = session.fetch_token(f"{shop.url}/oauth/token", grant_type="client_credentials")
        assert token["scope"] == "ops:read"
        assert session.get(f"{shop.url}/metrics").status_code == 200
        seen = session.introspect_token(f"{shop.url}/oauth/introspect", token["access_token"])
        assert seen.json()["active"] is True
        assert session.revoke_token(f"{shop.url}/oauth/revoke", token["access_token"]).status_code == 200
        assert session.get(f"{shop.url}/metrics").status_code == 401


def test_requests_oauthlib_gets_a_token_and_uses_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests-OAuthlib gets a token and calls with it; a wrong secret is to it what it should be."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # loopback
    client = BackendApplicationClient(shop.client_id, scope=["ops:read"])
    with OAuth2Session(client=client) as session:
        token = session.fetch_token(f"{shop.url}/oauth/token", client_secret=shop.secret)
        assert token["scope"] == ["ops:read"]
        assert session.get(f"{shop.url}/metrics").status_code == 200
    with (
        OAuth2Session(client=BackendApplicationClient(shop.client_id)) as session,
        pytest.raises(InvalidClientError),
    ):
        session.fetch_token(f"{shop.url}/oauth/token", client_secret="wrong")


def test_secrets_are_rotated_and_clients_disabled_from_the_command_line(shop: Shop) -> None:
    """A rotated secret opens beside the one before; a disabled client is out; the list tells no secret."""
    made = farmlokal(shop.database, "clients", "create", "Another", "--scope", "orders:read")
    new = farmlokal(shop.database, "clients", "rotate", made["client_id"])

    def asks(secret: str) -> int:
        answer = requests.post(
            f"{shop.url}/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=(made["client_id"], secret),
            timeout=20,
        )
        return answer.status_code

    secrets = (made["client_secret"], new["client_secret"])
    assert [asks(secret) for secret in secrets] == [200, 200]
    listed = "".join(farmlokal(shop.database, "clients", "list"))
    assert made["client_id"] in listed
    assert not [secret for secret in secrets if secret in listed]
    farmlokal(shop.database, "clients", "disable", made["client_id"])
    deadline = time.monotonic() + 15  # a second is promised; the rest is for a busy machine
    while [asks(secret) for secret in secrets] != [401, 401]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_nothing_secret_gets_out(shop: Shop) -> None:
    """The client's secret, tokens, the secret key and the webhook secret are in no log at level debug, in no
    metric, in no refusal and in no process's arguments."""
    url, form = f"{shop.url}/oauth/token", {"grant_type": "client_credentials"}
    token = requests.post(url, data=form, auth=(shop.client_id, shop.secret), timeout=20).json()[
        "access_token"
    ]
    bearer = {"authorization": f"Bearer {token}"}
    wrong = {"authorization": f"Bearer {token}x"}
    told = [
        requests.get(f"{shop.url}/metrics", headers=bearer, timeout=20),
        requests.get(f"{shop.url}/metrics", headers=wrong, timeout=20),
        requests.get(f"{shop.url}/api/products", params={"token": token, "key": KEY}, timeout=20),
        requests.post(url, data=form, auth=(shop.secret, shop.client_id), timeout=20),
        requests.post(url, data={**form, "client_secret": shop.secret, "client_id": "x"}, timeout=20),
        requests.post(url, params={"client_secret": shop.secret}, data=form, timeout=20),
        requests.post(f"{shop.url}/oauth/introspect", data={"token": token}, timeout=20),
        requests.get(f"{shop.url}/.well-known/jwks.json", timeout=20),
    ]
    assert [answer.status_code for answer in told] == [200, 401, 400, 401, 401, 400, 401, 200]
    texts = {f"answer {number}": answer.text + str(answer.headers) for number, answer in enumerate(told)}
    texts["log"] = shop.server.log.read_text(encoding="utf-8")
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            texts[str(path)] = path.read_bytes().decode(errors="replace")
        except OSError:
            continue  # it has ended
    assert "token issued" in texts["log"]
    canaries = [shop.secret, token, token.rpartition(".")[2], KEY, WEBHOOK]
    assert not [(where, canary) for where, text in texts.items() for canary in canaries if canary in text]
