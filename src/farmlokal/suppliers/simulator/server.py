"""The simulator as a server: who answers which path, and the control by which its behaviour is scripted.

`GET /control` tells what was asked so far; `PUT /control/token` takes a list of behaviours for the token
endpoint, `POST /control/revoke` makes every token issued so far worthless at the resource.
"""

from http import HTTPStatus

import msgspec

from farmlokal.platform.clock import SystemClock
from farmlokal.suppliers.simulator.behaviour import Behaviour
from farmlokal.suppliers.simulator.provider import OAuthProvider
from farmlokal.suppliers.simulator.wire import Reply, Request, Send, WireServer

TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path

_steps = msgspec.json.Decoder(list[Behaviour])


class Simulator:
    """An OAuth provider and a resource that wants its tokens."""

    def __init__(self, provider: OAuthProvider | None = None) -> None:
        self.provider = provider or OAuthProvider(SystemClock())
        self.canaries = 0
        """How many followed a redirect."""
        self.resources: dict[int, int] = {}
        """Answers of the resource by status."""
        self._server = WireServer(self._answer)

    async def start(self, port: int, host: str = "127.0.0.1") -> int:
        """Listen; the port, which the system chooses for 0."""
        return await self._server.start(host, port)

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
            case _, "/control" | "/control/token" | "/control/revoke":
                return self._control(request)
        return Reply.json({"error": "not found"}, HTTPStatus.NOT_FOUND)

    def _resource(self, request: Request) -> Reply:
        status = HTTPStatus.OK if self.provider.accepts(request) else HTTPStatus.UNAUTHORIZED
        self.resources[status] = self.resources.get(status, 0) + 1
        if status == HTTPStatus.OK:
            return Reply.json({"status": "ok"})
        return Reply.json({}, status, ("www-authenticate", 'Bearer error="invalid_token"'))

    def _control(self, request: Request) -> Reply:
        if request.method == "PUT" and request.path == "/control/token":
            try:
                self.provider.script.play(_steps.decode(request.body))
            except msgspec.MsgspecError as error:
                return Reply.json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        elif request.method == "POST" and request.path == "/control/revoke":
            self.provider.revoke()
        elif request.method != "GET" or request.path != "/control":
            return Reply.json({"error": "not allowed"}, HTTPStatus.METHOD_NOT_ALLOWED)
        return Reply.json(
            {
                "token": {
                    "calls": len(self.provider.calls) + self.provider.in_flight,
                    "inFlight": self.provider.in_flight,
                    "mostInFlight": self.provider.most_in_flight,
                    "issued": len(self.provider.issued),
                    "byBehaviour": self.provider.script.counts,
                },
                "resource": {str(status): count for status, count in self.resources.items()},
                "canaries": self.canaries,
            }
        )
