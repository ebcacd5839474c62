"""Writes of the catalogue over HTTP. All of them need the scope `catalog:write`; none is ever cached."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from farmlokal.catalog import edit_examples as examples
from farmlokal.catalog import kinds, representation
from farmlokal.catalog.editing import members
from farmlokal.catalog.editing.bulk import BODY_BYTES, BulkEditor, LineResult
from farmlokal.catalog.editing.service import CatalogueEditor
from farmlokal.catalog.listing import LANGUAGES
from farmlokal.catalog.service import Catalogue
from farmlokal.errors import DomainError, Fault, Invalid, PreconditionFailed
from farmlokal.oauth.models import Principal
from farmlokal.platform.web import problem
from farmlokal.platform.web.answers import held
from farmlokal.platform.web.body import read_body
from farmlokal.platform.web.content import Content
from farmlokal.platform.web.openapi import Body, Operation
from farmlokal.platform.web.parameters import Parameter, in_path, read

SCOPE = "catalog:write"
Authorize = Callable[[Any, str], Awaitable[Principal]]
"""Takes a request's scope and the one a token needs. Raises `Unauthenticated` or `Forbidden`."""

MEMBER_BYTES = 65_536
"""Largest body of one product: its longest members together have 20 kB."""

JSON = ("application/json",)
PATCH = ("application/merge-patch+json", "application/json")
NDJSON = ("application/x-ndjson", "application/ndjson")

_KEY = re.compile(r'"([!-~]{1,198})"|([!#-~]{1,200})')  # an item of Structured Fields, or plainly the text


class EditRoutes:
    """The endpoints. What is answered is what a `GET` would be."""

    def __init__(
        self, authorize: Authorize, editor: CatalogueEditor, bulk: BulkEditor, catalogue: Catalogue
    ) -> None:
        self._authorize = authorize
        self._editor = editor
        self._bulk = bulk
        self._catalogue = catalogue
        self._log = structlog.get_logger("farmlokal.catalog")

    async def create_product(self, request: Request) -> Response:
        """POST /api/products."""
        return await self._create(request, "product")

    async def create_seller(self, request: Request) -> Response:
        """POST /api/sellers."""
        return await self._create(request, "seller")

    async def change_product(self, request: Request) -> Response:
        """PATCH /api/products/{id}."""
        return await self._change(request, "product")

    async def change_seller(self, request: Request) -> Response:
        """PATCH /api/sellers/{id}."""
        return await self._change(request, "seller")

    async def delete_product(self, request: Request) -> Response:
        """DELETE /api/products/{id}."""
        return await self._delete(request, "product")

    async def delete_seller(self, request: Request) -> Response:
        """DELETE /api/sellers/{id}."""
        return await self._delete(request, "seller")

    async def bulk(self, request: Request) -> Response:
        """POST /api/products:bulk."""
        by = await self._authorize(request.scope, SCOPE)
        read(request.scope["query_string"], [])
        _require_type(request, NDJSON)
        key = _idempotency_key(request.headers.getlist("idempotency-key"))
        body = await read_body(request, BODY_BYTES)
        results = await self._bulk.run(by, key, body)
        return StreamingResponse(
            self._to_the_end(results), media_type=NDJSON[0], headers={"cache-control": "no-store"}
        )

    async def _create(self, request: Request, kind: str) -> Response:
        by = await self._authorize(request.scope, SCOPE)
        given = await _document(request, JSON)
        edited = await self._editor.create(by, kind, given)
        location = f"/api/{kind}s/{edited.id}"
        return await self._shown(kind, edited.id, HTTPStatus.CREATED, {"location": location})

    async def _change(self, request: Request, kind: str) -> Response:
        by = await self._authorize(request.scope, SCOPE)
        identity = in_path(request.path_params, "id", kinds.ID)
        patch = await _document(request, PATCH)
        version = await self._version(request, kind, identity)
        await self._editor.change(by, kind, identity, patch, version)
        return await self._shown(kind, identity, HTTPStatus.OK, {})

    async def _delete(self, request: Request, kind: str) -> Response:
        by = await self._authorize(request.scope, SCOPE)
        identity = in_path(request.path_params, "id", kinds.ID)
        read(request.scope["query_string"], [])
        version = await self._version(request, kind, identity)
        await self._editor.delete(by, kind, identity, version)
        return Response(status_code=HTTPStatus.NO_CONTENT, headers={"cache-control": "no-store"})

    async def _version(self, request: Request, kind: str, identity: int) -> int | None:
        """The version of the copy that If-Match names; None without one. Raises `PreconditionFailed`.

        The tag names bytes; from here on it is the version, which the transaction compares again.
        """
        given = request.headers.getlist("if-match")
        if not given:
            return None
        langs = LANGUAGES if kind == "product" else ("en",)
        shown = [await self._representation(kind, identity, lang) for lang in langs]
        if not held(given, [Content.of(each).tag for each in shown]):
            raise PreconditionFailed("It has changed since the copy that If-Match names.")
        return int(shown[0].version)

    async def _representation(self, kind: str, identity: int, lang: str = "en") -> Any:
        if kind == "product":
            return await self._catalogue.product(identity, lang)
        return await self._catalogue.seller(identity)

    async def _shown(self, kind: str, identity: int, status: HTTPStatus, headers: dict[str, str]) -> Response:
        content = Content.of(await self._representation(kind, identity))
        more = {"etag": f'"{content.tag}"', "cache-control": "no-store", **headers}
        return Response(content.body, status, more, "application/json")

    async def _to_the_end(self, results: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The results; where they cannot go on, a last line says so: the status was sent long ago."""
        try:
            async for batch in results:
                yield batch
        except DomainError as error:
            self._log.warning("bulk write cut off", because=error.detail)
            status = problem.of_error(error)[0]
            yield msgspec.json.encode(LineResult(0, status, detail=f"{error.detail} Send it again.")) + b"\n"

    @property
    def operations(self) -> list[Operation]:
        """Every endpoint with its description."""
        product = (
            representation.ProductDetail,
            members.PRODUCT,
            examples.PRODUCT_EXAMPLE,
            {"price": "44.00"},
        )
        seller = (representation.Seller, members.SELLER, examples.SELLER_EXAMPLE, {"postcode": "680002"})
        return [
            *self._operations(
                "product", *product, self.create_product, self.change_product, self.delete_product
            ),
            *self._operations("seller", *seller, self.create_seller, self.change_seller, self.delete_seller),
            Operation(
                "/api/products:bulk",
                self.bulk,
                "writeProducts",
                "Create, change and delete many products",
                LineResult,
                description=examples.BULK,
                method="POST",
                media_type=NDJSON[0],
                body=Body(NDJSON[0], {"type": "string"}, examples.BULK_EXAMPLE),
                headers=[examples.IDEMPOTENCY_KEY],
                refusals=[*_REFUSED, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY, *_BODIES],
                tag="catalogue",
                scope=SCOPE,
            ),
        ]

    def _operations(
        self,
        kind: str,
        answer: type[msgspec.Struct],
        known: tuple[str, ...],
        example: Any,
        patch: Any,
        create: Any,
        change: Any,
        delete: Any,
    ) -> list[Operation]:
        """Three for each kind."""
        name = kind.capitalize()
        given: dict[str, Any] = {"tag": "catalogue", "scope": SCOPE}
        schema = {"type": "object", "properties": {member: {} for member in known}}
        one: dict[str, Any] = {
            "path_parameters": [Parameter("id", kinds.ID, f"The id of a {kind}.", 1)],
            **given,
        }
        refusals = [*_REFUSED, HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED]
        return [
            Operation(
                f"/api/{kind}s",
                create,
                f"create{name}",
                f"A new {kind}",
                answer,
                method="POST",
                status=HTTPStatus.CREATED,
                body=Body(JSON[0], schema, example),
                refusals=[*_REFUSED, HTTPStatus.CONFLICT, *_BODIES],
                **given,
            ),
            Operation(
                f"/api/{kind}s/{{id}}",
                change,
                f"change{name}",
                f"A {kind} with a merge patch (RFC 7396) laid over it",
                answer,
                method="PATCH",
                body=Body(PATCH[0], schema, patch),
                headers=[examples.IF_MATCH],
                refusals=[*refusals, *_BODIES],
                **one,
            ),
            Operation(
                f"/api/{kind}s/{{id}}",
                delete,
                f"delete{name}",
                f"The {kind} is gone",
                None,
                method="DELETE",
                status=HTTPStatus.NO_CONTENT,
                headers=[examples.IF_MATCH],
                refusals=[*refusals, *([HTTPStatus.CONFLICT] if kind == "seller" else [])],
                **one,
            ),
        ]


async def _document(request: Request, types: tuple[str, ...]) -> members.Document:
    read(request.scope["query_string"], [])
    _require_type(request, types)
    return members.document(await read_body(request, MEMBER_BYTES))


def _require_type(request: Request, types: tuple[str, ...]) -> None:
    given = [each.partition(";")[0].strip().lower() for each in request.headers.getlist("content-type")]
    if len(given) != 1 or given[0] not in types:
        headers = {"accept-patch" if request.method == "PATCH" else "accept-post": ", ".join(types)}
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"This takes {types[0]}.", headers)


def _idempotency_key(given: list[str]) -> str:
    match = _KEY.fullmatch(given[0].strip()) if len(given) == 1 else None
    if match is None:
        accepted = (
            f'one, of 1 to {examples.KEY_BYTES} printable ASCII characters, such as "8e03978e-40d5-43dd"'
        )
        fault = Fault("Idempotency-Key", "malformed" if given else "missing", accepted)
        raise Invalid("This needs an Idempotency-Key.", fault)
    return str(match[1] or match[2])


_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE)
_BODIES = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
