"""What a visitor sees: words for the tests."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.resources import files
from typing import Any, NamedTuple, Protocol

from playwright.sync_api import Browser, Page

from tests.faults.processes import wait_until
from tests.support.oauth import Known
from tests.support.server import Server

PHONE = {"width": 360, "height": 740}
WINDOW = {"width": 1000, "height": 700}

COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
"""The rules of axe-core for what depends on light and dark."""

_RUN = """async rules => (await axe.run(document, {resultTypes: ["violations"], ...rules})).violations.map(
  each => [each.impact, each.id, each.nodes.map(node => node.html).slice(0, 3)])"""


class Shop(NamedTuple):
    """A running shop, and the ids of two products of its own."""

    server: Server
    hostile: int
    known: int

    @property
    def origin(self) -> str:
        """Where it is."""
        return origin(self.server)

    def api(self, path: str) -> Any:
        """What the API says."""
        with self.server.caller() as caller:
            return caller.ask(path).json()


class Board(NamedTuple):
    """A server with a dashboard, and a client that may do all there."""

    server: Server
    client: Known


class Visitor(Protocol):
    """Opens a page; `how` are options of the browser's context."""

    def __call__(self, path: str = "/", **how: object) -> Page: ...


def origin(server: Server) -> str:
    """Where a server is."""
    return f"http://127.0.0.1:{server.port}"


@contextmanager
def visiting(browser: Browser, server: Server, path: str, **how: Any) -> Iterator[Page]:
    """A page of a server, in a context of its own with these options. It may not complain, nor ask another
    host."""
    home = origin(server)
    given = {"locale": "en-IN", "viewport": WINDOW} | how
    with closing(browser.new_context(base_url=home, **given)) as context:
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith((home, "data:")) else complaints.append(asked.url),
        )
        page.goto(path)
        yield page
        assert not complaints, complaints


def violations(page: Page, rules: Mapping[str, object]) -> list[Any]:
    """What axe-core finds on a page: (impact, rule, elements)."""
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found: list[Any] = page.evaluate(_RUN, rules)
    return found


def serious(page: Page, rules: Mapping[str, object]) -> list[Any]:
    """Those that may not be."""
    return [each for each in violations(page, rules) if each[0] in ("serious", "critical")]


def sideways(page: Page) -> int:
    """By how many pixels a page is wider than its window."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wide


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
