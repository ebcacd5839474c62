"""Secrets are replaced while their holders go on, and then the old ones open nothing."""

import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.support import orders
from tests.support.asgi import furnish
from tests.support.catalogue import Shelf, connect, new_database
from tests.support.server import command, environment, serving

OLD = "the-old-key-0123456789abcdefghijklmnop"
NEW = "a-new-key-zyxwvutsrqponmlkjihgfedcba98"


class Place:
    """A production server's database and its files of secrets."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.database = folder, new_database(folder)
        self._files = {
            f"FARMLOKAL_{name}_FILE": folder / name.lower() for name in ("SECRET_KEY", "WEBHOOK_SECRETS")
        }
        self.settings = {
            "FARMLOKAL_PROFILE": "production",
            "FARMLOKAL_PUBLIC_URL": "https://shop.example",
            **{name: str(path) for name, path in self._files.items()},
        }

    def write(self, secrets: str) -> None:
        """Both files, which a server reads when it starts."""
        for path in self._files.values():
            path.write_text(secrets)

    def run(self, *arguments: str) -> dict[str, str]:
        """What a command prints as name=value."""
        done = subprocess.run(
            command(*arguments), env=environment(self.database, self.settings),
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        pairs = (line.partition("=") for line in done.stdout.splitlines())
        return {name: value.strip("'") for name, _, value in pairs}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """With some products."""
    place = Place(tmp_path)
    place.write(OLD)
    with closing(connect(place.database)) as connection:
        furnish(Shelf(connection))
    return place


def next_cursor(url: str) -> str:
    """Where the second page begins."""
    return str(requests.get(f"{url}/api/products?limit=5", timeout=20).json()["nextCursor"])


def page(url: str, cursor: str) -> int:
    """Whether a cursor leads on."""
    parameters = {"limit": "5", "cursor": cursor}
    return requests.get(f"{url}/api/products", parameters, timeout=20).status_code


def token(url: str, client: dict[str, str]) -> requests.Response:
    """What a client gets for its secret."""
    grant = {"grant_type": "client_credentials"}
    login = (client["client_id"], client["client_secret"])
    return requests.post(f"{url}/oauth/token", grant, auth=login, timeout=20)


def metrics(url: str, answer: requests.Response) -> int:
    """What its token opens."""
    headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
    return requests.get(f"{url}/metrics", headers=headers, timeout=20).status_code


def test_the_secret_key_is_replaced_in_three_rounds(place: Place) -> None:
    """First every instance learns the new key, then signs with it; cursors, tokens and clients go on at all
    of them. Once clients and signing keys are new ones the old key goes, and what it made opens nothing."""
    with serving(place.database, place.folder / "old.log", place.settings) as server:
        url = f"http://127.0.0.1:{server.port}"
        before = place.run("clients", "create", "Ops", "--scope", "ops:read")
        old_token, old_cursor = token(url, before), next_cursor(url)
    place.write(f"{OLD},{NEW}")
    with serving(place.database, place.folder / "learnt.log", place.settings) as behind:
        place.write(f"{NEW},{OLD}")
        with serving(place.database, place.folder / "signs.log", place.settings) as ahead:
            urls = [f"http://127.0.0.1:{server.port}" for server in (behind, ahead)]
            new_cursor = next_cursor(urls[1])
            after = {**before, **place.run("clients", "rotate", before["client_id"])}
            for url in urls:
                assert [page(url, cursor) for cursor in (old_cursor, new_cursor)] == [200, 200]
                for answer in (old_token, token(urls[1], after), token(urls[0], before)):
                    assert metrics(url, answer) == 200
            place.run("keys", "rotate", "--at-once")
    place.write(NEW)
    with serving(place.database, place.folder / "new.log", place.settings) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert page(url, new_cursor) == 200
        assert metrics(url, token(url, after)) == 200
        assert page(url, old_cursor) == 400
        assert metrics(url, old_token) == 401
        assert token(url, before).status_code == 401


def test_a_secret_key_that_leaked_is_replaced_at_once(place: Place) -> None:
    """With the new key alone nothing that was made under the old one opens; new secrets of clients do."""
    with serving(place.database, place.folder / "old.log", place.settings) as server:
        url = f"http://127.0.0.1:{server.port}"
        before = place.run("clients", "create", "Ops", "--scope", "ops:read")
        old_token, old_cursor = token(url, before), next_cursor(url)
    place.write(NEW)
    place.run("keys", "rotate", "--at-once")
    with serving(place.database, place.folder / "new.log", place.settings) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert page(url, old_cursor) == 400
        assert metrics(url, old_token) == 401
        assert token(url, before).status_code == 401
        after = {**before, **place.run("clients", "rotate", before["client_id"])}
        assert metrics(url, token(url, after)) == 200


def test_the_secret_of_webhooks_is_replaced_in_two_restarts(place: Place) -> None:
    """While both secrets are listed a sender may sign with either; afterwards with the new one only."""
    taken = []
    for number, secrets in enumerate((OLD, f"{NEW},{OLD}", NEW)):
        place.write(secrets)
        with serving(place.database, place.folder / f"{number}.log", place.settings) as server:
            for secret in (OLD, NEW):
                content = orders.body(f"{number} {secret}")
                answer = requests.post(
                    f"http://127.0.0.1:{server.port}/webhook/order-update",
                    content,
                    headers=orders.signed(content, secret.encode()),
                    timeout=20,
                )
                taken.append(answer.status_code)
    assert taken == [200, 401, 200, 200, 401, 200]
