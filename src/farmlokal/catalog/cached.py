"""Lists as finished answers, from the cache where it has them.

A key is the digest of *all* that an answer depends on, in MessagePack, which tells a list from its parts and
text from numbers: two requests share a key when, and only when, they get the same bytes. A cursor is in it as
the place that it names, so only one that is genuine ever gets that far.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from farmlokal.catalog.listing import FACET_PARAMETERS, ListingQuery
from farmlokal.catalog.service import Catalogue
from farmlokal.platform.cache import Cache, Load, Loaded, Outcome
from farmlokal.platform.keyset.walk import Walk
from farmlokal.platform.web.content import Content

SPELLINGS, SPELLING_BYTES = 2_000, 400
"""Query strings whose reading is remembered, and the longest of them: 2 MB at most, 25 µs saved a request."""


class AskedListing(NamedTuple):
    """A listing request that has been read, where it is at, and the key of its answer."""

    query: ListingQuery
    walk: Walk
    key: bytes


class CachedAnswer(NamedTuple):
    """A finished answer and how it was come by. `still` says whether it would be a hit now, and counts it."""

    content: Content
    outcome: Outcome
    still: Callable[[], bool]


class CataloguePages:
    """What is for sale, page by page, as bytes."""

    def __init__(self, catalogue: Catalogue, cache: Cache[Content]) -> None:
        self._catalogue = catalogue
        self._cache = cache
        self._remembered = lru_cache(SPELLINGS)(self._read)

    def read(self, query_string: bytes) -> AskedListing:
        """Read a listing request. Raises `Invalid`, for a cursor of another query too."""
        short = len(query_string) <= SPELLING_BYTES
        return self._remembered(query_string) if short else self._read(query_string)

    async def listing(self, asked: AskedListing) -> CachedAnswer:
        """One page of products. Raises `Invalid` for an unknown postcode."""

        async def load() -> Loaded[Content]:
            page = await self._catalogue.listing(asked.query, asked.walk)
            return Loaded(Content.of(page), empty=not page.data)

        return await self._get(asked.key, load)

    async def facets(self, query_string: bytes) -> CachedAnswer:
        """Counts by facet. Raises `Invalid`."""
        query = ListingQuery.parse(query_string, FACET_PARAMETERS)

        async def load() -> Loaded[Content]:
            facets = await self._catalogue.facets(query)
            return Loaded(Content.of(facets), empty=not any(facets.facets.values()))

        return await self._get(_key("facets", query.identity(), query.facets), load)

    async def categories(self) -> CachedAnswer:
        """All categories."""

        async def load() -> Loaded[Content]:
            categories = await self._catalogue.categories()
            return Loaded(Content.of(categories), empty=not categories.data)

        return await self._get(_key("categories"), load)

    async def sellers(self, filters: dict[str, Any], limit: int, cursor: str | None) -> CachedAnswer:
        """One page of sellers. Raises `Invalid` for a cursor of another query."""
        place = self._catalogue.sellers_walk(filters, cursor).position

        async def load() -> Loaded[Content]:
            page = await self._catalogue.sellers(filters, limit, cursor)
            return Loaded(Content.of(page), empty=not page.data)

        key = _key("sellers", sorted(filters.items()), limit, place)
        return await self._get(key, load)

    async def _get(self, key: bytes, load: Load[Content]) -> CachedAnswer:
        content, outcome = await self._cache.get_or_load(key, load)
        return CachedAnswer(content, outcome, partial(self._cache.still, key, content))

    def _read(self, query_string: bytes) -> AskedListing:
        query = ListingQuery.parse(query_string)
        walk = self._catalogue.walk(query)
        return AskedListing(query, walk, _key("products", query.identity(), query.shown(), walk.position))


def _key(*parts: object) -> bytes:
    return blake2b(msgspec.msgpack.encode(parts), digest_size=16).digest()
