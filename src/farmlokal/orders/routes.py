"""Orders over HTTP: events in."""

from http import HTTPStatus
from typing import Protocol

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from farmlokal.orders.receiver import Receiver, Source
from farmlokal.orders.representation import EventBody
from farmlokal.orders.signature import Unsigned, headers_of
from farmlokal.platform.web.body import read_body, require_json
from farmlokal.platform.web.openapi import Body, Operation

BODY_BYTES = 256 * 1024
"""Longest body of an event."""


class Recorded(Struct, frozen=True):
    """What came of the event: `processed`, `duplicate ignored` or `stale ignored`."""

    status: str


class Charge(Protocol):
    """The quota of those who cannot sign: raises `RateLimited` for who has none left, else takes some."""

    async def __call__(self, request: Request) -> None: ...


class WebhookRoutes:
    """The endpoint of our own form of events."""

    def __init__(self, receiver: Receiver, standard: Source, charge: Charge) -> None:
        self._receiver = receiver
        self._standard = standard
        self._charge = charge

    async def receive(self, request: Request) -> Response:
        """POST /webhook/order-update."""
        return await self._received(request, self._standard)

    async def _received(self, request: Request, source: Source) -> Response:
        require_json(request)
        body = await read_body(request, BODY_BYTES)
        try:
            outcome = await self._receiver.receive(source, headers_of(request.scope["headers"]), body)
        except Unsigned:
            await self._charge(request)
            raise
        answer = msgspec.json.encode(Recorded(outcome.value))
        return Response(answer, HTTPStatus.OK, {"cache-control": "no-store"}, "application/json")

    @property
    def operations(self) -> list[Operation]:
        """Every endpoint with its description."""
        return [
            Operation(
                "/webhook/order-update",
                self.receive,
                "receiveEvent",
                "Take an event of an order: it has its effect once, however often it is sent",
                Recorded,
                "orders",
                method="POST",
                body=Body("application/json", EventBody, _EXAMPLE),
                description=_PROMISE,
                refusals=_REFUSALS,
                limited=False,
            )
        ]


_EXAMPLE = {
    "eventId": "evt_1",
    "orderId": "order_1",
    "status": "placed",
    "occurredAt": "2026-07-24T06:30:00Z",
}
_REFUSALS = (
    *(HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT),
    *(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    *(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE),
)
_PROMISE = (
    "Signed as Standard Webhooks has it. A 200 says that the event and all that it changes are committed;"
    " after any other answer, or none, send it again. An order is what its greatest event says, by"
    " `sequence`, then `occurredAt`, then the bytes of `eventId`; the order of arrival decides nothing."
)
