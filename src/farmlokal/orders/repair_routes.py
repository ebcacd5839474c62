"""Dead letters over HTTP, for tokens with the scope `orders:repair`."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from farmlokal.errors import Fault, Invalid
from farmlokal.orders import representation
from farmlokal.orders.letters import Kind
from farmlokal.orders.repair import Repair
from farmlokal.platform.keyset.parameters import CURSOR, LIMIT
from farmlokal.platform.web.openapi import Operation
from farmlokal.platform.web.parameters import ID_CEILING, NotAccepted, Parameter, integer, one_of, read

SCOPE = "orders:repair"
Authorize = Callable[[Any, str], Awaitable[object]]
"""Takes a request's scope and the one a token needs. Raises `Unauthenticated` or `Forbidden`."""

PRIVATE = {"cache-control": "private, no-store"}

_ID = integer(1, ID_CEILING)
_KIND = Parameter(
    "kind", one_of(*Kind), "Only letters of this kind; all but `failing` where it is not said.", "dead"
)


class RepairRoutes:
    """The endpoints."""

    def __init__(self, authorize: Authorize, repair: Repair) -> None:
        self._authorize = authorize
        self._repair = repair

    async def letters(self, request: Request) -> Response:
        """GET /api/webhooks/dead-letters."""
        await self._authorize(request.scope, SCOPE)
        given = read(request.scope["query_string"], [LIMIT, CURSOR, _KIND])
        kind = None if given["kind"] is None else Kind(given["kind"])
        return _json(await self._repair.page(kind, given["limit"], given["cursor"]))

    async def replay(self, request: Request) -> Response:
        """POST /api/webhooks/dead-letters/{id}/replay."""
        await self._authorize(request.scope, SCOPE)
        read(request.scope["query_string"], [])
        try:
            letter_id: int = _ID.parse(request.path_params["id"])
        except NotAccepted as refusal:
            raise Invalid.because([Fault("id", str(refusal), _ID.accepted)]) from None
        outcome = await self._repair.replay(letter_id)
        return _json(representation.Recorded(outcome.value))

    @property
    def operations(self) -> list[Operation]:
        """Every endpoint with its description."""
        refused = (HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE)
        return [
            Operation(
                "/api/webhooks/dead-letters",
                self.letters,
                "listDeadLetters",
                "Deliveries that could not be applied, newest first",
                representation.DeadLetterPage,
                "orders",
                parameters=[LIMIT, CURSOR, _KIND],
                refusals=refused,
                scope=SCOPE,
            ),
            Operation(
                "/api/webhooks/dead-letters/{id}/replay",
                self.replay,
                "replayDeadLetter",
                "Apply a delivery again: it has its effect once, however often it is replayed",
                representation.Recorded,
                "orders",
                method="POST",
                path_parameters=[Parameter("id", _ID, "The id of a dead letter.", 1)],
                refusals=[
                    *refused,
                    *(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
                ],
                scope=SCOPE,
            ),
        ]


def _json(value: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(value), HTTPStatus.OK, PRIVATE, "application/json")
