"""The dashboard over HTTP. Nothing of it may be kept, framed, or read by scripts of other origins."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from farmlokal.errors import Fault, Invalid, NotFound, Unauthenticated, Unavailable
from farmlokal.oauth.client_authentication import FORM_BYTES, OAuthRefusal, form_of, presented
from farmlokal.ops.dashboard import page
from farmlokal.ops.dashboard.access import PATH, Access, cookie_of
from farmlokal.ops.dashboard.live import Live
from farmlokal.ops.dashboard.outside import Outside, Switches
from farmlokal.ops.dashboard.sessions import NOBODY, Session
from farmlokal.orders.repair import Repair
from farmlokal.orders.representation import DeadLetterPage
from farmlokal.platform.web.admission import Admission
from farmlokal.platform.web.body import read_body
from farmlokal.platform.web.parameters import ID_CEILING
from farmlokal.suppliers.representation import Job, SupplierEntry
from farmlokal.suppliers.wiring import Suppliers

REPAIR, SYNC = "orders:repair", "suppliers:sync"

LETTERS = 20
"""Dead letters that are shown, the newest."""

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": page.POLICY,
    # With no-referrer browsers would hide the origin of our own forms, too (Fetch, 3.2).
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

Form = Mapping[str, str]


class State(Struct, frozen=True):
    """What changes seldom: suppliers, the last job of each, dead letters, the simulator's switches. Null is
    what the client may not see, and what is not there."""

    suppliers: list[SupplierEntry]
    jobs: list[Job] | None
    letters: DeadLetterPage | None
    switches: Switches | None


class DashboardRoutes:
    """The endpoints. Without an `admission` nobody is limited; `outside` is the simulator, where it is one
    that this page may switch."""

    def __init__(
        self,
        access: Access,
        live: Live,
        suppliers: Suppliers,
        repair: Repair,
        admission: Admission | None,
        outside: Outside | None,
    ) -> None:
        self._access = access
        self._live = live
        self._suppliers = suppliers
        self._repair = repair
        self._admission = admission
        self._outside = outside

    async def page(self, request: Request) -> Response:
        """GET /ops."""
        try:
            session = await self._access.look(request.scope)
        except Unauthenticated:
            return RedirectResponse(f"{PATH}/login", HTTPStatus.SEE_OTHER, HEADERS)
        headers = dict(HEADERS)
        if not session.csrf:  # on this machine: without a session there is no word for the switches
            cookie = self._access.sessions.begin(NOBODY)
            session = await self._access.sessions.read(cookie) or session
            headers["set-cookie"] = self._access.set_cookie(request.scope, cookie)
        return Response(page.dashboard(session), HTTPStatus.OK, headers, "text/html")

    async def login_page(self, _request: Request) -> Response:
        """GET /ops/login."""
        return Response(page.login(refused=False), HTTPStatus.OK, HEADERS, "text/html")

    async def login(self, request: Request) -> Response:
        """POST /ops/login. Whoever fails pays from the quota of its address."""
        if self._admission is not None:
            await self._admission.require_quota(request.scope)
        self._access.require_own_page(request.scope)
        body = await read_body(request, FORM_BYTES)
        try:
            form = form_of(request.headers.getlist("content-type"), request.scope["query_string"], body)
            cookie = await self._access.sessions.login(presented([], form))
        except OAuthRefusal:
            if self._admission is not None:
                await self._admission.charge(request.scope, 1)
            headers = {**HEADERS, "www-authenticate": 'Bearer realm="farmlokal"'}
            return Response(page.login(refused=True), HTTPStatus.UNAUTHORIZED, headers, "text/html")
        headers = {**HEADERS, "set-cookie": self._access.set_cookie(request.scope, cookie)}
        return RedirectResponse(PATH, HTTPStatus.SEE_OTHER, headers)

    async def logout(self, request: Request) -> Response:
        """POST /ops/logout."""
        await self._access.act(request.scope, await _form(request))
        await self._access.sessions.end(cookie_of(request.scope))
        headers = {**HEADERS, "set-cookie": self._access.set_cookie(request.scope, "")}
        return RedirectResponse(f"{PATH}/login", HTTPStatus.SEE_OTHER, headers)

    async def asset(self, request: Request) -> Response:
        """GET /ops/assets/{name}."""
        kind, content = page.ASSETS.get(request.path_params["name"], ("", b""))
        if not kind:
            raise NotFound("There is no such page.")
        return Response(content, HTTPStatus.OK, HEADERS, kind)

    async def stream(self, request: Request) -> Any:
        """GET /ops/stream: the numbers, once a second."""
        await self._access.look(request.scope)

        async def still() -> bool:
            try:
                await self._access.look(request.scope)
            except Unauthenticated:
                return False
            except Unavailable:  # the database is away: whoever looks already sees it
                return True
            return True

        return self._live.stream(still)

    async def state(self, request: Request) -> Response:
        """GET /ops/state."""
        session = await self._access.look(request.scope)
        listed = (await self._suppliers.listed()).data
        return _json(
            State(
                suppliers=listed,
                jobs=await self._jobs(listed) if SYNC in session.scopes else None,
                letters=await self._repair.page(None, LETTERS, None) if REPAIR in session.scopes else None,
                switches=await self._switches(request, session),
            )
        )

    async def replay(self, request: Request) -> Response:
        """POST /ops/dead-letters/{id}/replay."""
        await self._act(request, REPAIR)
        return _json({"outcome": (await self._repair.replay(_id(request))).value})

    async def sync(self, request: Request) -> Response:
        """POST /ops/suppliers/{name}/sync."""
        await self._act(request, SYNC)
        return _json(await self._suppliers.begin(request.path_params["name"]), HTTPStatus.ACCEPTED)

    async def approve(self, request: Request) -> Response:
        """POST /ops/jobs/{id}/approve."""
        await self._act(request, SYNC)
        return _json(await self._suppliers.approve(_id(request)), HTTPStatus.ACCEPTED)

    async def switch(self, request: Request) -> Response:
        """POST /ops/simulator/{endpoint}: in development, on this machine."""
        if self._outside is None or not self._access.is_here(request.scope):
            raise NotFound("There is no simulator here.")
        form = await _form(request)
        await self._access.act(request.scope, form)
        await self._outside.play(request.path_params["endpoint"], form.get("fault", ""))
        return _json({})

    @property
    def pages(self) -> list[BaseRoute]:
        """The routes, no part of the API."""
        found: list[tuple[str, str, Callable[[Request], Awaitable[Any]]]] = [
            ("GET", "", self.page),
            ("POST", "/logout", self.logout),
            ("GET", "/assets/{name}", self.asset),
            ("GET", "/stream", self.stream),
            ("GET", "/state", self.state),
            ("POST", "/dead-letters/{id}/replay", self.replay),
            ("POST", "/suppliers/{name}/sync", self.sync),
            ("POST", "/jobs/{id}/approve", self.approve),
            ("POST", "/simulator/{endpoint}", self.switch),
        ]
        rest = [Route(PATH + path, endpoint, methods=[method]) for method, path, endpoint in found]
        return [Route(f"{PATH}/login", self._login, methods=["GET", "POST"]), *rest]

    async def _login(self, request: Request) -> Response:
        return await (self.login(request) if request.method == "POST" else self.login_page(request))

    async def _act(self, request: Request, needed: str) -> None:
        await self._access.act(request.scope, await _form(request), needed)

    async def _jobs(self, listed: list[SupplierEntry]) -> list[Job]:
        """The last one of each supplier, with the first offers that it set aside."""
        last = [each.last_sync.job for each in listed if each.last_sync is not None]
        return [await self._suppliers.sync.job(identity) for identity in last]

    async def _switches(self, request: Request, session: Session) -> Switches | None:
        if self._outside is None or not session.csrf or not self._access.is_here(request.scope):
            return None
        return await self._outside.switches()


async def _form(request: Request) -> Form:
    """The form of an action. Raises `Invalid`."""
    body = await read_body(request, FORM_BYTES)
    try:
        return form_of(request.headers.getlist("content-type"), request.scope["query_string"], body)
    except OAuthRefusal as refusal:
        raise Invalid(f"This form cannot be read: {refusal.description}.") from None


def _id(request: Request) -> int:
    given = request.path_params["id"]
    if not (given.isascii() and given.isdecimal() and len(given) < 20 and 0 < int(given) <= ID_CEILING):
        raise Invalid.because([Fault("id", "malformed", "an id that the page shows")])
    return int(given)


def _json(value: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(msgspec.json.encode(value), status, HEADERS, "application/json")
