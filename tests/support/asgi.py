"""The whole application without a socket: wired as in production, over a small catalogue."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
from starlette.types import ASGIApp, Message

from farmlokal.app import create_app
from farmlokal.settings import Settings
from tests.support.catalogue import Shelf


def application(database: Path | str, more: Mapping[str, str] | None = None) -> ASGIApp:
    """The application over this database, a SQLite file or a URL, as `more` settings have it."""
    url = database if isinstance(database, str) else f"sqlite:///{database}"
    given = {"FARMLOKAL_DATABASE_URL": url, "FARMLOKAL_RATE_LIMIT": "off"}
    return create_app(Settings.load(given | dict(more or {})))


@asynccontextmanager
async def alive(app: ASGIApp) -> AsyncIterator[None]:
    """The application between its start and its shutdown."""
    async with _Lifespan(app):
        yield


@asynccontextmanager
async def calling(app: ASGIApp) -> AsyncIterator[httpx2.AsyncClient]:
    """A caller of the application, started."""
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=True)
    async with (
        alive(app),
        httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:3000") as caller,
    ):
        yield caller


async def ask(app: ASGIApp, path: str, query: str = "", method: str = "GET") -> tuple[int, bytes]:
    """(status, body) of a request as servers hand it over: a client would cost more than what it asks."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [],
        "client": ("127.0.0.1", 1),
    }
    status, body = 0, bytearray()
    messages: asyncio.Queue[Message] = asyncio.Queue()  # after the request nothing comes: the caller stays
    messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        body.extend(message.get("body", b""))

    await app(scope, messages.get, send)
    return status, bytes(body)


class _Lifespan:
    """The server's side of the lifespan protocol."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __aenter__(self) -> None:
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
        self._task = asyncio.ensure_future(self._app(scope, self._to_app.get, self._from_app.put))
        await self._say("lifespan.startup")

    async def __aexit__(self, *_: object) -> None:
        await self._say("lifespan.shutdown")
        await self._task

    async def _say(self, what: str) -> None:
        await self._to_app.put({"type": what})
        answer = await self._from_app.get()
        if answer["type"] != f"{what}.complete":
            raise RuntimeError(answer.get("message", answer["type"]))


def furnish(shelf: Shelf) -> None:
    """A small catalogue in which every example of the documentation finds something."""
    shelf.connection.execute("BEGIN")
    shelf.postcode("680001", 10.52, 76.21)
    for number in range(60):
        product = shelf.product(
            ("Tomato", "Nendran banana", "Okra", "Rice")[number % 4],
            ("Vegetables", "Fruits", "Vegetables", "Cereals")[number % 4],
            seller=("near", "far", "nowhere")[number % 3],
            at=((10.53, 76.2), (28.6, 77.2), (None, None))[number % 3],
            name_hi=("टमाटर", "केला", None, None)[number % 4],
            name_ml=("തക്കാളി", None, "വെണ്ടയ്ക്ക", None)[number % 4],
            commodity=("Tomato", "Banana", None, "Rice")[number % 4],
            price_minor=2000 + number * 70,
            pack_milli=(1000, 500_000, None)[number % 3],
            pack_unit=("kg", "g", None)[number % 3],
            stock_milli=(None, 0, 48_500)[number % 3],
            organic=number % 2,
            harvested_on=(None, "2026-07-20", "2026-07-24")[number % 3],
            created_at_us=1_780_000_000_000_000 + number // 5,
            updated_at_us=1_780_000_000_000_000 + number,
            deleted_at_us=1_780_000_000_000_000 if number % 20 == 19 else None,
        )
        for day in range(number % 4):
            shelf.connection.execute(
                "INSERT INTO price_history (product_id, observed_on, price_minor, low_minor, high_minor)"
                " VALUES (?, ?, ?, ?, ?)",
                (product, f"2026-07-{20 + day}", 2000 + day, None if day else 1900, 2100),
            )
    shelf.connection.execute("COMMIT")
