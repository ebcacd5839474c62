"""The catalogue over HTTP: each route reads one request, asks the service once, answers once."""

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from farmlokal.catalog import kinds, representation
from farmlokal.catalog.listing import FACET_PARAMETERS, PARAMETERS, ListingQuery
from farmlokal.catalog.models import SellerKind
from farmlokal.catalog.service import Catalogue
from farmlokal.catalog.text import sort_key
from farmlokal.errors import Fault, Invalid
from farmlokal.platform.web import negotiation
from farmlokal.platform.web.answers import PUBLIC, REVALIDATE, json_answer
from farmlokal.platform.web.openapi import Operation
from farmlokal.platform.web.parameters import NotAccepted, Parameter, one_of, read

_LANG = next(parameter for parameter in PARAMETERS if parameter.name == "lang")
_PRODUCT_ID = Parameter("id", kinds.ID, "The id of a product.", 1)
_SELLER_ID = Parameter("id", kinds.ID, "The id of a seller.", 1)
_KIND = Parameter("kind", one_of(*SellerKind), "Only sellers of this kind.", "farm")
_SELLER_PARAMETERS = (kinds.LIMIT, kinds.CURSOR, kinds.STATE, kinds.DISTRICT, _KIND)


class CatalogueRoutes:
    """The endpoints, over one service."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def products(self, request: Request) -> Response:
        """GET /api/products."""
        _accept(request)
        query = ListingQuery.parse(request.scope["query_string"])
        return _page(request, await self._catalogue.listing(query))

    async def facets(self, request: Request) -> Response:
        """GET /api/facets."""
        _accept(request)
        query = ListingQuery.parse(request.scope["query_string"], FACET_PARAMETERS)
        return json_answer(request, await self._catalogue.facets(query), PUBLIC)

    async def product(self, request: Request) -> Response:
        """GET /api/products/{id}."""
        _accept(request)
        given = read(request.scope["query_string"], [_LANG])
        product = await self._catalogue.product(_path_id(request), given["lang"])
        return json_answer(request, product, REVALIDATE)

    async def prices(self, request: Request) -> Response:
        """GET /api/products/{id}/prices."""
        _accept(request)
        given = read(request.scope["query_string"], [kinds.LIMIT, kinds.CURSOR])
        page = await self._catalogue.prices(_path_id(request), given["limit"], given["cursor"])
        return _page(request, page)

    async def sellers(self, request: Request) -> Response:
        """GET /api/sellers."""
        _accept(request)
        given = read(request.scope["query_string"], _SELLER_PARAMETERS)
        limit, cursor = given.pop("limit"), given.pop("cursor")
        filters = {name: value for name, value in given.items() if value is not None}
        for name in ("state", "district"):
            if name in filters:
                filters[name] = sort_key(filters[name])
        return _page(request, await self._catalogue.sellers(filters, limit, cursor))

    async def seller(self, request: Request) -> Response:
        """GET /api/sellers/{id}."""
        _accept(request)
        read(request.scope["query_string"], [])
        return json_answer(request, await self._catalogue.seller(_path_id(request)), REVALIDATE)

    async def categories(self, request: Request) -> Response:
        """GET /api/categories."""
        _accept(request)
        read(request.scope["query_string"], [])
        return json_answer(request, await self._catalogue.categories(), PUBLIC)

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
                parameters=[kinds.LIMIT, kinds.CURSOR],
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


_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.SERVICE_UNAVAILABLE)
_LISTED: dict[str, Any] = {"tag": "catalogue", "conditional": True, "refusals": _REFUSED}
_SINGLE: dict[str, Any] = {**_LISTED, "refusals": (*_REFUSED, HTTPStatus.NOT_FOUND)}

_LAW = (
    "Follow `nextCursor` until it is null. The walk visits every product that exists and keeps its sort key"
    " for the whole walk exactly once, in order, whatever is written meanwhile; `prevCursor` walks back the"
    " same way. A cursor goes with the sort and the filters it came from."
)


def _accept(request: Request) -> None:
    if not negotiation.accepts(", ".join(request.headers.getlist("accept")), "application/json"):
        raise HTTPException(HTTPStatus.NOT_ACCEPTABLE, "This is answered in application/json.")


def _path_id(request: Request) -> int:
    try:
        value: int = kinds.ID.parse(request.path_params["id"])
    except NotAccepted as refusal:
        raise Invalid.because([Fault("id", str(refusal), kinds.ID.accepted)]) from None
    return value


def _page(
    request: Request,
    page: representation.ProductPage | representation.PricePage | representation.SellerPage,
) -> Response:
    """A page with Link headers (RFC 8288) to its neighbours: the same query with another cursor."""
    neighbours = {"next": page.next_cursor, "prev": page.prev_cursor}
    links = [
        f'<{request.url.include_query_params(cursor=cursor).replace(scheme="", netloc="")}>; rel="{relation}"'
        for relation, cursor in neighbours.items()
        if cursor is not None
    ]
    return json_answer(request, page, PUBLIC, ", ".join(links) or None)
