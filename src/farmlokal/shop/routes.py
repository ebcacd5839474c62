"""The shop over HTTP: `/`, `/cards`, `/products/{id}` and the files of these pages."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from farmlokal.catalog import kinds
from farmlokal.errors import DomainError, NotFound
from farmlokal.platform.cache import Found
from farmlokal.platform.web import negotiation, problem
from farmlokal.platform.web.answers import PUBLIC, REVALIDATE, content_answer
from farmlokal.platform.web.content import Content
from farmlokal.platform.web.parameters import NotAccepted
from farmlokal.shop.address import Address
from farmlokal.shop.assets import BELOW, FOREVER, Assets
from farmlokal.shop.messages import LANGUAGES
from farmlokal.shop.pages import ShopPages

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may do: nothing that asks anybody but us, and nothing that stands in its own text."""

HTML = "text/html; charset=utf-8"

Answer = Callable[[Request, Address, str], Awaitable[Response]]


class ShopRoutes:
    """The pages, over one `ShopPages`."""

    def __init__(self, pages: ShopPages, assets: Assets) -> None:
        self._pages = pages
        self._assets = assets

    async def browse(self, request: Request) -> Response:
        """GET /."""
        return await self._page(request, self._browse)

    async def cards(self, request: Request) -> Response:
        """GET /cards: the products of `/` alone."""
        return await self._page(request, self._cards)

    async def product(self, request: Request) -> Response:
        """GET /products/{id}."""
        return await self._page(request, self._product)

    async def asset(self, request: Request) -> Response:
        """GET /shop/{name}."""
        content, media_type = self._assets.content(request.path_params["name"])
        return content_answer(request, content, FOREVER, {"vary": "Accept-Encoding"}, media_type)

    @property
    def pages(self) -> list[BaseRoute]:
        """Routes that are no part of the API."""
        return [
            Route("/", self.browse),
            Route("/cards", self.cards),
            Route("/products/{id}", self.product),
            Route(BELOW + "{name}", self.asset),
        ]

    async def _page(self, request: Request, answer: Answer) -> Response:
        if not negotiation.accepts(", ".join(request.headers.getlist("accept")), "text/html"):
            raise HTTPException(HTTPStatus.NOT_ACCEPTABLE, "This is answered in text/html.")
        address = Address()
        try:
            address = Address.parse(request.scope["query_string"])
            return await answer(request, address, _language(request, address))
        except DomainError as error:
            return await self._refused(request, error, address)

    async def _browse(self, request: Request, address: Address, lang: str) -> Response:
        return _found(request, await self._pages.browse(address, lang))

    async def _cards(self, request: Request, address: Address, lang: str) -> Response:
        return _found(request, await self._pages.cards(address, lang))

    async def _product(self, request: Request, address: Address, lang: str) -> Response:
        try:
            product_id: int = kinds.ID.parse(request.path_params["id"])
        except NotAccepted:
            raise NotFound("There is no such product.") from None
        return _html(request, await self._pages.product(product_id, address, lang), REVALIDATE)

    async def _refused(self, request: Request, error: DomainError, address: Address) -> Response:
        status, headers = problem.of_error(error)
        content = await self._pages.refused(error, address, _language(request, address))
        more = {**headers, "content-security-policy": POLICY, "cache-control": "no-store"}
        return Response(content.body, status, more, HTML)


def _language(request: Request, address: Address) -> str:
    """The language that the address names, else the one that the browser likes best."""
    if (named := address.get("lang")) in LANGUAGES:
        return named
    return negotiation.language(", ".join(request.headers.getlist("accept-language")), tuple(LANGUAGES))


def _found(request: Request, found: Found[Content]) -> Response:
    return _html(request, found.value, PUBLIC, found.outcome.value)


def _html(request: Request, content: Content, cache_control: str, x_cache: str = "") -> Response:
    more = {"content-security-policy": POLICY, "vary": "Accept-Encoding, Accept-Language"}
    if x_cache:
        more["x-cache"] = x_cache
    return content_answer(request, content, cache_control, more, HTML)
