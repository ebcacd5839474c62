"""Syncs over HTTP: who there is, start one, watch it, approve it."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from farmlokal.errors import NotFound
from farmlokal.platform.web.openapi import Operation
from farmlokal.platform.web.parameters import (
    BOOLEAN,
    ID_CEILING,
    NotAccepted,
    Parameter,
    integer,
    one_of,
    read,
)
from farmlokal.suppliers.representation import Job, SupplierList
from farmlokal.suppliers.schedule import Schedule
from farmlokal.suppliers.sync import SupplierSync

SEE, SYNC = "ops:read", "suppliers:sync"

Authorize = Callable[[Any, str], Awaitable[object]]
"""Takes a request's scope and the one a token needs. Raises `Unauthenticated` or `Forbidden`."""

_DRY_RUN = Parameter("dryRun", BOOLEAN, "Look at the difference, and write nothing.", default=False)
_ID = Parameter("id", integer(1, ID_CEILING), "The id of a job.", 1)


class SyncRoutes:
    """The endpoints. `listed` gives the suppliers as they are now."""

    def __init__(
        self,
        sync: SupplierSync,
        schedule: Schedule,
        listed: Callable[[], Awaitable[SupplierList]],
        authorize: Authorize,
    ) -> None:
        self._sync = sync
        self._schedule = schedule
        self._listed = listed
        self._authorize = authorize

    async def suppliers(self, request: Request) -> Response:
        """GET /api/suppliers."""
        await self._authorize(request.scope, SEE)
        read(request.scope["query_string"], [])
        return _json(await self._listed())

    async def start(self, request: Request) -> Response:
        """POST /api/suppliers/{name}/sync."""
        await self._authorize(request.scope, SYNC)
        given = read(request.scope["query_string"], [_DRY_RUN])
        turn = await self._sync.begin(request.path_params["name"], dry_run=given["dryRun"])
        self._schedule.run(turn)
        return await self._job(turn[0].id, HTTPStatus.ACCEPTED)

    async def job(self, request: Request) -> Response:
        """GET /api/jobs/{id}."""
        await self._authorize(request.scope, SYNC)
        read(request.scope["query_string"], [])
        return await self._job(_id(request), HTTPStatus.OK)

    async def approve(self, request: Request) -> Response:
        """POST /api/jobs/{id}/approve."""
        await self._authorize(request.scope, SYNC)
        read(request.scope["query_string"], [])
        turn = await self._sync.approve(_id(request))
        self._schedule.run(turn)
        return await self._job(turn[0].id, HTTPStatus.ACCEPTED)

    async def _job(self, identity: int, status: HTTPStatus) -> Response:
        location = {"location": f"/api/jobs/{identity}"} if status == HTTPStatus.ACCEPTED else {}
        return _json(await self._sync.job(identity), status, location)

    @property
    def operations(self) -> list[Operation]:
        """Every endpoint with its description."""
        return [*self._of_suppliers(), *self._of_jobs()]

    def _of_suppliers(self) -> list[Operation]:
        name = Parameter(
            "name",
            one_of(*self._sync.names or ["none"]),
            "Our name for a supplier.",
            next(iter(self._sync.names), None),
        )
        return [
            Operation(
                "/api/suppliers",
                self.suppliers,
                "listSuppliers",
                "Every supplier: its circuit, its token, its last sync",
                SupplierList,
                "suppliers",
                scope=SEE,
                refusals=[HTTPStatus.BAD_REQUEST],
            ),
            Operation(
                "/api/suppliers/{name}/sync",
                self.start,
                "syncSupplier",
                "Bring the catalogue up to date with a supplier",
                Job,
                "suppliers",
                description=_SYNC,
                method="POST",
                status=HTTPStatus.ACCEPTED,
                parameters=[_DRY_RUN],
                path_parameters=[name],
                more_headers=_LOCATION,
                scope=SYNC,
                refusals=[*_KNOWN, HTTPStatus.CONFLICT],
            ),
        ]

    def _of_jobs(self) -> list[Operation]:
        return [
            Operation(
                "/api/jobs/{id}",
                self.job,
                "getJob",
                "A sync: how far it is, what it changes, what it set aside",
                Job,
                "suppliers",
                path_parameters=[_ID],
                scope=SYNC,
                refusals=_KNOWN,
            ),
            Operation(
                "/api/jobs/{id}/approve",
                self.approve,
                "approveJob",
                "Let a sync that waits go on",
                Job,
                "suppliers",
                method="POST",
                status=HTTPStatus.ACCEPTED,
                path_parameters=[_ID],
                more_headers=_LOCATION,
                scope=SYNC,
                refusals=[*_KNOWN, HTTPStatus.CONFLICT],
            ),
        ]


def _id(request: Request) -> int:
    try:
        identity: int = _ID.kind.parse(request.path_params["id"])
    except NotAccepted:
        raise NotFound("There is no such job.") from None
    return identity


def _json(value: Struct, status: HTTPStatus = HTTPStatus.OK, more: dict[str, str] | None = None) -> Response:
    headers = {"cache-control": "no-store", **(more or {})}
    return Response(msgspec.json.encode(value), status, headers, "application/json")


_KNOWN = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)
_LOCATION = {"Location": {"description": "The job.", "schema": {"type": "string"}}}
_SYNC = (
    "All pages are fetched before anything is written. Offers are matched by the supplier's own ids; what it"
    " offers no more goes out of stock and stays; prices of ten times the last one or a tenth of it are set"
    " aside. A run that would take too many products out of stock, or change too many, waits for approval."
)
