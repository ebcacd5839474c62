"""The catalogue over HTTP: each route reads one request, asks the service once, answers once."""

from http import HTTPStatus
from typing import Any
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from farmlokal.catalog import kinds, representation
from farmlokal.catalog.cached import CachedAnswer, CataloguePages
from farmlokal.catalog.listing import FACET_PARAMETERS, PARAMETERS
from farmlokal.catalog.models import SellerKind
from farmlokal.catalog.service import Catalogue
from farmlokal.catalog.text import sort_key
from farmlokal.platform.cache import Outcome
from farmlokal.platform.keyset.parameters import CURSOR, LIMIT
from farmlokal.platform.web import negotiation
from farmlokal.platform.web.answers import PUBLIC, REVALIDATE, content_answer, json_answer
from farmlokal.platform.web.content import Content
from farmlokal.platform.web.fast_lane import lasting
from farmlokal.platform.web.openapi import Operation
from farmlokal.platform.web.parameters import Parameter, in_path, one_of, read

_LANG = next(parameter for parameter in PARAMETERS if parameter.name == "lang")
_PRODUCT_ID = Parameter("id", kinds.ID, "The id of a product.", 1)
_SELLER_ID = Parameter("id", kinds.ID, "The id of a seller.", 1)
_KIND = Parameter("kind", one_of(*SellerKind), "Only sellers of this kind.", "farm")
_SELLER_PARAMETERS = (LIMIT, CURSOR, kinds.STATE, kinds.DISTRICT, _KIND)


class CatalogueRoutes:
    """The endpoints, over one service."""

    def __init__(self, catalogue: Catalogue, pages: CataloguePages) -> None:
        self._catalogue = catalogue
        self._pages = pages

    async def products(self, request: Request) -> Response:
        """GET /api/products."""
        _accept(request)
        asked = self._pages.read(request.scope["query_string"])
        return _found(request, await self._pages.listing(asked))

    async def facets(self, request: Request) -> Response:
        """GET /api/facets."""
        _accept(request)
        return _found(request, await self._pages.facets(request.scope["query_string"]))

    async def product(self, request: Request) -> Response:
        """GET /api/products/{id}."""
        _accept(request)
        given = read(request.scope["query_string"], [_LANG])
        product = await self._catalogue.product(in_path(request.path_params, "id", kinds.ID), given["lang"])
        return json_answer(request, product, REVALIDATE)

    async def prices(self, request: Request) -> Response:
        """GET /api/products/{id}/prices."""
        _accept(request)
        given = read(request.scope["query_string"], [LIMIT, CURSOR])
        product_id = in_path(request.path_params, "id", kinds.ID)
        page = Content.of(await self._catalogue.prices(product_id, given["limit"], given["cursor"]))
        return content_answer(request, page, PUBLIC, _links(request, page))

    async def sellers(self, request: Request) -> Response:
        """GET /api/sellers."""
        _accept(request)
        given = read(request.scope["query_string"], _SELLER_PARAMETERS)
        limit, cursor = given.pop("limit"), given.pop("cursor")
        filters = {name: value for name, value in given.items() if value is not None}
        for name in ("state", "district"):
            if name in filters:
                filters[name] = sort_key(filters[name])
        return _found(request, await self._pages.sellers(filters, limit, cursor))

    async def seller(self, request: Request) -> Response:
        """GET /api/sellers/{id}."""
        _accept(request)
        read(request.scope["query_string"], [])
        seller_id = in_path(request.path_params, "id", kinds.ID)
        return json_answer(request, await self._catalogue.seller(seller_id), REVALIDATE)

    async def categories(self, request: Request) -> Response:
        """GET /api/categories."""
        _accept(request)
        read(request.scope["query_string"], [])
        return _found(request, await self._pages.categories())

    @property
    def operations(self) -> list[Operation]:
        """Every endpoint with its description."""
        return [*self._product_operations(), *self._other_operations()]

    def _product_operations(self) -> list[Operation]:
        return [
            Operation(
                "/api/products",
                self.products,
                "listProducts",
                "A page of products",
                representation.ProductPage,
                description=_LAW,
                parameters=PARAMETERS,
                **_LISTED,
            ),
            Operation(
                "/api/products/{id}",
                self.product,
                "getProduct",
                "One product, with all that is known of it",
                representation.ProductDetail,
                path_parameters=[_PRODUCT_ID],
                parameters=[_LANG],
                **_SINGLE,
            ),
            Operation(
                "/api/products/{id}/prices",
                self.prices,
                "listPrices",
                "A product's price history, newest first",
                representation.PricePage,
                path_parameters=[_PRODUCT_ID],
                parameters=[LIMIT, CURSOR],
                **_SINGLE,
            ),
        ]

    def _other_operations(self) -> list[Operation]:
        return [
            Operation(
                "/api/facets",
                self.facets,
                "countFacets",
                "How many products have which category, state, district, or are organic",
                representation.Facets,
                parameters=FACET_PARAMETERS,
                **_LISTED,
            ),
            Operation(
                "/api/categories",
                self.categories,
                "listCategories",
                "All categories with the number of their products",
                representation.Categories,
                **_LISTED,
            ),
            Operation(
                "/api/sellers",
                self.sellers,
                "listSellers",
                "A page of sellers, by id",
                representation.SellerPage,
                parameters=_SELLER_PARAMETERS,
                **_LISTED,
            ),
            Operation(
                "/api/sellers/{id}",
                self.seller,
                "getSeller",
                "One seller",
                representation.Seller,
                path_parameters=[_SELLER_ID],
                **_SINGLE,
            ),
        ]


_X_CACHE = {
    "description": "Where the answer comes from: the cache; the database; the cache, while a newer one is"
    " being made; the database, with somebody else's question.",
    "schema": {"type": "string", "enum": [outcome.value for outcome in Outcome]},
}
_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.SERVICE_UNAVAILABLE)
_PUBLIC: dict[str, Any] = {"tag": "catalogue", "conditional": True}
_LISTED: dict[str, Any] = {**_PUBLIC, "refusals": _REFUSED, "more_headers": {"X-Cache": _X_CACHE}}
_SINGLE: dict[str, Any] = {**_PUBLIC, "refusals": (*_REFUSED, HTTPStatus.NOT_FOUND)}

_LAW = (
    "Follow `nextCursor` until it is null. The walk visits every product that exists and keeps its sort key"
    " for the whole walk exactly once, in order, whatever is written meanwhile; `prevCursor` walks back the"
    " same way. A cursor goes with the sort and the filters it came from."
)


def _accept(request: Request) -> None:
    if not negotiation.accepts(", ".join(request.headers.getlist("accept")), "application/json"):
        raise HTTPException(HTTPStatus.NOT_ACCEPTABLE, "This is answered in application/json.")


def _found(request: Request, found: CachedAnswer) -> Response:
    """What the cache has given, and how it came by it."""
    lasting(request.scope, found.still)
    headers = {"x-cache": found.outcome.value, **_links(request, found.content)}
    return content_answer(request, found.content, PUBLIC, headers)


def _links(request: Request, page: Content) -> dict[str, str]:
    """The Link header (RFC 8288) of a page: the same query, as it is spelled here, with another cursor."""
    neighbours = {"next": page.next_cursor, "prev": page.prev_cursor}
    if not any(neighbours.values()):
        return {}
    query: bytes = request.scope["query_string"]
    others = b"".join(
        piece + b"&"
        for piece in query.split(b"&")
        if piece and unquote_to_bytes(piece.partition(b"=")[0]) != b"cursor"
    )
    here = f"{quote(request.scope['path'])}?{quote_from_bytes(others, _AS_SPELLED)}"
    links = [
        f'<{here}cursor={cursor}>; rel="{relation}"'
        for relation, cursor in neighbours.items()
        if cursor is not None
    ]
    return {"link": ", ".join(links)}


_AS_SPELLED = "%&=+,:;/?@!$'()*"
"""What stands in a query as it is written: all that RFC 3986 lets, and no more."""
