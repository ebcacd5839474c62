"""`farmlokal suppliers`: what an operator sees, and how a script tells how it went."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.provider import Running, simulated
from tests.support.server import command, environment

BUSY_S = 60.0


@pytest.fixture
def outside() -> Iterator[Running]:
    """A supplier of the test's own."""
    with simulated() as running:
        yield running


def ask(database: Path, outside: Running, *words: str) -> tuple[int, str]:
    """(exit code, what was printed) of one command."""
    shop = {"FARMLOKAL_SUPPLIERS": f"shop=shopify:{outside.url}/products.json"}
    done = subprocess.run(
        command("suppliers", *words),
        env=environment(database, outside.settings | shop),
        capture_output=True,
        text=True,
        check=False,
        timeout=BUSY_S,
    )
    return done.returncode, done.stdout + done.stderr


def test_syncs_by_hand(database_path: Path, outside: Running) -> None:
    """A sync says what it did, one that waits says how to approve it, and the exit code tells a script how it
    went; the status is that of the last one."""
    code, told = ask(database_path, outside, "sync", "shop")
    assert (code, "shop: job 1 done, 194 offers on 2 pages" in told, "194 created" in told) == (0, True, True)
    outside.simulator.supplier.goods["shopify"] = []
    code, told = ask(database_path, outside, "sync", "shop")
    assert (code, "all 194 products would go out of stock" in told) == (3, True), told
    assert "farmlokal suppliers sync --approve 2" in told
    code, told = ask(database_path, outside, "status")
    assert (code, "external (dummyjson): never synced" in told) == (0, True), told
    assert "shop (shopify): job 2 waiting" in told
