"""Who may pass: the price of a request, the caller's quota, and the headers that tell of it
(draft-ietf-httpapi-ratelimit-headers-10).
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from farmlokal.errors import RateLimited
from farmlokal.platform.rate_limit import Caller, Decision, Limiter, Policy
from farmlokal.platform.web.peers import Peers

FREE = frozenset({"/healthz", "/readyz"})
"""Paths without a limit: a supervisor that is refused would restart a healthy process."""

FREE_BELOW = ("/webhook/", "/oauth/")
"""Callers who prove who they are: whoever cannot is charged after the fact (`charge`). Signed events are
never turned away; clients of `/oauth/` spend their own quota (`spend`)."""

Identify = Callable[[Any, Callable[[], Awaitable[None]]], Awaitable[Caller | None]]
"""Who sent a request, if a good token says so. Calls what it is given before it does work for a stranger."""

Headers = list[tuple[bytes, bytes]]
_DECIDED = "farmlokal.decided"


class Admission:
    """In front of the routes. `cost` gives the units of a path and its query, for each request; without
    `identify` all callers are addresses."""

    def __init__(
        self,
        limiter: Limiter,
        policy: Policy,
        peers: Peers,
        cost: Callable[[str, bytes], int],
        identify: Identify | None = None,
    ) -> None:
        self._identify = identify
        self._limiter = limiter
        self._peers = peers
        self._cost = cost
        self._name = policy.name
        self._policy = f'"{policy.name}";q={policy.requests};w={policy.window_s}'.encode()

    async def admit(self, scope: Any, headers: Headers) -> None:
        """Spend what the request costs, and add the headers for the answer, whatever it will be.

        Raises `RateLimited` when the caller's quota does not have it.
        """
        decided = scope.get(_DECIDED)
        if decided is not None:
            headers += self._told(decided)
            self._require(decided)
            return
        path: str = scope["path"]
        if path in FREE or path.startswith(FREE_BELOW):
            return
        caller = None
        if self._identify is not None:
            caller = await self._identify(scope, partial(self.require_quota, scope))
        await self._spend(caller or self._peers.caller(scope), self.cost(scope), headers)

    def cost(self, scope: Any) -> int:
        """Units that a request costs."""
        return self._cost(scope["path"], scope["query_string"])

    def admit_now(self, scope: Any, cost: int) -> Headers | None:
        """Spend for a caller without a token, where that needs no waiting; None says: `admit`."""
        decision = self._limiter.ask_now(self._peers.caller(scope), cost)
        return None if decision is None else self._told(decision)

    async def decide(self, scope: Any, cost: int) -> Headers | None:
        """The same, where it may need waiting. A refusal is noted in the scope for `admit`, which tells of it
        without asking again."""
        decision = await self._limiter.ask(self._peers.caller(scope), cost)
        if decision.admitted:
            return self._told(decision)
        scope[_DECIDED] = decision
        return None

    async def spend(self, caller: Caller, cost: int) -> Headers:
        """Spend from the quota of a caller who has proved who it is; the headers that tell of it.

        Raises `RateLimited`.
        """
        headers: Headers = []
        await self._spend(caller, cost, headers)
        return headers

    async def _spend(self, caller: Caller, cost: int, headers: Headers) -> None:
        decision = await self._limiter.ask(caller, cost)
        headers += self._told(decision)
        self._require(decision)

    async def require_quota(self, scope: Any) -> None:
        """Spend nothing, and raise `RateLimited` when the caller has nothing left: before a secret is checked
        on a path that is free."""
        self._require(await self._limiter.ask(self._peers.caller(scope), 0))

    async def charge(self, scope: Any, cost: int) -> None:
        """Take `cost` units from whoever sent this: a wrong password, a forged signature."""
        await self._limiter.charge(self._peers.caller(scope), cost)

    def _told(self, decision: Decision) -> Headers:
        told = f'"{self._name}";r={decision.remaining};t={decision.next_s}'
        return [(b"ratelimit-policy", self._policy), (b"ratelimit", told.encode())]

    def _require(self, decision: Decision) -> None:
        if not decision.admitted:
            raise RateLimited(
                f"The quota is spent; try again in {decision.retry_s} s.",
                retry_after_s=decision.retry_s,
                policy=self._name,
            )
