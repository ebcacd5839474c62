"""Orders over HTTP: events in."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from farmlokal.errors import NotFound
from farmlokal.orders.event import STANDARD
from farmlokal.orders.receiver import Receiver, Source
from farmlokal.orders.representation import EventBody, Recorded
from farmlokal.orders.signature import Unsigned, headers_of
from farmlokal.orders.sources import SENDERS
from farmlokal.platform.web.body import read_body, require_json
from farmlokal.platform.web.openapi import Body, Operation
from farmlokal.platform.web.parameters import Parameter, one_of

BODY_BYTES = 256 * 1024
"""Longest body of an event."""


class Charge(Protocol):
    """The quota of those who cannot sign: raises `RateLimited` for who has none left, else takes some."""

    async def __call__(self, request: Request) -> None: ...


class WebhookRoutes:
    """The endpoints that take events: `sources` by name, of which `STANDARD` is our own."""

    def __init__(self, receiver: Receiver, sources: Mapping[str, Source], charge: Charge) -> None:
        self._receiver = receiver
        self._sources = sources
        self._charge = charge

    async def receive(self, request: Request) -> Response:
        """POST /webhook/order-update."""
        return await self._received(request, self._sources[STANDARD])

    async def receive_from(self, request: Request) -> Response:
        """POST /webhook/{source}/order-update."""
        name = request.path_params["source"]
        if name == STANDARD or name not in self._sources:
            raise NotFound("No such source of events is set up here.")
        return await self._received(request, self._sources[name])

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
        given: dict[str, Any] = {
            "tag": "orders",
            "method": "POST",
            "body": Body("application/json", EventBody, _EXAMPLE),
            "limited": False,
        }
        return [
            Operation(
                "/webhook/order-update",
                self.receive,
                "receiveEvent",
                "Take an event of an order: it has its effect once, however often it is sent",
                Recorded,
                description=f"Signed as Standard Webhooks has it. {_PROMISE}",
                refusals=_REFUSALS,
                **given,
            ),
            Operation(
                "/webhook/{source}/order-update",
                self.receive_from,
                "receiveEventFrom",
                "Take an event of a sender that signs in a way of its own",
                Recorded,
                description=_FOREIGN + _PROMISE,
                path_parameters=[Parameter("source", one_of(*SENDERS), "Who sends.", "github")],
                refusals=[*_REFUSALS, HTTPStatus.NOT_FOUND],
                **given,
            ),
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
_FOREIGN = (
    "The body is signed as the sender does it, and is in the sender's form or in ours. A sender that is not"
    " set up here is a 404. "
)
_PROMISE = (
    "A 200 says that the event and all that it changes are committed;"
    " after any other answer, or none, send it again. An order is what its greatest event says, by"
    " `sequence`, then `occurredAt`, then the bytes of `eventId`; the order of arrival decides nothing."
)
