"""The simulator as a server: who answers which path, and the control by which its behaviour is scripted.

`GET /control` tells what was asked so far; `PUT /control/<endpoint>` takes a list of behaviours for one of
`token`, `dummyjson`, `datagovin` and `shopify`; `POST /control/revoke` makes every token issued so far
worthless, and `POST /control/heal` makes all endpoints honest. `/` is a page with switches for the same.
"""

import ssl
from http import HTTPStatus
from typing import Any

import msgspec

from farmlokal.platform.clock import SystemClock
from farmlokal.suppliers.simulator.behaviour import Behaviour, Script
from farmlokal.suppliers.simulator.faults import FAULTS
from farmlokal.suppliers.simulator.goods import Goods, generated
from farmlokal.suppliers.simulator.page import PAGE
from farmlokal.suppliers.simulator.provider import OAuthProvider
from farmlokal.suppliers.simulator.supplier import PATHS, SimulatedSupplier
from farmlokal.suppliers.simulator.wire import Reply, Request, Send, WireServer

TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path

_steps = msgspec.json.Decoder(list[Behaviour])


class Simulator:
    """An OAuth provider, a supplier that wants its tokens, and a resource that only looks at them. Without
    `goods` they are generated."""

    def __init__(self, provider: OAuthProvider | None = None, goods: Goods | None = None) -> None:
        clock = SystemClock()
        self.provider = provider or OAuthProvider(clock)
        self.supplier = SimulatedSupplier(self.provider, clock, goods or generated(clock.today()))
        self.scripts: dict[str, Script] = {"token": self.provider.script, **self.supplier.scripts}
        self.canaries = 0
        """How many followed a redirect."""
        self.resources: dict[int, int] = {}
        """Answers of the resource by status."""
        self._server = WireServer(self._answer)

    async def start(self, port: int, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> int:
        """Listen; the port, which the system chooses for 0."""
        return await self._server.start(host, port, tls)

    async def stop(self) -> None:
        """End every connection."""
        await self._server.stop()

    async def _answer(self, request: Request) -> Reply | Send:
        match request.method, request.path:
            case "POST", "/oauth/token":
                return await self.provider.token(request)
            case "GET", "/resource":
                return self._resource(request)
            case _, "/canary":
                self.canaries += 1
                return Reply.json({})
            case "GET", "/healthz":
                return Reply.json({"status": "ok"})
            case "GET", "/":
                return Reply(PAGE.encode(), headers=(("content-type", "text/html; charset=utf-8"),))
            case "GET", path if path in PATHS:
                return await self.supplier.answer(request)
        if request.path == "/control" or request.path.startswith("/control/"):
            return self._control(request)
        return Reply.json({"error": "not found"}, HTTPStatus.NOT_FOUND)

    def _resource(self, request: Request) -> Reply:
        status = HTTPStatus.OK if self.provider.accepts(request) else HTTPStatus.UNAUTHORIZED
        self.resources[status] = self.resources.get(status, 0) + 1
        if status == HTTPStatus.OK:
            return Reply.json({"status": "ok"})
        return Reply.json({}, status, ("www-authenticate", 'Bearer error="invalid_token"'))

    def _control(self, request: Request) -> Reply:
        what = request.path.removeprefix("/control").removeprefix("/")
        match request.method, what:
            case "GET", "":
                pass
            case "PUT", name if name in self.scripts:
                try:
                    self.scripts[name].play(_steps.decode(request.body))
                except msgspec.MsgspecError as error:
                    return Reply.json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
            case "POST", "revoke":
                self.provider.revoke()
            case "POST", "heal":
                for script in self.scripts.values():
                    script.play([])
            case _:
                return Reply.json({"error": "not allowed"}, HTTPStatus.METHOD_NOT_ALLOWED)
        return Reply.json(self._told())

    def _told(self) -> dict[str, Any]:
        """What was asked so far, and what may be chosen."""
        provider, supplier = self.provider, self.supplier
        return {
            "token": {
                "calls": len(provider.calls) + provider.in_flight,
                "inFlight": provider.in_flight,
                "mostInFlight": provider.most_in_flight,
                "issued": len(provider.issued),
                "byBehaviour": provider.script.counts,
            },
            "supplier": {
                "calls": len(supplier.calls),
                "inFlight": supplier.in_flight,
                "mostInFlight": supplier.most_in_flight,
                "refusedTokens": supplier.refused,
                "byBehaviour": {name: script.counts for name, script in supplier.scripts.items()},
            },
            "resource": {str(status): count for status, count in self.resources.items()},
            "canaries": self.canaries,
            "endpoints": [*self.scripts],
            "faults": [*FAULTS],
        }
