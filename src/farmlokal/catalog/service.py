"""The use cases of the catalogue: a frozen request in, what callers see out."""

from typing import Any

from msgspec import UNSET, UnsetType

from farmlokal.catalog import representation as shown
from farmlokal.catalog.geo import distance_m
from farmlokal.catalog.listing import ListingQuery
from farmlokal.catalog.models import quantity
from farmlokal.catalog.nearby import Nearby, Place
from farmlokal.catalog.repository import CatalogueRepository
from farmlokal.errors import Fault, Invalid, NotFound
from farmlokal.platform.clock import instant
from farmlokal.platform.keyset.cursor import CursorCodec, fingerprint
from farmlokal.platform.keyset.walk import Walk


class Catalogue:
    """What shop pages ask of the catalogue."""

    def __init__(self, repository: CatalogueRepository, cursors: CursorCodec) -> None:
        self._repository = repository
        self._cursors = cursors

    async def listing(self, query: ListingQuery, walk: Walk | None = None) -> shown.ProductPage:
        """One page of products; `walk` is that of the query, where the caller has it already.

        Raises `Invalid` for a cursor of another query or an unknown postcode.
        """
        walk = walk or self.walk(query)
        place = await self._place(query)
        near = await self._nearby(query, place)
        rows = await self._repository.page(query, walk.position, query.limit + 1, near)
        page = walk.slice(rows, query.limit)
        products = [_product(row[1:], query.lang, place) for row in page.rows]
        return shown.ProductPage(
            data=products if query.fields is None else _only(query.fields, products),
            next_cursor=page.next_cursor,
            prev_cursor=page.prev_cursor,
            has_more=page.next_cursor is not None,
            total=await self._repository.count(query, near) if query.count else UNSET,
            facets=await self._facets(query, near) if query.facets else UNSET,
        )

    def walk(self, query: ListingQuery) -> Walk:
        """Where a listing is at. Raises `Invalid` for a cursor of another query."""
        by_id = query.sort == "id" and not query.descending
        return Walk(self._cursors, fingerprint("products", query.identity()), query.cursor, by_id=by_id)

    async def facets(self, query: ListingQuery) -> shown.Facets:
        """Counts by each facet the query names. Raises `Invalid` for an unknown postcode."""
        near = await self._nearby(query, await self._place(query))
        return shown.Facets(await self._facets(query, near))

    async def product(self, product_id: int, lang: str = "en") -> shown.ProductDetail:
        """One product. Raises `NotFound`."""
        row = await self._repository.find_product(product_id)
        if row is None:
            raise NotFound(f"There is no product {product_id}.")
        *item, description, commodity, variety, grade, certification, price_on, source = row
        product = _product(tuple(item), lang, None)
        return shown.ProductDetail(
            **{attribute: getattr(product, attribute) for attribute in shown.PRODUCT_ATTRIBUTES.values()},
            names=shown.Names(en=row[1], hi=row[2], ml=row[3]),
            description=description,
            commodity=commodity,
            variety=variety,
            grade=grade,
            certification=certification,
            price_observed_on=price_on,
            source=source,
        )

    async def prices(self, product_id: int, limit: int, cursor: str | None) -> shown.PricePage:
        """A product's price history, newest first. Raises `NotFound`, or `Invalid` for a foreign cursor."""
        walk = Walk(self._cursors, fingerprint("prices", [product_id]), cursor)
        if await self._repository.find_product(product_id) is None:
            raise NotFound(f"There is no product {product_id}.")
        rows = await self._repository.prices(product_id, walk.position, limit + 1)
        page = walk.slice([(None, *row) for row in rows], limit)
        return shown.PricePage(
            data=[_price(*row[1:]) for row in page.rows],
            next_cursor=page.next_cursor,
            prev_cursor=page.prev_cursor,
            has_more=page.next_cursor is not None,
        )

    async def sellers(self, filters: dict[str, Any], limit: int, cursor: str | None) -> shown.SellerPage:
        """Sellers by id, narrowed by state, district or kind."""
        walk = self.sellers_walk(filters, cursor)
        rows = await self._repository.sellers(filters, walk.position, limit + 1)
        page = walk.slice([(None, *row) for row in rows], limit)
        return shown.SellerPage(
            data=[shown.seller(row[2:]) for row in page.rows],
            next_cursor=page.next_cursor,
            prev_cursor=page.prev_cursor,
            has_more=page.next_cursor is not None,
        )

    def sellers_walk(self, filters: dict[str, Any], cursor: str | None) -> Walk:
        """Where a list of sellers is at. Raises `Invalid` for a cursor of another query."""
        return Walk(self._cursors, fingerprint("sellers", sorted(filters.items())), cursor, by_id=True)

    async def seller(self, seller_id: int) -> shown.Seller:
        """One seller. Raises `NotFound`."""
        row = await self._repository.find_seller(seller_id)
        if row is None:
            raise NotFound(f"There is no seller {seller_id}.")
        return shown.seller(row)

    async def around(self, query: ListingQuery, radius_m: int, most: int) -> shown.Around | None:
        """The sellers around the place of a query, nearest first, at most so many; None without a place.

        Raises `Invalid` for an unknown postcode.
        """
        place = await self._place(query)
        if place is None:
            return None
        rows = await self._repository.sellers_around(place, radius_m, most)
        return shown.Around(
            shown.Location(*map(shown.degrees, place)),
            [shown.Distant(quantity(row[0]), shown.seller(row[1:])) for row in rows],
        )

    async def categories(self) -> shown.Categories:
        """All categories with the number of their products."""
        rows = await self._repository.categories()
        return shown.Categories(
            [
                shown.Category(id=identity, name=name, names=shown.Names(name, hi, ml), products=count)
                for identity, name, hi, ml, count in rows
            ]
        )

    async def _place(self, query: ListingQuery) -> Place | None:
        if query.pincode is None:
            return query.near
        place = await self._repository.find_place(query.pincode)
        if place is None:
            accepted = "a postcode that the catalogue knows; `farmlokal import` adds postcodes"
            raise Invalid("The postcode is not known.", Fault("pincode", "unknown", accepted))
        return place

    async def _nearby(self, query: ListingQuery, place: Place | None) -> Nearby | None:
        if place is None or (query.radius_m is None and query.sort != "distance"):
            return None
        return await self._repository.nearby(place, query.radius_m)

    async def _facets(
        self, query: ListingQuery, near: Nearby | None
    ) -> dict[str, list[shown.FacetValue] | None]:
        return {facet: await self._facet(query.without(facet), facet, near) for facet in query.facets}

    async def _facet(
        self, query: ListingQuery, facet: str, near: Nearby | None
    ) -> list[shown.FacetValue] | None:
        rows = await self._repository.facet(query, facet, near)
        if rows is None:
            return None
        return [
            shown.FacetValue(bool(value) if facet == "organic" else value, count) for value, count in rows
        ]


def _product(row: tuple[Any, ...], lang: str, place: Place | None) -> shown.Product:
    """From ITEM_COLUMNS."""
    identity, name, name_hi, name_ml, category, price, created, pack_milli, pack_unit, unit_price = row[:10]
    stock, organic, harvested_on, best_before, image_url, seller_id, seller, district, state = row[10:19]
    latitude, longitude, updated, version, deleted = row[19:]
    distance: str | UnsetType | None = UNSET
    if place is not None:
        distance = None if latitude is None else quantity(distance_m(*place, latitude, longitude))
    return shown.Product(
        id=identity,
        name={"hi": name_hi, "ml": name_ml}.get(lang) or name,
        category=category,
        price=shown.rupees(price),
        created_at=instant(created),
        pack=shown.pack(pack_milli, pack_unit),
        unit_price=shown.unit_price(unit_price, pack_unit),
        stock=shown.stock(stock, pack_unit),
        organic=bool(organic),
        harvested_on=harvested_on,
        best_before=best_before,
        image_url=image_url,
        seller=shown.seller_reference(seller_id, seller, district, state),
        updated_at=instant(updated),
        version=version,
        distance_km=distance,
        deleted_at=UNSET if deleted is None else instant(deleted),
    )


def _only(fields: tuple[str, ...], products: list[shown.Product]) -> Any:
    attributes = [(name, shown.PRODUCT_ATTRIBUTES[name]) for name in fields]
    chosen = ({name: getattr(product, attribute) for name, attribute in attributes} for product in products)
    return [{name: value for name, value in members.items() if value is not UNSET} for members in chosen]


def _price(observed_on: str, price: int, low: int | None, high: int | None) -> shown.Price:
    return shown.Price(
        observed_on=observed_on,
        price=shown.rupees(price),
        low=None if low is None else shown.rupees(low),
        high=None if high is None else shown.rupees(high),
    )
