"""What a visitor of the shop sees: words for the tests."""

from typing import Any, NamedTuple, Protocol

from playwright.sync_api import Page

from tests.faults.processes import wait_until
from tests.support.server import Server


class Shop(NamedTuple):
    """A running shop, and the ids of two products of its own."""

    server: Server
    hostile: int
    known: int

    @property
    def origin(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server.port}"

    def api(self, path: str) -> Any:
        """What the API says."""
        with self.server.caller() as caller:
            return caller.ask(path).json()


class Visitor(Protocol):
    """Opens a page; `how` are options of the browser's context."""

    def __call__(self, path: str = "/", **how: object) -> Page: ...


def ids(page: Page) -> list[int]:
    """Products on the page, in its order."""
    found: list[int] = page.eval_on_selector_all("#cards > li", "all => all.map(each => +each.id.slice(1))")
    return found


def top(page: Page) -> list[float]:
    """The first card that is in the window: its product, and where it lies in pixels from the top."""
    found: list[float] = page.evaluate(
        "(() => { const card = [...document.querySelectorAll('#cards > li')]"
        ".find(each => each.getBoundingClientRect().bottom > 0);"
        "return [+card.id.slice(1), card.getBoundingClientRect().top]; })()"
    )
    return found


def until(page: Page, holds: str) -> None:
    """Wait until an expression is true. Asked from here: in the page, its own policy forbids to evaluate."""
    wait_until(lambda: bool(page.evaluate(holds)), holds)


def scroll_to_pages(page: Page, pages: int, rows: int = 24) -> None:
    """Scroll down until so many pages are there, and the address says which is in view."""
    while len(ids(page)) < pages * rows:
        before = len(ids(page))
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        until(page, f"document.querySelectorAll('#cards > li').length > {before}")
    page.evaluate("scrollTo(0, document.body.scrollHeight - 2 * innerHeight)")
    until(page, "location.search.includes('cursor=') && !!history.state")
