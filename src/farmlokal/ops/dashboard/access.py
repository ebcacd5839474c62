"""Who may look, and who may act: the cookie, the word against forged requests, where a request comes from."""

import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from farmlokal.errors import Forbidden, Unauthenticated
from farmlokal.ops.dashboard.sessions import LIFE_S, NOBODY, SEE, Session, Sessions
from farmlokal.platform.web.loopback import is_loopback

COOKIE = "farmlokal-ops"
PATH = "/ops"


class Access:
    """In `development` whoever is on this machine may look without a login; where it is `apart`, on a port of
    its own, whoever reaches that. `public_url` is where browsers find us, if a proxy gives our Host another
    name."""

    def __init__(self, sessions: Sessions, *, development: bool, apart: bool, public_url: str | None) -> None:
        self.sessions = sessions
        self.development = development
        self._apart = apart
        self._public = urlsplit(public_url or "")

    async def look(self, scope: Any) -> Session:
        """Who looks. Raises `Unauthenticated`."""
        cookie = cookie_of(scope)
        session = await self.sessions.read(cookie) if cookie else None
        is_open = self._apart or self.is_here(scope)
        if session is not None and (session.client_id != NOBODY or is_open):
            return session
        if is_open:
            return Session(NOBODY, frozenset({SEE}))
        raise Unauthenticated("This needs a login, at /ops/login.")

    async def act(self, scope: Any, form: Mapping[str, str], needed: str = SEE) -> Session:
        """Who acts. Raises `Unauthenticated`, and `Forbidden` for a request that another page made, without
        the word of this very session, or for want of a scope."""
        session = await self.look(scope)
        self.require_own_page(scope)
        given = form.get("csrf", "").encode("utf-8", "replace")
        if not session.csrf or not hmac.compare_digest(session.csrf.encode(), given):
            raise Forbidden("This request is not of the page that is open: load it anew.")
        if needed not in session.scopes:
            raise Forbidden(f"This needs a client with the scope {needed}.", scope=needed)
        return session

    def require_own_page(self, scope: Any) -> None:
        """Raises `Forbidden` unless a page of ours sent this: every browser names the origin of a POST."""
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(origins) == 1 and len(hosts) == 1:
            origin = urlsplit(origins[0].decode("latin-1"))
            named = (origin.scheme, origin.netloc)
            if named == (self._public.scheme, self._public.netloc):
                return
            if origin.scheme in ("http", "https") and origin.netloc == hosts[0].decode("latin-1"):
                return
        raise Forbidden("This request is not of a page of ours.")

    def is_here(self, scope: Any) -> bool:
        """Whether this is development, and the caller on this machine."""
        return self.development and is_loopback(scope)

    def set_cookie(self, scope: Any, value: str) -> str:
        """The header for a session that begins, or ends where the value is empty."""
        age_s = LIFE_S if value else 0
        secure = "; Secure" if "https" in (self._public.scheme, scope["scheme"]) else ""
        return f"{COOKIE}={value}; Path={PATH}; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}"


def cookie_of(scope: Any) -> str:
    """The cookie; empty without one, and where there are several: only one can be ours."""
    sent = [value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie"]
    pairs = [pair.strip().partition("=") for header in sent for pair in header.split(";")]
    found = [value for name, _, value in pairs if name == COOKIE]
    return found[0] if len(found) == 1 else ""
