"""`farmlokal suppliers`: what an operator sees, and how a script tells how it went."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmlokal.suppliers.simulator import Behaviour
from tests.support.provider import Running, simulated
from tests.support.server import command, environment

BUSY_S = 60.0


@pytest.fixture
def outside() -> Iterator[Running]:
    """A supplier of the test's own."""
    with simulated() as running:
        yield running


def ask(database: Path, outside: Running, *words: str, **more: str) -> tuple[int, str]:
    """(exit code, what was printed) of one command."""
    shop = {"FARMLOKAL_SUPPLIERS": f"shop=shopify:{outside.url}/products.json"}
    done = subprocess.run(
        command(*words),
        env=environment(database, outside.settings | shop | more),
        capture_output=True,
        text=True,
        check=False,
        timeout=BUSY_S,
    )
    return done.returncode, done.stdout + done.stderr


def test_syncs_by_hand(database_path: Path, outside: Running) -> None:
    """A sync says what it did, one that waits says how to approve it, and the exit code tells a script how it
    went; the status is that of the last one."""
    code, told = ask(database_path, outside, "suppliers", "sync", "shop")
    assert (code, "shop: job 1 done, 194 offers on 2 pages" in told, "194 created" in told) == (0, True, True)
    outside.simulator.supplier.goods["shopify"] = []
    code, told = ask(database_path, outside, "suppliers", "sync", "shop")
    assert (code, "all 194 products would go out of stock" in told) == (3, True), told
    assert "farmlokal suppliers sync --approve 2" in told
    code, told = ask(database_path, outside, "suppliers", "status")
    assert (code, "external (dummyjson): never synced" in told) == (0, True), told
    assert "shop (shopify): job 2 waiting" in told


def test_the_doctor_asks_suppliers(database_path: Path, outside: Running) -> None:
    """`farmlokal doctor` asks each supplier for a page: one that answers is told with what it offers, one
    that does not with what mends it, and a key in its URL is told to nobody."""
    code, told = ask(database_path, outside, "doctor")
    assert code == 0, told
    assert "ok   supplier external (dummyjson at 127.0.0.1): answers; 100 offers on its first page" in told
    assert "ok   supplier shop (shopify at 127.0.0.1): answers; " in told
    outside.play(Behaviour(status=401), at="dummyjson")
    outside.play(Behaviour(fault="html"), at="shopify")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        others = {
            "page": f"shopify:{outside.url}/products.json?key=very-secret",
            "gone": f"shopify:http://127.0.0.1:{deaf.getsockname()[1]}/products.json",
            "inside": "shopify:http://192.168.7.7/products.json",
        }
        named = ",".join(f"{name}={where}" for name, where in others.items())
        code, told = ask(database_path, outside, "doctor", FARMLOKAL_SUPPLIERS=named)
    assert code == 1
    assert "very-secret" not in told
    for line in (
        "FAIL supplier external (dummyjson at 127.0.0.1): it refuses us (401): see FARMLOKAL_UPSTREAM_",
        "FAIL supplier gone (shopify at 127.0.0.1): no connection: is the host of FARMLOKAL_SUPPLIERS",
        "FAIL supplier inside (shopify at 192.168.7.7): none of its addresses is allowed: see FARMLOKAL_",
        "FAIL supplier page (shopify at 127.0.0.1): its first page is not of this format",
    ):
        assert line in told, told
