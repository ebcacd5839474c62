"""A real server, a real browser, and a page that may not complain."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.visits import Board, Shop, Visitor, visiting
from tests.support.asgi import furnish
from tests.support.catalogue import Shelf, connect, new_database
from tests.support.oauth import PRODUCTION, Known
from tests.support.provider import simulated
from tests.support.server import command, environment, serving
from tests.support.servers import chromium
from tests.support.servers.valkey import Valkey

PRODUCTS = 600
"""Enough for many pages to scroll through."""

PATIENCE_MS = 15_000
"""Longest wait for what a page is to show, on a machine that is busy with other tests."""

HOSTILE = "<script>alert(1)</script> \"'&amp;</a>{{ 7*7 }}"

PICTURES = os.environ.get("FARMLOKAL_TEST_SCREENSHOTS")
"""The folder for pictures, where they are to be kept."""


# Not for the session: while Playwright is there, its thread counts as running an event loop, and tests that
# this process runs afterwards run theirs.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    found = chromium.find()
    expect.set_options(timeout=PATIENCE_MS)
    with (
        sync_playwright() as playwright,
        closing(
            playwright.chromium.launch(executable_path=found.program, env=dict(found.environment))
        ) as opened,
    ):
        yield opened


@pytest.fixture(scope="package")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A server with a generated catalogue, a hostile product, and one whose price is known for 40 days."""
    folder = tmp_path_factory.mktemp("shop")
    database = new_database(folder)
    seed = command("seed", "--products", str(PRODUCTS))
    subprocess.run(seed, env=environment(database), check=True, capture_output=True)
    with closing(connect(database)) as connection:
        shelf = Shelf(connection)
        connection.execute("BEGIN")
        hostile = shelf.product(HOSTILE, description=HOSTILE, commodity="Hostile")
        known = shelf.product("Nendran banana", "Fruits", name_ml="നേന്ത്രപ്പഴം", price_minor=5200, grade="A")
        for day in range(40):
            middle = 4800 + day * 7 + (day * 37 % 11) * 40
            low, high = (middle - 500, middle + 400) if day % 13 else (None, None)
            connection.execute(
                "INSERT INTO price_history (product_id, observed_on, price_minor, low_minor, high_minor)"
                " VALUES (?, ?, ?, ?, ?)",
                (known, f"2026-{6 + day // 30:02}-{day % 30 + 1:02}", middle, low, high),
            )
        connection.execute("COMMIT")
    with serving(database, folder / "log") as server:
        yield Shop(server, hostile, known)


@pytest.fixture
def visitor(browser: Browser, shop: Shop) -> Iterator[Visitor]:
    """Somebody who opens pages of the shop, none of which may complain or ask another host."""
    with ExitStack() as leaving:

        def visit(path: str = "/", **how: object) -> Page:
            return leaving.enter_context(visiting(browser, shop.server, path, **how))

        yield visit


@pytest.fixture(scope="package")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A server as in production, with a supplier and Valkey, and a client that may do all on `/ops`."""
    folder = tmp_path_factory.mktemp("board")
    database = new_database(folder)
    with closing(connect(database)) as connection:
        furnish(Shelf(connection))
    scopes = [
        word for scope in ("ops:read", "orders:repair", "suppliers:sync") for word in ("--scope", scope)
    ]
    with simulated() as outside, Valkey() as valkey:
        settings = PRODUCTION | outside.settings | {"FARMLOKAL_REDIS_URL": valkey.url}
        settings |= {"FARMLOKAL_PUBLIC_URL": "", "FARMLOKAL_SUPPLIER_ALLOWED_NETWORKS": "127.0.0.0/8"}
        create = command("clients", "create", "ops", *scopes)
        made = subprocess.run(
            create, env=environment(database, settings), check=True, capture_output=True, text=True
        )
        told = dict(line.split("=", 1) for line in made.stdout.splitlines() if "=" in line)
        with serving(database, folder / "log", settings) as server:
            yield Board(server, Known(told["client_id"], told["client_secret"]))


@pytest.fixture
def keep_picture(tmp_path: Path) -> Callable[[Page, str], int]:
    """Keeps a picture of a page, in docs/screenshots where `make screenshots` asks for it; its bytes."""

    def keep(page: Page, name: str) -> int:
        path = Path(PICTURES or tmp_path) / f"{name}.png"
        page.screenshot(path=path)
        return path.stat().st_size

    return keep
