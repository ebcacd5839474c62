"""The dashboard in a browser: who gets in, what is shown, and five faults, each told by its own words."""

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from farmlokal.ops.alerts import TEXTS
from tests.e2e.visits import COLOURS, PHONE, WINDOW, Board, serious, sideways, visiting
from tests.faults.dashboard_faults import FAULTS, WITHIN_S, Case, ask, database_slow
from tests.support.asgi import furnish
from tests.support.catalogue import Shelf, connect, new_database
from tests.support.server import command, environment
from tests.support.servers.mariadb import MariaDb

PAGE_BYTES = 60_000
"""Most that the page loads, without its numbers."""

PICTURE_BYTES = 150_000

_REMEMBER = """() => {
  window.told = [];
  const look = () => document.querySelectorAll("#alerts .bad, #away:not([hidden])").forEach(
    each => window.told.includes(each.textContent) || window.told.push(each.textContent));
  new MutationObserver(look).observe(document.body, {attributes: true, childList: true, subtree: true});
  look();
}"""
"""From now on every alert is kept that the page shows, however briefly."""


def log_in(page: Page, board: Board) -> None:
    """Log in as somebody does who has no mouse."""
    expect(page.get_by_label("Client id")).to_be_focused()
    page.keyboard.type(board.client.client_id)
    page.keyboard.press("Tab")
    page.keyboard.type(board.client.secret)
    page.keyboard.press("Enter")
    expect(page.locator("#alerts p")).to_have_text("All is well.")


def test_the_keyboard_is_enough_to_log_in_act_and_leave(browser: Browser, board: Board) -> None:
    """Whoever is not logged in comes to the login; then the numbers are live, each button can be reached and
    keeps the focus when the page is drawn anew, and after the logout the page is closed again."""
    with visiting(browser, board.server, "/ops") as page:
        expect(page).to_have_url(re.compile("/ops/login$"))
        log_in(page, board)
        ask(board.server, ["/api/categories"] * 40)
        row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="GET /api/categories"))
        expect(row.get_by_role("cell").first).to_have_text(re.compile("[1-9]"))
        expect(page.locator(".tile").filter(has_text="Requests").locator(".value")).to_have_text(
            re.compile(r"[1-9].* /s")
        )
        seen = page.locator("#about").inner_text()
        expect(page.locator("#about")).not_to_have_text(seen)
        sync = page.get_by_role("button", name="Sync external")
        for _ in range(5):
            page.keyboard.press("Tab")
            if sync.evaluate("button => button === document.activeElement"):
                break
        expect(sync).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_have_text("Done.")
        expect(page.locator("#suppliers")).to_contain_text("created 194")
        expect(sync).to_be_focused()
        page.get_by_role("button", name="Log out").press("Enter")
        expect(page).to_have_url(re.compile("/ops/login$"))
        page.goto("/ops")
        expect(page).to_have_url(re.compile("/ops/login$"))


def test_the_pages_are_for_everyone(browser: Browser, board: Board) -> None:
    """The rules of axe-core find nothing serious on the login and on the dashboard, in the light and in the
    dark; at 360 pixels neither is wider than the window; and all that is loaded is small."""
    with visiting(browser, board.server, "/ops/login", color_scheme="light") as page:
        assert not (found := serious(page, {})), found
        assert sideways(_narrow(page)) == 0
        log_in(page, board)
        expect(page.get_by_role("button", name="Sync external")).to_be_visible()
        assert sideways(page) == 0
        page.set_viewport_size(WINDOW)  # type: ignore[arg-type]
        assert not (found := serious(page, {})), found
        page.emulate_media(color_scheme="dark")
        assert not (found := serious(page, COLOURS)), found
        loaded = page.evaluate(
            "performance.getEntries().reduce((sum, e) => sum + (e.encodedBodySize ?? 0), 0)"
        )
        assert 10_000 < loaded <= PAGE_BYTES


def test_a_pulled_supplier_is_told_and_in_the_pictures(
    browser: Browser, tmp_path: Path, keep_picture: Callable[[Page, str], int]
) -> None:
    """In development the page itself pulls the supplier's plug: its own alert comes within five seconds and
    no other, its circuit is shown open, and the page is still for everyone."""
    with (
        FAULTS["supplier down"](furnished(tmp_path), tmp_path / "log") as case,
        visiting(browser, case.server, "/ops", color_scheme="light") as page,
    ):
        switch = page.get_by_label("dummyjson")
        tells(page, case._replace(begin=lambda: switch.select_option("503")))
        expect(page.get_by_text("circuit open")).to_be_visible()
        sizes = [keep_picture(page, "ops")]
        assert not (found := serious(page, COLOURS)), found
        page.emulate_media(color_scheme="dark")
        assert not (found := serious(page, COLOURS)), found
        assert sideways(_narrow(page)) == 0
        sizes.append(keep_picture(page, "ops-phone"))
        assert max(sizes) <= PICTURE_BYTES


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "supplier down"])
def test_a_fault_is_shown_by_its_own_text(browser: Browser, tmp_path: Path, fault: str) -> None:
    """A frozen Redis, an event that cannot be written and a caller that asks too much: the page shows that
    one's text within five seconds, and at no time another's."""
    with (
        FAULTS[fault](furnished(tmp_path), tmp_path / "log") as case,
        visiting(browser, case.server, "/ops") as page,
    ):
        tells(page, case)


def test_a_slow_database_is_shown_by_its_own_text(
    browser: Browser, mariadb_server: MariaDb, tmp_path: Path
) -> None:
    """So is a database whose answers come late."""
    database = mariadb_server.new_database()
    # Not in this process, where the browser's driver runs an event loop.
    subprocess.run(command("migrate"), env=environment(database.url), check=True, capture_output=True)
    with (
        database_slow(mariadb_server, database, tmp_path / "log") as case,
        visiting(browser, case.server, "/ops") as page,
    ):
        tells(page, case)


def furnished(folder: Path) -> Path:
    """A database with a small catalogue."""
    path = new_database(folder)
    connection = connect(path)
    furnish(Shelf(connection))
    connection.close()
    return path


def tells(page: Page, case: Case) -> None:
    """The page is calm, then has the alert in time, and has shown no other by its next look."""
    ask(case.server, [case.usual])
    expect(page.locator("#alerts p")).to_have_text("All is well.")
    page.evaluate(_REMEMBER)
    began = time.monotonic()
    case.begin()
    case.asked("0")
    text = f"{case.subject}: {TEXTS[case.alert]}" if case.subject else TEXTS[case.alert]
    left_ms = (began + WITHIN_S - time.monotonic()) * 1000
    expect(page.locator("#alerts .bad")).to_have_text(text, timeout=left_ms)
    seen = page.locator("#about").inner_text()
    case.asked("1")
    expect(page.locator("#about")).not_to_have_text(seen)
    assert page.evaluate("window.told") == [text]


def _narrow(page: Page) -> Page:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    return page
