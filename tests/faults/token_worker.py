"""One instance that asks for the upstream token without pause, and writes down what it was given and when.

Run by `test_token_lives.py`: real source, real Redis, real HTTP, times short enough for a thousand lives.
"""

import asyncio
import json
import random
import sys
from pathlib import Path

from farmlokal.errors import Unavailable
from farmlokal.oauth.upstream import RedisTokenStore, TokenCounts, TokenEndpoint, TokenSource
from farmlokal.oauth.upstream.law import Timing
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.http_client import HttpClient
from farmlokal.platform.redis import RedisConnections
from farmlokal.suppliers.simulator import CLIENT_ID, CLIENT_SECRET

LIFE_S = 1.0
TIMES = Timing(
    call_s=0.5,
    lock_s=0.75,
    least_s=0.3,
    early_most_s=10.0,
    apart_s=0.1,
    most_wait_s=0.5,
    most_retry_after_s=1.0,
    refused_s=0.5,
    poll_s=0.02,
)
"""The times of the protocol, a tenth of what they are or less, and of a token."""

PAUSE_S = 0.01
KEY = b"0123456789abcdefghijklmnopqrstuvwxyz"


class WrongClock(SystemClock):
    """A time of day that jumps by up to an hour whenever it is read."""

    def now_us(self) -> int:
        """Anything."""
        return super().now_us() + random.randrange(-3_600_000_000, 3_600_000_000)


async def ask_without_end(redis_url: str, token_url: str, record: Path) -> None:
    """A line a token: an instant, the life that was left then, and whose it was."""
    clock, counts = WrongClock(), TokenCounts()
    redis = RedisConnections(redis_url, clock, call_limit_s=0.2)
    await redis.open()
    endpoint = TokenEndpoint(
        HttpClient(2), token_url, CLIENT_ID, CLIENT_SECRET, None, "client_secret_basic", TIMES
    )
    store = RedisTokenStore(redis, KEY, "provider", clock, counts, TIMES)
    source = TokenSource(endpoint, store, clock, counts, TIMES)
    await source.open()
    with record.open("a", buffering=1) as lines:
        while True:
            await asyncio.sleep(PAUSE_S)
            try:
                token = await source.get()
            except Unavailable:
                lines.write(json.dumps({"refused": clock.lived_s()}) + "\n")
                continue
            now_s = clock.lived_s()
            lines.write(json.dumps({"at": now_s, "left": token.left_s(now_s), "id": token.id}) + "\n")


if __name__ == "__main__":
    asyncio.run(ask_without_end(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
