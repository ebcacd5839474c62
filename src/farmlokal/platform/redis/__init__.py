"""Redis or Valkey: bounded connections, and a guard that makes a sick server cost nothing.

Whoever uses it needs three names: `RedisConnections`, `Script` and `RedisUnavailable`. What Redis holds must
be such that the program is right without it: it may be down, empty or full at any moment.
"""

from farmlokal.platform.redis.connections import (
    RedisConnections,
    RedisRefused,
    RedisUnavailable,
    Script,
)
from farmlokal.platform.redis.guard import RedisState

__all__ = ["RedisConnections", "RedisRefused", "RedisState", "RedisUnavailable", "Script"]
