"""Pages by distance under filters: however they are read, they are what plain Python makes of the rows."""

from random import Random
from typing import NamedTuple

import pytest

from farmlokal.catalog.listing import ListingQuery
from farmlokal.catalog.text import sort_key
from tests.support.catalogue import Shelf, catalogue, run
from tests.support.engines import FreshDatabase
from tests.support.market import PLACE, distance_m

AWAY_DEGREES = (0.0, 0.05, 0.3, 2.0, 9.0, 20.0)
"""North of the place: in the first ring, at its edge, and in each ring beyond."""


class Sold(NamedTuple):
    """A product as the test knows it."""

    id: int
    seller: int
    metres: int | None
    district: str
    word: str


@pytest.fixture
def sold(fresh_shelf: Shelf) -> list[Sold]:
    """Two sellers at each distance and two nowhere, in three districts; one product in ten is a rare one."""
    draw, found = Random(4), []
    for number in range(2 * len(AWAY_DEGREES) + 2):
        away = (*AWAY_DEGREES, None)[number // 2]
        at = None if away is None else (round(PLACE[0] + away, 6), PLACE[1])
        seller = fresh_shelf.seller(f"s{number}", *(at or (None, None)))
        district = f"District {number % 3}"
        fresh_shelf.connection.execute(
            "UPDATE sellers SET district = ?, district_key = ? WHERE id = ?",
            (district, sort_key(district), seller),
        )
        for _ in range(draw.randint(2, 9)):
            word = "saffron" if draw.random() < 0.1 else "tomato"
            identity = fresh_shelf.product(word, seller=f"s{number}")
            found.append(Sold(identity, seller, distance_m(PLACE, at), district, word))
    return found


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    "chosen",
    [
        "",
        "district=district 1",
        "seller=3",
        "search=saffron",
        "district=district 2&search=tom",
        "radiusKm=240",
    ],
)
def test_walk_by_distance(fresh_database: FreshDatabase, sold: list[Sold], chosen: str, order: str) -> None:
    """Walking by distance visits what the filters choose, nearest (or farthest) first, sellers of unknown
    place last, each product once; and back again."""
    expected = [each for each in sold if _is_chosen(each, chosen)]
    placed = sorted((each.metres, each.id) for each in expected if each.metres is not None)
    unplaced = sorted(each.id for each in expected if each.metres is None)
    ids = [identity for _, identity in placed]
    if order == "desc":
        ids, unplaced = ids[::-1], unplaced[::-1]

    async def go() -> tuple[list[int], list[int]]:
        near = f"near={PLACE[0]},{PLACE[1]}&sort=distance&order={order}&limit=9&{chosen.replace(' ', '%20')}"
        ahead: list[int] = []
        back: list[int] = []
        async with catalogue(fresh_database.url) as service:
            page = await service.listing(ListingQuery.parse(near.encode()))
            ahead += [product.id for product in page.data]
            while page.next_cursor is not None:
                page = await service.listing(ListingQuery.parse(f"{near}&cursor={page.next_cursor}".encode()))
                ahead += [product.id for product in page.data]
            back += [product.id for product in page.data]
            while page.prev_cursor is not None:
                page = await service.listing(ListingQuery.parse(f"{near}&cursor={page.prev_cursor}".encode()))
                back[:0] = [product.id for product in page.data]
        return ahead, back

    assert expected
    assert run(go()) == (ids + unplaced, ids + unplaced)


def _is_chosen(each: Sold, chosen: str) -> bool:
    within = each.metres is not None and each.metres <= 240_000
    return {
        "": True,
        "district=district 1": each.district == "District 1",
        "seller=3": each.seller == 3,
        "search=saffron": each.word == "saffron",
        "district=district 2&search=tom": each.district == "District 2" and each.word == "tomato",
        "radiusKm=240": within,
    }[chosen]
