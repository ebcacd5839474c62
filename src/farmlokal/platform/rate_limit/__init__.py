"""Rate limiting: who may spend how much, exact in every window, over all instances.

`Limiter` is the port, `MemoryLimiter` serves one process, `RedisLimiter` all of them (docs/decisions/0011).
"""

from farmlokal.platform.rate_limit.law import Caller, Decision, Limiter, Policy
from farmlokal.platform.rate_limit.memory import MemoryLimiter
from farmlokal.platform.rate_limit.redis import RedisLimiter

__all__ = ["Caller", "Decision", "Limiter", "MemoryLimiter", "Policy", "RedisLimiter"]
