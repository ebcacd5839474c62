"""Finished pages: the catalogue asked, the template filled; browse pages are kept in the cache of lists."""

from hashlib import blake2b

import msgspec

from farmlokal.catalog.service import Catalogue
from farmlokal.errors import DomainError, Invalid
from farmlokal.platform.cache import Cache, Found, Loaded
from farmlokal.platform.web.content import Content
from farmlokal.shop import views
from farmlokal.shop.address import Address
from farmlokal.shop.assets import FOLDER, Assets
from farmlokal.shop.messages import Words
from farmlokal.shop.rendering import Templates

PRICES = 100
"""Days of a price history: what the API gives at once."""

SELLERS = 200
"""Dots on a map: more are a blot."""


class ShopPages:
    """Pages of HTML, in English, Hindi or Malayalam."""

    def __init__(self, catalogue: Catalogue, cache: Cache[Content], assets: Assets) -> None:
        self._catalogue = catalogue
        self._cache = cache
        self._assets = assets
        self._templates = Templates(FOLDER / "templates")
        self._named: views.Named = {}

    async def browse(self, address: Address, lang: str) -> Found[Content]:
        """The whole page. Raises `Invalid`."""
        words, query = Words(lang), address.query(lang, whole=True)
        self._catalogue.walk(query)  # a forged cursor is refused before it may be the name of anything kept

        async def load() -> Loaded[Content]:
            page = await self._catalogue.listing(query)
            around = await self._catalogue.around(query, query.radius_m or views.MAP_RADIUS_M, SELLERS)
            view = {
                **views.frame(words, address, "/", self._assets.path, words("title")),
                **views.cards(words, address, page),
                **views.filters(words, address, query, page, await self._categories()),
                "count": views.total(words, page),
                "map": views.around(words, address, query, around),
                "problem": "",
            }
            return Loaded(Content(await self._templates.render("browse.html", view)), empty=not page.data)

        return await self._cache.get_or_load(self._key("browse", address, lang), load)

    async def cards(self, address: Address, lang: str) -> Found[Content]:
        """The products of a page and its neighbours, for a page that is there already. Raises `Invalid`."""
        words, query = Words(lang), address.query(lang, whole=False)
        self._catalogue.walk(query)

        async def load() -> Loaded[Content]:
            page = await self._catalogue.listing(query)
            view = views.cards(words, address, page)
            return Loaded(Content(await self._templates.render("cards.html", view)), empty=not page.data)

        return await self._cache.get_or_load(self._key("cards", address, lang), load)

    async def product(self, product_id: int, address: Address, lang: str) -> Content:
        """A product's page, as it is now. Raises `NotFound`."""
        words = Words(lang)
        found = await self._catalogue.product(product_id, lang)
        prices = await self._catalogue.prices(product_id, PRICES, None)
        path = f"/products/{product_id}"
        view = {
            **views.frame(words, address.of_language(), path, self._assets.path, found.name),
            **views.product(words, found, prices.data),
        }
        return Content(await self._templates.render("product.html", view))

    async def refused(self, error: DomainError, address: Address, lang: str) -> Content:
        """What a person sees in the place of a page: the form as it was sent, and what is wrong with it."""
        words = Words(lang)
        named = await self._categories() if isinstance(error, Invalid) else self._named
        view = {
            **views.frame(words, address, "/", self._assets.path, words("title")),
            **views.filters(words, address, None, None, named),
            "problem": views.refusal(words, error, address),
            "map": None,
        }
        return Content(await self._templates.render("browse.html", view))

    async def _categories(self) -> views.Named:
        """Names of categories, which are few and never change: read again when there are more."""
        if not self._named:
            categories = await self._catalogue.categories()
            self._named = {each.name: each.names for each in categories.data}
        return self._named

    def _key(self, page: str, address: Address, lang: str) -> bytes:
        parts = (page, self._assets.release, lang, address.given)
        return blake2b(msgspec.msgpack.encode(parts), digest_size=16, person=b"shop").digest()
