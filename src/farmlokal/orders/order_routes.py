"""Orders over HTTP, read: for tokens with the scope `orders:read`, and kept by nobody on the way."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from farmlokal.orders import representation
from farmlokal.orders.models import KEY_BYTES
from farmlokal.orders.query import PARAMETERS, OrdersQuery
from farmlokal.orders.service import Orders
from farmlokal.platform.web.openapi import Operation
from farmlokal.platform.web.parameters import Kind, Parameter, read

SCOPE = "orders:read"
Authorize = Callable[[Any, str], Awaitable[object]]
"""Takes a request's scope and the one a token needs. Raises `Unauthenticated` or `Forbidden`."""

PRIVATE = {"cache-control": "private, no-store"}

_ID = Kind(str, f"text of 1 to {KEY_BYTES} bytes", {"type": "string", "minLength": 1})


class OrderRoutes:
    """The endpoints."""

    def __init__(self, authorize: Authorize, orders: Orders) -> None:
        self._authorize = authorize
        self._service = orders

    async def orders(self, request: Request) -> Response:
        """GET /api/orders."""
        await self._authorize(request.scope, SCOPE)
        query = OrdersQuery.parse(request.scope["query_string"])
        return _json(await self._service.page(query))

    async def order(self, request: Request) -> Response:
        """GET /api/orders/{id}."""
        await self._authorize(request.scope, SCOPE)
        read(request.scope["query_string"], [])
        return _json(await self._service.order(request.path_params["id"]))

    @property
    def operations(self) -> list[Operation]:
        """Every endpoint with its description."""
        refused = (HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE)
        return [
            Operation(
                "/api/orders",
                self.orders,
                "listOrders",
                "A page of orders",
                representation.OrderPage,
                "orders",
                description=_LAW,
                parameters=PARAMETERS,
                refusals=refused,
                scope=SCOPE,
            ),
            # An id is the sender's, and may have slashes.
            Operation(
                "/api/orders/{id:path}",
                self.order,
                "getOrder",
                "One order with its history",
                representation.OrderDetail,
                "orders",
                description=_HISTORY,
                path_parameters=[Parameter("id", _ID, "The id that its sender gave the order.", "order_1")],
                refusals=[*refused, HTTPStatus.NOT_FOUND],
                scope=SCOPE,
            ),
        ]


_LAW = (
    "Follow `nextCursor` until it is null: the walk visits every order that exists and keeps its sort key for"
    " the whole walk exactly once. By `updatedAt` an order that changes meanwhile may come again."
)
_HISTORY = (
    "The history is in the order of events (`sequence`, `occurredAt`, `eventId`), whatever the order of"
    " arrival; `impossibleAfter` marks a step that cannot have been, such as delivered after cancelled."
)


def _json(value: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(value), HTTPStatus.OK, PRIVATE, "application/json")
