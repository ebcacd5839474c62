"""Events of senders that sign in a way of their own: who is believed, what their forms mean, over HTTP."""

import base64
import hmac
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from farmlokal.orders.models import Place
from farmlokal.orders.receiver import Source
from farmlokal.orders.signature import Unsigned
from farmlokal.orders.sources import SENDERS
from tests.support.asgi import application, calling
from tests.support.catalogue import Shelf, connect, run
from tests.support.orders import SECRET, Books, body

OLD = b"the-secret-before-it-which-is-long"
SETTINGS = {
    "FARMLOKAL_WEBHOOK_SECRETS": SECRET.decode(),
    "FARMLOKAL_WEBHOOK_SOURCES": f"github={SECRET.decode()},github={OLD.decode()},shopify={OLD.decode()}",
}
IDS = {"razorpay": "x-razorpay-event-id", "shopify": "x-shopify-webhook-id", "github": "x-github-delivery"}


def headers(source: str, content: bytes, event_id: str | None, secret: bytes = SECRET) -> dict[str, str]:
    """A delivery as this sender makes it."""
    mac = hmac.digest(secret, content, "sha256")
    signature = {
        "razorpay": ("x-razorpay-signature", mac.hex()),
        "shopify": ("x-shopify-hmac-sha256", base64.b64encode(mac).decode()),
        "github": ("x-hub-signature-256", f"sha256={mac.hex()}"),
    }
    given = dict([signature[source], ("content-type", "application/json")])
    return given if event_id is None else given | {IDS[source]: event_id}


@pytest.fixture
def books(database_path: Path, shelf: Shelf) -> Iterator[Books]:
    """What is in the database, which has 10 kg of product 1."""
    shelf.product(stock_milli=10_000)
    with closing(connect(database_path)) as connection:
        yield Books(connection)


def calls(
    database: Path, work: Callable[[httpx2.AsyncClient], Awaitable[Any]], more: Mapping[str, str] = SETTINGS
) -> Any:
    """Run calls against an application of these settings."""

    async def go() -> Any:
        async with calling(application(database, more)) as caller:
            return await work(caller)

    return run(go())


def path(source: str) -> str:
    """Where its events go."""
    return f"/webhook/{source}/order-update"


@pytest.mark.parametrize(
    ("source", "secret", "content", "header", "signature"),
    [
        (
            "razorpay",
            b"123456",
            b'{"a":1,"b":2,"c":{"d":3}}',
            b"x-razorpay-signature",
            b"2fe04e22977002e6c7cb553adab8b460cb9e2a4970d5953cb27a8472752e3bbc",
        ),
        (
            "shopify",
            b"test_secret_key",
            b'{"foo": "bar"}',
            b"x-shopify-hmac-sha256",
            b"B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g=",
        ),
        (
            "github",
            b"It's a Secret to Everybody",
            b"Hello, World!",
            b"x-hub-signature-256",
            b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        ),
    ],
)
def test_the_published_vectors(
    source: str, secret: bytes, content: bytes, header: bytes, signature: bytes
) -> None:
    """Each scheme takes the vector that is published for it, with any of its secrets, and nothing else."""
    scheme = SENDERS[source].scheme
    scheme([secret]).verify({header: [signature]}, content, 0)
    scheme([b"another", secret]).verify({header: [signature]}, content, 0)
    for secrets, given, changed in (
        ([b"another"], signature, content),
        ([secret], signature, content + b" "),
        ([secret], signature[:-2] + b"00", content),
        ([secret], b"", content),
    ):
        with pytest.raises(Unsigned):
            scheme(secrets).verify({header: [given]}, changed, 0)
    with pytest.raises(ValueError, match="secret"):
        scheme([b""])


RAZORPAY = {
    "entity": "event",
    "event": "order.paid",
    "payload": {
        "payment": {"entity": {"id": "pay_1", "order_id": "order_7", "status": "captured"}},
        "order": {"entity": {"id": "order_7", "status": "paid"}},
    },
    "created_at": 1_785_000_000,
}
SHOPIFY = {
    "id": 820982911946154508,
    "financial_status": "paid",
    "fulfillment_status": None,
    "cancelled_at": None,
    "updated_at": "2026-07-25T12:00:00-04:00",
    "line_items": [{"id": 1, "product_id": 632910392, "quantity": 2}],
}


@pytest.mark.parametrize(
    ("source", "content", "order_key", "status", "at_us"),
    [
        ("razorpay", RAZORPAY, b"razorpay:order_7", "accepted", 1_785_000_000_000_000),
        (
            "razorpay",
            RAZORPAY | {"event": "refund.processed", "payload": {"payment": {"entity": {"order_id": "o"}}}},
            b"razorpay:o",
            "refund.processed",
            1_785_000_000_000_000,
        ),
        ("razorpay", {"event": "x" * 99, "payload": []}, None, "x" * 40, None),
        ("shopify", SHOPIFY, b"shopify:820982911946154508", "accepted", 1_784_995_200_000_000),
        (
            "shopify",
            SHOPIFY | {"fulfillment_status": "fulfilled"},
            b"shopify:820982911946154508",
            "out_for_delivery",
            1_784_995_200_000_000,
        ),
        (
            "shopify",
            SHOPIFY | {"cancelled_at": "2026-07-25T12:00:00-04:00"},
            b"shopify:820982911946154508",
            "cancelled",
            1_784_995_200_000_000,
        ),
        ("shopify", {"id": 5, "order_id": 7, "transactions": []}, b"shopify:7", None, None),
        ("github", {"zen": "Design for failure.", "hook_id": 30}, None, None, None),
        ("github", {"orderId": "7", "status": "packed"}, b"github:7", "packed", None),
    ],
)
def test_what_their_forms_mean(
    source: str, content: dict[str, Any], order_key: bytes | None, status: str | None, at_us: int | None
) -> None:
    """Bodies in the sender's own form become events of its own orders; what is not about an order changes
    nothing."""
    sender = SENDERS[source]
    read = Source(source, None, sender.id_headers, sender.translate).read
    event = read(msgspec.json.encode(content), b"id")
    assert (event.order_key, event.status, event.occurred_at_us) == (order_key, status, at_us)
    assert (event.source, event.event_id, event.items) == (source, b"id", None)
    assert Place.of(event.place).event_id == b"id"


def test_over_http(database_path: Path, books: Books) -> None:
    """An event of each sender is processed once, by any of its secrets; the id of the body wins over that of
    the headers; a sender without a secret here is a 404."""

    async def go(caller: httpx2.AsyncClient) -> None:
        async def send(source: str, content: bytes, event_id: str | None, secret: bytes = SECRET) -> Any:
            given = headers(source, content, event_id, secret)
            answer = await caller.post(path(source), content=content, headers=given)
            return answer.status_code, answer.json().get("status" if answer.status_code == 200 else "error")

        content = b'{"orderId": "o", "status": "created", "items": [{"productId": 1, "quantity": 2}]}'
        assert await send("github", content, "a") == (200, "processed")
        assert await send("github", content, "a", OLD) == (200, "duplicate ignored")
        assert (await send("github", content, "b", b"neither"))[0] == 401
        assert await send("github", body("own", "o"), "a") == (200, "processed")
        assert await send("github", body("own", "o"), "z") == (200, "duplicate ignored")
        assert await send("github", content, None) == (400, "Missing eventId")
        assert (await send("github", content.replace(b"2", b"3"), "a"))[0] == 422
        order = msgspec.json.encode(SHOPIFY)
        assert await send("shopify", order, "w", OLD) == (200, "processed")
        assert (await send("shopify", order, "w", SECRET))[0] == 401
        for unknown in ("razorpay", "standard"):
            answer = await caller.post(path(unknown), content=body("x"), headers={})
            assert answer.status_code == 404

    calls(database_path, go)
    assert [name for name, _ in books.events()] == ["a", "own", "w"]
    assert set(books.orders()) == {"github:o", "shopify:820982911946154508"}
    assert books.stock() == {1: 8000}


@pytest.mark.parametrize("identity", ["x" * 256, "a b", "\u00e9", "a\x7f"])
def test_an_id_of_headers_that_is_none(database_path: Path, books: Books, identity: str) -> None:
    """An id in a header is printable ASCII and given once; anything else is refused and kept, never cut."""

    async def go(caller: httpx2.AsyncClient) -> None:
        content = b'{"orderId": "o"}'
        signed = headers("github", content, None)
        given = [(name.encode(), value.encode()) for name, value in signed.items()]
        for more in ([identity.encode("latin-1")], [b"a", b"b"]):
            ids = [(b"x-github-delivery", value) for value in more]
            answer = await caller.post(path("github"), content=content, headers=[*given, *ids])
            assert answer.status_code == 400

    calls(database_path, go)
    assert books.events() == []
    assert [kind for kind, *_ in books.letters()] == ["malformed"]
