"""Events over HTTP: every answer of the contract, and what is kept behind it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from farmlokal.orders.letters import ATTEMPTS
from farmlokal.orders.routes import BODY_BYTES
from tests.support.asgi import application, calling
from tests.support.catalogue import Shelf, connect, run
from tests.support.orders import SECRET, Books, body, poisoned, signed

PATH = "/webhook/order-update"
SIGNED = {"FARMLOKAL_WEBHOOK_SECRETS": SECRET.decode()}


@pytest.fixture
def books(database_path: Path, shelf: Shelf) -> Iterator[Books]:
    """What is in the database, which has 10 kg of product 1."""
    shelf.product(stock_milli=10_000)
    with closing(connect(database_path)) as connection:
        yield Books(connection)


def calls(
    database: Path,
    work: Callable[[httpx2.AsyncClient], Awaitable[Any]],
    more: Mapping[str, str] | None = None,
) -> Any:
    """Run calls against an application of these settings."""

    async def go() -> Any:
        async with calling(application(database, more)) as caller:
            return await work(caller)

    return run(go())


async def send(caller: httpx2.AsyncClient, content: bytes, **headers: str) -> httpx2.Response:
    """A delivery that is signed now; `headers` replace those of it."""
    given = signed(content) | {name.replace("_", "-"): value for name, value in headers.items()}
    return await caller.post(PATH, content=content, headers={n: v for n, v in given.items() if v})


def test_what_a_sender_is_told(database_path: Path, books: Books) -> None:
    """Processed, duplicate and stale are 200 and say so; the answer is not to be kept."""

    async def go(caller: httpx2.AsyncClient) -> list[Any]:
        told = []
        for content in (
            body("b", "o", sequence=2, status="packed", items=[(1, "1.5", "kg")]),
            body("b", "o", sequence=2, status="packed", items=[(1, "1.5", "kg")]).replace(b",", b" ,\n"),
            body("a", "o", sequence=1, status="created"),
            body("bare"),
        ):
            answer = await send(caller, content)
            assert answer.headers["cache-control"] == "no-store"
            told.append((answer.status_code, answer.json()))
        return told

    assert calls(database_path, go, SIGNED) == [
        (200, {"status": "processed"}),
        (200, {"status": "duplicate ignored"}),
        (200, {"status": "stale ignored"}),
        (200, {"status": "processed"}),
    ]
    assert books.stock() == {1: 8500}


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook_signature": ""},
        {"webhook_id": ""},
        {"webhook_timestamp": ""},
        {"webhook_timestamp": "1614265330"},
        {"webhook_signature": "v1,AAAA"},
        {"webhook_signature": "no comma"},
        {"webhook_id": "other"},
    ],
)
def test_a_delivery_without_its_signature(database_path: Path, books: Books, headers: dict[str, str]) -> None:
    """Without a right signature nothing is read, recorded or kept, and the answer is 401."""

    async def go(caller: httpx2.AsyncClient) -> None:
        for content in (body("a"), b"{no json"):
            answer = await send(caller, content, **headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "StandardWebhooks"
            assert answer.json()["error"]

    calls(database_path, go, SIGNED)
    assert (books.events(), books.letters()) == ([], [])


def test_the_signature_is_of_the_bytes(database_path: Path, books: Books) -> None:
    """A byte of whitespace under a right signature is another body, though its content be the same."""

    async def go(caller: httpx2.AsyncClient) -> None:
        content = body("a")
        for changed in (content + b" ", content.replace(b":", b": "), content[:-1]):
            answer = await caller.post(PATH, content=changed, headers=signed(content))
            assert answer.status_code == 401
        spaced = content.replace(b":", b" : ")
        assert (await send(caller, spaced)).json() == {"status": "processed"}

    calls(database_path, go, SIGNED)


def test_who_cannot_sign_spends_quota_and_who_can_never_does(database_path: Path, books: Books) -> None:
    """Forged deliveries are refused with 429 once the quota is spent; signed ones from there never are."""

    async def go(caller: httpx2.AsyncClient) -> None:
        forged = [(await send(caller, body("a"), webhook_id="x")).status_code for _ in range(7)]
        assert forged == [401] * 5 + [429] * 2
        answers = [await send(caller, body(f"e{number}")) for number in range(20)]
        assert {answer.status_code for answer in answers} == {200}
        assert "ratelimit" not in answers[0].headers

    calls(database_path, go, SIGNED | {"FARMLOKAL_RATE_LIMIT": "5/86400s;burst=5"})


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"null", b"[" * 100_000, b'{"eventId":"a","n":' + b"1" * 5000 + b"}"),
        *(
            b'{"eventId":"\\ud800"}',
            b'{"eventId":"a","eventId":"b"}',
            b'{"eventId":NaN}',
            b'{"eventId":"a",}',
        ),
        *(body("x" * 256), body("a", "o", sequence=-1), body("a", "o", items=[{"productId": 1}])),
    ],
)
def test_what_cannot_be_read_is_refused_and_kept(database_path: Path, books: Books, content: bytes) -> None:
    """A signed delivery that is no event is a 400, kept once for a person, and nothing is recorded."""

    async def go(caller: httpx2.AsyncClient) -> None:
        for _ in range(2):
            answer = await send(caller, content)
            assert answer.status_code == 400
            assert answer.json()["errors"]

    calls(database_path, go, SIGNED)
    [(kind, reason, times)] = books.letters()
    assert (kind, bool(reason), times) == ("malformed", True, 2)
    assert books.events() == []


def test_an_id_with_other_content_is_kept_for_a_person(database_path: Path, books: Books) -> None:
    """The same id with another content is a 422 however often it is sent, kept once, and never applied."""

    async def go(caller: httpx2.AsyncClient) -> None:
        assert (await send(caller, body("a", "o", items=[(1, 1, "kg")]))).status_code == 200
        for _ in range(3):
            assert (await send(caller, body("a", "o", items=[(1, 2, "kg")]))).status_code == 422
        assert (await send(caller, body("a", "o", items=[(1, 1, "kg")]))).json()[
            "status"
        ] == "duplicate ignored"

    calls(database_path, go, SIGNED)
    assert [(kind, times) for kind, _, times in books.letters()] == [("mismatched", 3)]
    assert books.stock() == {1: 9000}


@pytest.mark.parametrize("bug", [False, True], ids=["unknown product", "a bug"])
def test_poison_becomes_a_dead_letter(database_path: Path, books: Books, shelf: Shelf, bug: bool) -> None:
    """An event that cannot be applied is refused, and after five attempts kept for a person; others go on.
    When its cause is mended, a resend is applied, once."""
    poison = body("poison", "o", items=[] if bug else [(2, 1, "kg")])

    async def fail(caller: httpx2.AsyncClient) -> None:
        for attempt in range(1, ATTEMPTS + 2):
            answer = await send(caller, poison)
            assert answer.status_code == (503 if bug and attempt < ATTEMPTS else 422)
            assert [each for each, _, _ in books.letters()] == ["failing" if attempt < ATTEMPTS else "dead"]
            assert (await send(caller, body(f"e{attempt}", "o"))).status_code == 200
        counted = (await caller.get("/metrics")).json()["webhooks"]
        assert counted == {"dead": 2, "failed": 4, "processed": 6}

    async def mended(caller: httpx2.AsyncClient) -> list[str]:
        return [(await send(caller, poison)).json()["status"] for _ in range(2)]

    if bug:
        with poisoned(shelf.connection, "poison"):
            calls(database_path, fail, SIGNED)
    else:
        calls(database_path, fail, SIGNED)
        assert shelf.product(stock_milli=5000) == 2
    [(kind, reason, attempts)] = books.letters()
    assert (kind, attempts) == ("dead", ATTEMPTS + 1)
    assert reason == ("a bug of ours: IntegrityError" if bug else "There is no product 2.")
    assert calls(database_path, mended, SIGNED) == ["processed", "duplicate ignored"]
    assert books.stock() == ({1: 10_000} if bug else {1: 10_000, 2: 4000})


def test_bodies_that_are_not_taken(database_path: Path, books: Books) -> None:
    """Too large, said to be something else, or compressed: refused before anything is checked."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES // 1000 + 2):
            yield b" " * 1000

    async def go(caller: httpx2.AsyncClient) -> None:
        large = body("a")[:-1] + b" " * BODY_BYTES + b"}"
        assert (await send(caller, large)).status_code == 413
        assert (await caller.post(PATH, content=pieces(), headers=signed(b""))).status_code == 413
        fitting = body("a") + b" " * (BODY_BYTES - len(body("a")))
        assert (await send(caller, fitting)).status_code == 200
        for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            assert (await send(caller, body("b"), content_type=media_type)).status_code == 415
        assert (await send(caller, body("b"), content_encoding="gzip")).status_code == 415
        for media_type in (
            "application/json; charset=utf-8",
            "application/cloudevents+json",
            "APPLICATION/JSON",
        ):
            assert (await send(caller, body("c"), content_type=media_type)).status_code == 200

    calls(database_path, go, SIGNED)
    assert [name for name, _ in books.events()] == ["a", "c"]


def test_other_methods_and_paths(database_path: Path, books: Books) -> None:
    """The path takes POST and says so; what is below it and is not there is a 404."""

    async def go(caller: httpx2.AsyncClient) -> None:
        answer = await caller.get(PATH)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert (await caller.options(PATH)).headers["allow"] == "POST"
        assert (await caller.post("/webhook/nobody/order-update", content=body("a"))).status_code == 404

    calls(database_path, go, SIGNED)


def test_development_takes_unsigned_events(database_path: Path, books: Books) -> None:
    """Without a secret, which only development may be, nobody has to sign; with one, everybody has."""

    async def unsigned(caller: httpx2.AsyncClient) -> int:
        return (await caller.post(PATH, content=body("a"))).status_code

    assert calls(database_path, unsigned) == 200
    assert calls(database_path, unsigned, SIGNED) == 401


def test_the_database_away(database_path: Path, books: Books) -> None:
    """While the database takes no writes even what only has to be kept is to be sent again."""

    async def go(caller: httpx2.AsyncClient) -> None:
        blocker.execute("BEGIN IMMEDIATE")
        answer = await send(caller, b"{")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        blocker.execute("ROLLBACK")
        assert (await send(caller, b"{")).status_code == 400

    with closing(connect(database_path)) as blocker:
        calls(database_path, go, SIGNED)
