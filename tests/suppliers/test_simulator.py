"""The simulator: scripted and looked into over HTTP, and as a process that shares another's end."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from farmlokal.suppliers.simulator import CLIENT_ID, CLIENT_SECRET
from farmlokal.suppliers.simulator.goods import FORMATS
from tests.faults.processes import OwnedProcess, wait_until
from tests.support.provider import Running, simulated
from tests.support.server import Caller, command, environment
from tests.support.servers.place import free_port

BUSY_S = 60.0


@pytest.fixture
def simulator() -> Iterator[Running]:
    """One of the test's own."""
    with simulated() as running:
        yield running


def fetch(simulator: Running, secret: str = CLIENT_SECRET, **form: str) -> httpx2.Response:
    """One call of the token endpoint by a stranger's client."""
    return httpx2.post(
        simulator.token_url,
        data={"grant_type": "client_credentials", **form},
        auth=(CLIENT_ID, secret),
        timeout=BUSY_S,
    )


def control(simulator: Running, path: str = "", **more: Any) -> Any:
    """What the control says."""
    method = "PUT" if more else "GET" if not path else "POST"
    return httpx2.request(method, f"{simulator.url}/control{path}", timeout=BUSY_S, **more).json()


def test_it_gives_tokens_that_its_resource_takes(simulator: Running) -> None:
    """A token opens the resource while it lives, and no more once it is revoked; nothing else opens it."""
    token = fetch(simulator, scope="prices").json()
    assert (token["token_type"], token["expires_in"], token["scope"]) == ("Bearer", 3600, "prices")

    def open_with(value: str) -> int:
        headers = {"authorization": f"Bearer {value}"}
        return httpx2.get(f"{simulator.url}/resource", headers=headers, timeout=BUSY_S).status_code

    assert open_with(token["access_token"]) == 200
    assert open_with("another") == 401
    control(simulator, "/revoke")
    assert open_with(token["access_token"]) == 401
    assert control(simulator)["resource"] == {"200": 1, "401": 2}


@pytest.mark.parametrize(
    ("form", "secret", "status", "error"),
    [
        ({}, "wrong", 401, "invalid_client"),
        ({"client_secret": CLIENT_SECRET}, CLIENT_SECRET, 400, "invalid_request"),
        ({"grant_type": "password"}, CLIENT_SECRET, 400, "unsupported_grant_type"),
    ],
)
def test_it_refuses_as_a_provider_does(
    simulator: Running, form: dict[str, str], secret: str, status: int, error: str
) -> None:
    """Wrong credentials, two ways at once and another grant are refused in the form of RFC 6749 §5.2."""
    answer = fetch(simulator, secret, **form)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


def test_it_follows_a_script(simulator: Running) -> None:
    """Each step serves as many requests as it says, the last one all others; what was done is counted."""
    script = [
        {"status": 503, "retryAfter": "7", "times": 2},
        {"members": {"expires_in": "soon"}, "without": ["scope"]},
        {"body": "nonsense"},
        {"lifeS": 5},
    ]
    control(simulator, "/token", json=script)
    answers = [fetch(simulator) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [503, 503, 200, 200, 200, 200]
    assert answers[0].headers["retry-after"] == "7"
    assert answers[2].json()["expires_in"] == "soon"
    assert answers[3].text == "nonsense"
    assert answers[5].json()["expires_in"] == 5
    told = control(simulator)["token"]
    assert (told["calls"], told["byBehaviour"]) == (6, {"503": 2, "honest": 4})


def test_it_sells_in_three_formats(simulator: Running) -> None:
    """One shop in three formats, page by page, of which one wants a token; a script holds for one of them, a
    time or a share of the requests, and the page of switches needs nothing from elsewhere."""

    def get(path: str) -> httpx2.Response:
        return httpx2.get(f"{simulator.url}{path}", timeout=BUSY_S)

    assert get("/products").status_code == 401
    records = get("/records?limit=5&offset=3").json()
    assert (len(records["records"]), records["offset"]) == (5, "3")
    assert len(get("/products.json?limit=250&page=1").json()["products"]) == records["total"] == 194
    assert get("/products.json?limit=250&page=2").json()["products"] == []
    control(simulator, "/datagovin", json=[{"status": 503, "share": 0}, {"status": 500, "lastsS": 99}, {}])
    assert [get("/records").status_code for _ in range(3)] == [200, 500, 500]
    control(simulator, "/heal")
    assert get("/records").status_code == 200
    told = control(simulator)
    assert told["supplier"]["byBehaviour"]["datagovin"] == {"honest": 3, "500": 2}
    assert (told["endpoints"], "drip" in told["faults"]) == (["token", *FORMATS], True)
    page = get("/").text
    assert "/control/" in page
    assert "http://" not in page
    assert "https://" not in page


@pytest.mark.parametrize("script", [[{"fault": "no such"}], [{"latencyS": -1}], [{"x": 1}], {}, "nonsense"])
def test_a_script_that_it_cannot_follow(simulator: Running, script: Any) -> None:
    """A script with a word that it does not know is refused with the reason, and changes nothing."""
    answer = httpx2.put(f"{simulator.url}/control/token", json=script, timeout=BUSY_S)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert fetch(simulator).status_code == 200


def test_it_leaves_with_its_parent() -> None:
    """A simulator that was started beside a process ends when that process does, however that dies."""
    parent = (
        "import sys, time\n"
        "from farmlokal.suppliers.simulator.process import start_beside\n"
        f"print(start_beside({free_port()}), flush=True)\n"
        "time.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            assert _alive(port)
        finally:
            process.kill()
    wait_until(lambda: not _alive(port), "the simulator is gone", BUSY_S)


def _alive(port: int) -> bool:
    try:
        with Caller(port) as caller:
            return caller.ask("/healthz").status == 200
    except OSError:
        return False


def test_development_has_a_provider(tmp_path: Path) -> None:
    """`farmlokal dev` starts a supplier and a provider of tokens beside the server and finds them: token and
    products are there at once, and all of it leaves together."""
    port = free_port()

    def ready() -> bool:
        with Caller(port) as caller:
            return caller.ask("/readyz").status == 200

    dev = OwnedProcess(
        command("dev", "--port", str(port)), tmp_path / "log", ready, environment(tmp_path / "farm.db")
    )
    dev.start(BUSY_S)
    try:
        with Caller(port) as caller:
            answer = caller.ask("/auth/token")
            assert len(caller.ask("/external/products").json()["products"]) == 30
        assert (answer.status, answer.json()["expires_in"] > 3000) == (200, True)
        words = dev.log.read_text().split()
        simulator = int(next(word for word in words if "127.0.0.1" in word).rpartition(":")[2].strip(";"))
        assert _alive(simulator)
        dev.signal(2)
        assert dev.wait() == 0
        wait_until(lambda: not _alive(simulator), "the simulator is gone", BUSY_S)
    finally:
        dev.kill()
