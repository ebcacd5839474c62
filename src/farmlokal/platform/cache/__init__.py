"""A read-through cache whose entries are right until the data changes, not until a time has passed.

Each entry carries the generation of the data that was read *before* the entry was loaded; the generation
goes up with every write. So a value that is stored late, by whomever, is never served: its generation is
not the current one (docs/decisions/0010). Two adapters of one port: `MemoryCache` keeps what this process
loaded, `RedisCache` is that with Redis behind it, where instances share what they load.
"""

from farmlokal.platform.cache.generations import Generations
from farmlokal.platform.cache.memory import MemoryCache
from farmlokal.platform.cache.port import Cache, CacheCounts, Codec, Found, Load, Loaded, Outcome
from farmlokal.platform.cache.shared import RedisCache

__all__ = [
    "Cache",
    "CacheCounts",
    "Codec",
    "Found",
    "Generations",
    "Load",
    "Loaded",
    "MemoryCache",
    "Outcome",
    "RedisCache",
]
