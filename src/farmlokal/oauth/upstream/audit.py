"""Who was given which token: a line at once, and then one a minute that counts.

A line for each request would cost as much as the rest of the request, and say the same thing a hundred times.
"""

from collections import OrderedDict
from dataclasses import dataclass

import structlog

from farmlokal.oauth.upstream.token import UpstreamToken
from farmlokal.platform.clock import SystemClock

EVERY_S = 60.0
"""How long further requests of one caller for one token are only counted."""

CALLERS = 10_000
"""Most callers that are known; of the one that was told of longest ago the next request is told at once."""


@dataclass(slots=True)
class _Told:
    token: str
    at_s: float
    more: int = 0


class Audit:
    """Writes to the log. What was only counted when the process ends is not told."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self._log = structlog.get_logger("farmlokal.oauth")
        self._told: OrderedDict[str, _Told] = OrderedDict()

    def given(self, token: UpstreamToken, to: str, left_s: int) -> None:
        """A caller was given a token."""
        told, now_s = self._told.get(to), self._clock.monotonic_s()
        if told is not None and told.token == token.id and now_s < told.at_s + EVERY_S:
            told.more += 1
            return
        since = told.more if told is not None else 0
        self._log.info(
            "upstream token given away", to=to, token_sha256=token.name, seconds_left=left_s, since_last=since
        )
        self._told[to] = _Told(token.id, now_s)
        self._told.move_to_end(to)
        if len(self._told) > CALLERS:
            self._told.popitem(last=False)
