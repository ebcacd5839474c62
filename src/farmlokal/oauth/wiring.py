"""The authorization server and the resource server, put together over one database."""

from collections.abc import Sequence
from typing import NamedTuple

from farmlokal.oauth.authorization_server import AuthorizationServer
from farmlokal.oauth.clients import Clients
from farmlokal.oauth.credentials import SecretDigests
from farmlokal.oauth.keys import KeyRing
from farmlokal.oauth.registry import Registry
from farmlokal.oauth.repository import OAuthRepository
from farmlokal.oauth.resource_server import ResourceServer
from farmlokal.oauth.seal import SIGNING_KEYS, Seal
from farmlokal.oauth.tokens import AccessTokens
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import Database


class Authorization(NamedTuple):
    """Who gives tokens, and who asks for them."""

    server: AuthorizationServer
    resources: ResourceServer


def authorization(
    database: Database, secret_keys: Sequence[bytes], issuer: str, clock: SystemClock
) -> Authorization:
    """Both, over one registry. Nothing happens before the server is opened."""
    repository, ring = OAuthRepository(database), KeyRing(Seal(secret_keys, SIGNING_KEYS))
    registry, tokens = Registry(repository, ring, clock), AccessTokens(issuer, ring)
    clients, digests = Clients(repository, secret_keys, clock), SecretDigests(secret_keys)
    server = AuthorizationServer(registry, repository, clients, digests, tokens, clock)
    return Authorization(server, ResourceServer(registry, tokens, clock))
