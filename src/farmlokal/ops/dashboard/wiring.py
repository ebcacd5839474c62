"""The dashboard, put together."""

from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.routing import BaseRoute

from farmlokal.oauth.authorization_server import AuthorizationServer
from farmlokal.ops.dashboard.access import Access
from farmlokal.ops.dashboard.live import Live
from farmlokal.ops.dashboard.outside import Outside
from farmlokal.ops.dashboard.routes import DashboardRoutes
from farmlokal.ops.dashboard.sessions import Sessions
from farmlokal.orders.repair import Repair
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.exposition import Family
from farmlokal.platform.web.admission import Admission
from farmlokal.platform.web.loopback import is_loopback_name
from farmlokal.suppliers.wiring import Suppliers


class Dashboard(NamedTuple):
    """Its routes, and what lives as long as the application does."""

    pages: list[BaseRoute]
    live: Live
    outside: Outside | None


def dashboard(
    server: AuthorizationServer,
    keys: Sequence[bytes],
    clock: SystemClock,
    read: Callable[[], Sequence[Family]],
    suppliers: Suppliers,
    repair: Repair,
    admission: Admission | None,
    *,
    development: bool,
    apart: bool,
    public_url: str | None,
    supplier_url: str | None,
) -> Dashboard:
    """All of it; `apart` on a port of its own. `supplier_url` is where the simulator is, should it be one."""
    # The address for callers is not where operators come.
    public = None if apart else public_url
    access = Access(Sessions(server, keys, clock), development=development, apart=apart, public_url=public)
    outside = _outside(supplier_url) if development and supplier_url else None
    live = Live(read)
    pages = DashboardRoutes(access, live, suppliers, repair, admission, outside).pages
    return Dashboard(pages, live, outside)


def _outside(url: str) -> Outside | None:
    parts = urlsplit(url)
    if parts.scheme != "http" or not is_loopback_name(parts.hostname or ""):
        return None
    return Outside(f"{parts.scheme}://{parts.netloc}")
