"""Clients of the authorization server: registered as an operator would, and asking as a program would."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import httpx2

from farmlokal.oauth.clients import Clients
from farmlokal.oauth.repository import OAuthRepository
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database import database_at
from farmlokal.settings import DEVELOPMENT_SECRET_KEY

SECRET_KEYS = (DEVELOPMENT_SECRET_KEY.encode(),)


PRODUCTION_KEY = "0123456789abcdefghijklmnopqrstuvwxyz"
PRODUCTION = {
    "FARMLOKAL_PROFILE": "production",
    "FARMLOKAL_PUBLIC_URL": "https://shop.example",
    "FARMLOKAL_SECRET_KEY": PRODUCTION_KEY,
    "FARMLOKAL_WEBHOOK_SECRETS": PRODUCTION_KEY,
}
"""Settings under which some routes need a token, and the keys of their clients."""
PRODUCTION_KEYS = (PRODUCTION_KEY.encode(),)


class Known(NamedTuple):
    """A registered client and its secret."""

    client_id: str
    secret: str

    @property
    def basic(self) -> dict[str, str]:
        """The header of one that encodes as it should."""
        return basic(quote_plus(self.client_id), quote_plus(self.secret))


def basic(client_id: str, secret: str) -> dict[str, str]:
    """The header with these two as they are."""
    return {"authorization": "Basic " + b64encode(f"{client_id}:{secret}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    """The header with a token."""
    return {"authorization": f"Bearer {token}"}


async def with_clients(url: str, work: Any, keys: Sequence[bytes] = SECRET_KEYS) -> Any:
    """What `work` makes of the clients of a database."""
    database = database_at(url, 2)
    await database.open()
    try:
        return await work(Clients(OAuthRepository(database), keys, SystemClock()))
    finally:
        await database.close()


async def register(
    url: str,
    scopes: Sequence[str] = ("catalog:write", "ops:read"),
    keys: Sequence[bytes] = SECRET_KEYS,
    **more: Any,
) -> Known:
    """A new client."""

    async def work(clients: Clients) -> Known:
        client, secret = await clients.create("a client", scopes, **more)
        return Known(client.client_id, secret)

    known: Known = await with_clients(url, work, keys)
    return known


async def ask_token(
    caller: httpx2.AsyncClient, known: Known, form: Mapping[str, str] | None = None
) -> httpx2.Response:
    """The answer to a request for a token."""
    data = {"grant_type": "client_credentials", **(form or {})}
    return await caller.post("/oauth/token", data=data, headers=known.basic)


async def token_of(caller: httpx2.AsyncClient, known: Known, scope: str | None = None) -> str:
    """A new token."""
    answer = await ask_token(caller, known, {"scope": scope} if scope else {})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])
