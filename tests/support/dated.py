"""Redis whose scripts see the time of a test's clock."""

from collections.abc import Sequence
from typing import Any

from farmlokal.platform.clock import SystemClock
from farmlokal.platform.redis import RedisConnections, Script
from tests.support.clock import ManualClock
from tests.support.servers.valkey import PATIENT_S


class Dated(RedisConnections):
    """Connections whose scripts see the time of `clock`, and whose keys outlive the test."""

    def __init__(self, url: str, clock: ManualClock, call_limit_s: float = PATIENT_S) -> None:
        super().__init__(url, SystemClock(), call_limit_s)
        self.clock = clock

    async def run_script(self, script: Script, keys: Sequence[str], args: Sequence[Any] = ()) -> Any:
        """Run it in the clock's present."""
        text, now_us = script.text, self.clock.now_us()
        for old, new in (
            ("redis.call('TIME')", f"{{{now_us // 1_000_000}, {now_us % 1_000_000}}}"),
            ("'PEXPIRE', KEYS[1], ", "'PEXPIRE', KEYS[1], 600000 + "),
        ):
            assert text.count(old) == 1
            text = text.replace(old, new)
        return await self.execute("EVAL", text, len(keys), *keys, *args)
