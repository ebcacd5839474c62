"""Suppliers over HTTP."""

import asyncio
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any

from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from farmlokal.errors import Unavailable
from farmlokal.platform.web import negotiation
from farmlokal.platform.web.openapi import Operation
from farmlokal.platform.web.parameters import Parameter, integer, read
from farmlokal.suppliers.external import UNAVAILABLE, UNSET_S, ExternalProducts, Meta, Products

_PARAMETERS = (
    Parameter("limit", integer(1, 100), "How many products; without it the supplier decides.", 2),
    Parameter("skip", integer(0, 1_000_000), "How many to leave out before them.", 0),
)


class SupplierPage(Struct, frozen=True):
    """What the supplier answered, invalid items left out, and where it is from."""

    products: list[dict[str, Any]]
    total: int
    skip: int
    limit: int
    meta: Meta


class SupplierRoutes:
    """The endpoints. `external` is None where no supplier is set."""

    def __init__(self, external: ExternalProducts | None) -> None:
        self._external = external

    async def products(self, request: Request) -> Response:
        """GET /external/products."""
        if not negotiation.accepts(", ".join(request.headers.getlist("accept")), "application/json"):
            raise HTTPException(HTTPStatus.NOT_ACCEPTABLE, "this endpoint answers in JSON")
        given = read(request.scope["query_string"], _PARAMETERS)
        if self._external is None:
            raise Unavailable(UNAVAILABLE, retry_after_s=UNSET_S)
        page = await _unless_gone(request, self._external.page(given["limit"], given["skip"]))
        headers = {"cache-control": "no-store"}
        if page.age_s is not None:
            headers["age"] = str(page.age_s)
        return Response(page.body, HTTPStatus.OK, headers, "application/json")

    @property
    def operations(self) -> list[Operation]:
        """Every endpoint with its description."""
        return [
            Operation(
                "/external/products",
                self.products,
                "listExternalProducts",
                "The products of the supplier, as it answers",
                SupplierPage,
                "suppliers",
                description=_DESCRIPTION,
                parameters=_PARAMETERS,
                more_headers={"Age": _AGE},
                refusals=[
                    HTTPStatus.BAD_REQUEST,
                    HTTPStatus.NOT_ACCEPTABLE,
                    HTTPStatus.SERVICE_UNAVAILABLE,
                ],
            )
        ]


async def _unless_gone(request: Request, work: Coroutine[Any, Any, Products]) -> Products:
    """What the work brings; it is cancelled when the caller leaves, so that nobody is called for nobody."""
    tasks = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise ClientDisconnect
        return tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


_AGE = {
    "description": "Seconds since the supplier gave this answer; only where it has none now.",
    "schema": {"type": "integer", "minimum": 1},
}
_DESCRIPTION = (
    "Answered within 4 s, after at most three attempts. Where the supplier fails, its last good answer to the"
    " same question is served for 24 h, with `Age` and `meta.stale`; where there is none, or it says that"
    " there is no such thing, 503, whatever went wrong. Invalid items are left out and counted in"
    " `meta.dropped`."
)
