"""The OAuth provider: client credentials (RFC 6749 §4.4), tokens that it can tell the life of, counted
calls."""

import base64
import binascii
import secrets
from collections import OrderedDict
from typing import NamedTuple
from urllib.parse import unquote_plus

from farmlokal.platform.clock import SystemClock
from farmlokal.suppliers.simulator.behaviour import Script, spoiled
from farmlokal.suppliers.simulator.wire import Reply, Request, Send

CLIENT_ID = "farmlokal-development"
CLIENT_SECRET = "a-secret-known-to-everyone"  # noqa: S105 - public on purpose, like the development key
"""What the simulated provider knows us by."""

KEPT = 100_000
"""Most tokens and calls that are remembered, the latest."""


class Issued(NamedTuple):
    """A token: the scope asked for, and the instants (seconds) of its issue and its end."""

    scope: str
    issued_s: float
    ends_s: float


class Call(NamedTuple):
    """One call of the token endpoint: when it came, when it was answered, how the client authenticated."""

    came_s: float
    left_s: float
    method: str


class OAuthProvider:
    """Knows one client. Every instant is of `clock.lived_s`."""

    def __init__(
        self, clock: SystemClock, client_id: str = CLIENT_ID, client_secret: str = CLIENT_SECRET
    ) -> None:
        self._clock = clock
        self._client = (client_id, client_secret)
        self.script = Script(clock)
        self.issued: OrderedDict[str, Issued] = OrderedDict()
        self.calls: list[Call] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self._refused: set[str] = set()

    async def token(self, request: Request) -> Reply | Send:
        """POST /oauth/token. A token's life begins when it is issued, not when its answer arrives."""
        came_s = self._clock.lived_s()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        method = "none"
        try:
            step = self.script.next()
            method, refusal = self._authenticated(request)
            reply = refusal or self._issue(dict(request.form()), step.life_s, step.members, step.without)
            return await spoiled(step, reply)
        finally:
            self.in_flight -= 1
            if len(self.calls) < KEPT:
                self.calls.append(Call(came_s, self._clock.lived_s(), method))

    def accepts(self, request: Request) -> bool:
        """Whether a request for a resource carries a token that lives and was not revoked."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        issued = self.issued.get(token) if scheme.lower() == "bearer" else None
        return issued is not None and token not in self._refused and self._clock.lived_s() < issued.ends_s

    def revoke(self) -> None:
        """Refuse every token issued so far, whatever its life."""
        self._refused.update(self.issued)

    def _issue(
        self, form: dict[str, str], life_s: float, members: dict[str, object], without: tuple[str, ...]
    ) -> Reply:
        if form.get("grant_type") != "client_credentials":
            return _error("unsupported_grant_type", 400)
        token, now = secrets.token_urlsafe(32), self._clock.lived_s()
        scope = form.get("scope", "")
        self.issued[token] = Issued(scope, now, now + life_s)
        if len(self.issued) > KEPT:
            self._refused.discard(self.issued.popitem(last=False)[0])
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": int(life_s)}
        answer |= {"scope": scope} if scope else {}
        answer |= members
        honest = {name: value for name, value in answer.items() if name not in without}
        return Reply.json(honest, 200, ("cache-control", "no-store"))

    def _authenticated(self, request: Request) -> tuple[str, Reply | None]:
        """How the client authenticated, and the refusal where it did not (RFC 6749 §2.3.1)."""
        form = dict(request.form())
        header = request.headers.get("authorization", "")
        scheme, _, coded = header.partition(" ")
        if header and "client_secret" in form:
            return "both", _error("invalid_request", 400)
        if scheme.lower() == "basic":
            try:
                name, _, secret = base64.b64decode(coded, validate=True).decode().partition(":")
            except (binascii.Error, ValueError):
                return "client_secret_basic", _error("invalid_client", 401)
            method, given = "client_secret_basic", (unquote_plus(name), unquote_plus(secret))
        else:
            method, given = (
                "client_secret_post",
                (form.get("client_id", ""), form.get("client_secret", "")),
            )
        return method, None if given == self._client else _error("invalid_client", 401)


def _error(code: str, status: int) -> Reply:
    challenge = [("www-authenticate", 'Basic realm="simulator"')] if status == 401 else []
    return Reply.json({"error": code}, status, *challenge)
