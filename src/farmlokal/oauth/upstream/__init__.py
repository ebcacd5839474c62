"""The upstream token: what we show to a supplier, got by client credentials (RFC 6749 §4.4) and shared by all
instances. One of them renews it early while the others go on with the old one (docs/decisions/0013).

`law.py` is the protocol as pure functions, which a model checker searches; `memory.py` keeps them in a
process, `redis.py` and `refresh.lua` in all of them; `source.py` is what features ask for a token.
"""

from farmlokal.oauth.upstream.law import Timing
from farmlokal.oauth.upstream.memory import MemoryTokenStore
from farmlokal.oauth.upstream.port import TokenStore
from farmlokal.oauth.upstream.provider import TokenEndpoint
from farmlokal.oauth.upstream.redis import RedisTokenStore
from farmlokal.oauth.upstream.source import TokenSource, TokenState
from farmlokal.oauth.upstream.token import NoGrant, TokenCounts, UpstreamToken

__all__ = [
    "MemoryTokenStore",
    "NoGrant",
    "RedisTokenStore",
    "Timing",
    "TokenCounts",
    "TokenEndpoint",
    "TokenSource",
    "TokenState",
    "TokenStore",
    "UpstreamToken",
]
