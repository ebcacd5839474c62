"""`farmlokal serve --ops-port`: what is for operators, on a port of its own."""

from pathlib import Path

import httpx2
import pytest

from farmlokal.settings import Settings, SettingsError
from tests.faults.processes import wait_until
from tests.ops.test_metrics import SCRAPER, values
from tests.support.catalogue import run
from tests.support.oauth import PRODUCTION, PRODUCTION_KEYS, register
from tests.support.server import Caller, free_port, serving
from tests.support.watching import watching

FOR_OPERATORS = ("/metrics", "/docs", "/openapi.json", "/ops", "/ops/state", "/ops/assets/ops.js")


def test_operators_have_a_port_of_their_own(database_path: Path, tmp_path: Path) -> None:
    """In production metrics, API document and dashboard are on the port for operators without a token, and on
    the other port not at all; each of both workers answers there for both; whoever changes something still
    logs in; and the server ends as it does without."""
    port = free_port()
    known = run(register(f"sqlite:///{database_path}", ("ops:read",), PRODUCTION_KEYS))
    settings = PRODUCTION | {"FARMLOKAL_OPS_PORT": str(port), "FARMLOKAL_REDIS_URL": "redis://127.0.0.1:1"}
    with serving(database_path, tmp_path / "log", settings, workers=2) as server:
        with server.caller() as public, Caller(port) as operator:
            assert [public.ask(path).status for path in FOR_OPERATORS] == [404] * len(FOR_OPERATORS)
            assert [operator.ask(path).status for path in FOR_OPERATORS] == [200] * len(FOR_OPERATORS)
            assert [each.ask("/healthz").status for each in (public, operator)] == [200, 200]
            assert (operator.ask("/api/products").status, operator.ask("/").status) == (404, 404)
            assert b'href="/ops/login"' in operator.ask("/ops").body
            here = f"http://127.0.0.1:{port}"
            own = {"origin": here}
            assert (
                httpx2.post(f"{here}/ops/suppliers/x/sync", data={"csrf": ""}, headers=own).status_code == 403
            )
            credentials = {"client_id": known.client_id, "client_secret": known.secret}
            entered = httpx2.post(f"{here}/ops/login", data=credentials, headers=own)
            assert entered.status_code == 303
            assert "Secure" not in entered.headers["set-cookie"]  # a browser would not bring it back here
            for _ in range(10):
                assert public.ask("/api/categories").status == 200
        series = 'farmlokal_http_requests_total{route="/api/categories",method="GET",status="200"}'

        def counted() -> bool:
            with Caller(port) as each:
                found = values(each.ask("/metrics", SCRAPER).body.decode())
            return found.get("farmlokal_workers") == 2 and found.get(series) == 10

        wait_until(counted, "both workers have told what they counted")
        with watching(port) as watcher:
            assert watcher.next() is not None
            assert server.terminate() == 0
            while watcher.next() is not None:
                pass


def test_the_two_ports_differ() -> None:
    """The port for operators is another one."""
    with pytest.raises(SettingsError, match="FARMLOKAL_OPS_PORT"):
        Settings.load({"FARMLOKAL_PORT": "3005", "FARMLOKAL_OPS_PORT": "3005"})
