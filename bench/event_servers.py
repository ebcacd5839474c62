"""Three small servers that take the same signed events, for `event_speed`: two that record them as
FarmLokal does, with shared commits and with a transaction each, and one that only asks Valkey for the id.

The last one is what the first system did: it stores nothing, and checks no signature.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from farmlokal.orders.commits import SharedCommits
from farmlokal.orders.event import STANDARD
from farmlokal.orders.inbox import Inbox, Outcome
from farmlokal.orders.letters import DeadLetters
from farmlokal.orders.models import OrderEvent
from farmlokal.orders.receiver import Receiver, Source
from farmlokal.orders.signature import StandardWebhooks, headers_of
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database import database_at
from farmlokal.platform.database.port import Database
from farmlokal.platform.metrics import WebhookCounts

POOL = 20
"""Connections to the database: with a transaction an event so many are under way at once."""

Submit = Callable[[OrderEvent], Awaitable[Outcome]]
Opened = Callable[[Database], AbstractAsyncContextManager[Submit]]

_ANSWERS = {outcome: msgspec.json.encode({"status": outcome.value}) for outcome in Outcome}


def shared() -> ASGIApp:
    """Waiting events share a commit."""

    @asynccontextmanager
    async def opened(database: Database) -> AsyncIterator[Submit]:
        commits = SharedCommits(Inbox(database, SystemClock()).record)
        await commits.open()
        try:
            yield commits.submit
        finally:
            await commits.close()

    return _recording(opened)


def one_each() -> ASGIApp:
    """Every event has a transaction of its own."""

    @asynccontextmanager
    async def opened(database: Database) -> AsyncIterator[Submit]:
        inbox = Inbox(database, SystemClock())

        async def submit(event: OrderEvent) -> Outcome:
            [result] = await inbox.record([event], wait=True)
            if isinstance(result, Outcome):
                return result
            raise result

        yield submit

    return _recording(opened)


def setnx() -> ASGIApp:
    """`SET key 1 NX` and nothing else."""
    import redis.asyncio

    client = redis.asyncio.from_url(os.environ["BENCH_REDIS_URL"], max_connections=64)

    async def receive(request: Request) -> Response:
        event_id = msgspec.json.decode(await request.body())["eventId"]
        fresh = await client.set(f"event:{event_id}", b"1", nx=True, ex=86_400)
        return Response(_ANSWERS[Outcome.PROCESSED if fresh else Outcome.DUPLICATE])

    return Router([Route("/webhook/order-update", receive, methods=["POST"])])


def _recording(opened: Opened) -> ASGIApp:
    clock = SystemClock()
    database = database_at(os.environ["FARMLOKAL_DATABASE_URL"], POOL, None)
    source = Source(STANDARD, StandardWebhooks([os.environ["BENCH_SECRET"].encode()]))
    receivers: list[Receiver] = []

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await database.open()
            stack.push_async_callback(database.close)
            submit = await stack.enter_async_context(opened(database))
            receivers.append(Receiver(submit, DeadLetters(database, clock), WebhookCounts(), clock))
            yield

    async def receive(request: Request) -> Response:
        body = await request.body()
        outcome = await receivers[0].receive(source, headers_of(request.scope["headers"]), body)
        return Response(_ANSWERS[outcome])

    return Router([Route("/webhook/order-update", receive, methods=["POST"])], lifespan=lifespan)
