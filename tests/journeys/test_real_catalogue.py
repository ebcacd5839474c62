"""The published market data: imported into a database, served by a real server, walked from end to end."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from farmlokal.catalog.importing.load import Importer, Summary
from farmlokal.catalog.importing.source import open_source
from farmlokal.catalog.text import words
from tests.support.catalogue import connect, new_database, opened, run
from tests.support.clock import ManualClock
from tests.support.market import distance_m, ordered
from tests.support.published import published
from tests.support.server import Caller, serving

PLACE = (10.52, 76.21)
NEAR = {"near": f"{PLACE[0]},{PLACE[1]}"}
COLUMN_SORTS = {
    "id": "p.id",
    "price": "p.price_minor",
    "name": "p.name_key",
    "createdAt": "p.created_at_us",
    "unitPrice": "p.unit_price_minor",
    "harvestedOn": "p.harvested_on",
}
SORTS = (*COLUMN_SORTS, "distance", "relevance")


class Real(NamedTuple):
    """The database of the published data, how its imports went, and a caller of the server over it."""

    path: Path
    summaries: dict[str, Summary]
    plain: sqlite3.Connection
    caller: Caller

    def ids(self, sql: str, *values: Any) -> list[int]:
        """The first column of a plain query."""
        return [row[0] for row in self.plain.execute(sql, values)]


def load(database: Path) -> dict[str, Summary]:
    """Import the catalogue, the catalogue again, and the two daily files."""
    clock = ManualClock()
    files = {
        "catalogue": published("agmarknet/products.csv.gz"),
        "again": published("agmarknet/products.csv.gz"),
        "23": published("agmarknet/daily-2026-07-23.csv.gz"),
        "24": published("agmarknet/daily-2026-07-24.csv.gz"),
    }

    async def go() -> dict[str, Summary]:
        summaries = {}
        async with opened(database) as db:
            importer = Importer(db, clock)
            for name, file in files.items():
                source = open_source(file, clock.today())
                summaries[name] = await importer.run(source, source.check())
                clock.advance(60)
            await db.optimize()
        return summaries

    return run(go(), 180)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """Imported once, served once."""
    folder = tmp_path_factory.mktemp("real")
    path = new_database(folder)
    summaries = load(path)
    plain = connect(path)
    with serving(path, folder / "server.log") as server, server.caller() as caller:
        yield Real(path, summaries, plain, caller)
    plain.close()


def fates(summary: Summary) -> dict[str, int]:
    """The fates that rows met, by name."""
    assert sum(summary.fates.values()) == summary.rows
    return {fate.name.lower(): count for fate, count in summary.fates.items() if count}


def test_every_listing_is_created_once(real: Real) -> None:
    """The clean catalogue makes 35,051 products, and importing it again changes none of them."""
    assert fates(real.summaries["catalogue"]) == {"created": 35_051}
    assert fates(real.summaries["again"]) == {"unchanged": 35_051}
    assert real.ids("SELECT COUNT(*) FROM products") == [35_051]
    assert real.ids("SELECT COUNT(*) FROM sellers") == [2755]


@pytest.mark.parametrize(("day", "rows", "refused"), [("23", 18_210, 33), ("24", 17_805, 38)])
def test_daily_files_are_about_known_listings(real: Real, day: str, rows: int, refused: int) -> None:
    """The daily files create no listing; rows in doubt are set aside, each with its line and reason."""
    summary = real.summaries[day]
    assert summary.rows == rows
    assert fates(summary).get("created", 0) == 0
    assert fates(summary)["quarantined"] == refused
    kept = real.ids(
        "SELECT COUNT(*) FROM quarantine q JOIN imports i ON i.id = q.import_id"
        " WHERE i.file_name = ? AND line > 1 AND reason <> '' AND raw <> ''",
        summary.file_name,
    )
    assert kept == [refused]


def test_price_is_the_newest_of_the_history(real: Real) -> None:
    """Every product has the price of the newest day in its history, whatever order files came in."""
    differing = real.ids(
        "SELECT p.id FROM products p JOIN price_history h ON h.product_id = p.id"
        " WHERE h.observed_on = (SELECT MAX(observed_on) FROM price_history WHERE product_id = p.id)"
        " AND (h.price_minor <> p.price_minor OR h.observed_on <> p.price_on"
        " OR p.unit_price_minor <> p.price_minor)"
    )
    assert differing == []
    assert real.ids("SELECT COUNT(DISTINCT product_id) FROM price_history") == [35_051]


def walk(caller: Caller, query: dict[str, str], cursor: str | None, way: str) -> tuple[list[int], str | None]:
    """The ids met by following `way` to the end; and the `prevCursor` of the last page."""
    met: list[int] = []
    while True:
        path = "/api/products?" + urlencode(query | {"fields": "id"} | ({"cursor": cursor} if cursor else {}))
        answer = caller.ask(path)
        assert answer.status == 200, answer.body
        page = answer.json()
        ids = [product["id"] for product in page["data"]]
        assert len(ids) <= int(query["limit"])
        met += ids if way == "nextCursor" else reversed(ids)
        cursor = page[way]
        if cursor is None:
            return met, page["prevCursor"]
        assert len(ids) == int(query["limit"]), "only the last page is short"


def in_order(real: Real, sort: str, descending: bool, where: str = "1", search: str = "") -> list[int]:
    """The ids in the order of a sort: by the database's own ORDER BY, or by an oracle of ours."""
    way = "DESC" if descending else "ASC"
    source = "FROM products p JOIN sellers s ON s.id = p.seller_id JOIN categories c ON c.id = p.category_id"
    if sort in COLUMN_SORTS:
        key = COLUMN_SORTS[sort]
        return real.ids(f"SELECT p.id {source} WHERE {where} ORDER BY {key} IS NULL, {key} {way}, p.id {way}")
    if sort == "distance":
        rows = real.plain.execute(f"SELECT p.id, s.latitude_e6, s.longitude_e6 {source} WHERE {where}")
        pairs: list[tuple[Any, int]] = [
            (None if lat is None else distance_m(PLACE, (lat / 1e6, lng / 1e6)), identity)
            for identity, lat, lng in rows
        ]
    else:
        texts = real.plain.execute(
            f"SELECT p.id, p.name, p.name_hi, p.name_ml, p.commodity, p.variety {source} WHERE {where}"
        )
        ranks = ((relevance(search, text[:3], text[3:]), identity) for identity, *text in texts)
        pairs = [pair for pair in ranks if pair[0] is not None]
    return [identity for _, identity in ordered(pairs, descending=descending)]


def relevance(search: str, names: list[str | None], more: list[str | None]) -> int | None:
    """0 a whole name, 1 the beginning of one, 2 whole words, 3 inside words, None where it is not found."""
    titles = [words(name) for name in names if name]
    every = [word for text in (*names, *more) if text for word in words(text)]
    wanted = words(search)
    if not all(any(word in other for other in every) for word in wanted):
        return None
    if wanted in titles:
        return 0
    if any(" ".join(title).startswith(" ".join(wanted)) for title in titles):
        return 1
    return 2 if set(wanted) <= set(every) else 3


def asked(sort: str, descending: bool, limit: int, search: str = "") -> dict[str, str]:
    """The query string's parameters."""
    query = {"sort": ("-" if descending else "") + sort, "limit": str(limit)}
    if sort == "distance":
        query |= NEAR
    return query | ({"search": search} if search else {})


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", list(COLUMN_SORTS))
def test_whole_catalogue_in_order(real: Real, sort: str, descending: bool) -> None:
    """A walk of 351 pages over the whole catalogue meets every product once, in the order of a plain
    ORDER BY; by name and by id, where no or few keys are shared, also all the way back."""
    query = asked(sort, descending, 100)
    expected = in_order(real, sort, descending)
    met, prev = walk(real.caller, query, None, "nextCursor")
    assert len(met) == 35_051
    assert met == expected
    if sort in ("id", "name"):
        back, _ = walk(real.caller, query, prev, "prevCursor")
        assert back == expected[: len(back)][::-1]
        assert len(back) == 35_000


@pytest.mark.parametrize("descending", [False, True])
def test_whole_catalogue_by_distance(real: Real, descending: bool) -> None:
    """The order by distance is that of the haversine. A page of it costs many times another one's, so of
    the whole catalogue the first 2,500 rows are compared, from both ends; a state is walked whole below."""
    query = asked("distance", descending, 100)
    expected = in_order(real, "distance", descending)
    met: list[int] = []
    cursor: dict[str, str] = {}
    while len(met) < 2500:
        page = real.caller.ask("/api/products?" + urlencode(query | {"fields": "id"} | cursor)).json()
        met += [product["id"] for product in page["data"]]
        cursor = {"cursor": page["nextCursor"]}
    assert met == expected[: len(met)]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("search", ["onion", "tomato loc", "an", "टमाटर", "ल", "തക്കാളി"])
def test_search_by_relevance(real: Real, search: str, descending: bool) -> None:
    """A search by relevance meets exactly the products that hold its words: those so named first, then
    names that begin so, then whole words, then letters inside words."""
    expected = in_order(real, "relevance", descending, search=search)
    assert len(expected) > 50
    met, _ = walk(real.caller, asked("relevance", descending, 100, search), None, "nextCursor")
    assert met == expected


SLICES = {
    # 525 rows, 39 of them in markets that could not be located: they have no distance.
    "limit 7": (7, {"state": "chhattisgarh"}, "s.state = 'Chhattisgarh'"),
    "limit 1": (1, {"district": "wayanad"}, "s.district = 'Wayanad'"),  # 64 rows
}


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("name", list(SLICES))
def test_filtered_walk_there_and_back(real: Real, name: str, sort: str, descending: bool) -> None:
    """Under filters, in any order and with small pages, a walk meets the filtered rows in order, and the
    walk back meets them reversed."""
    limit, parameters, where = SLICES[name]
    search = "a" if sort == "relevance" else ""
    query = asked(sort, descending, limit, search) | parameters
    expected = in_order(real, sort, descending, where, search)
    assert 20 <= len(expected) <= 1500
    met, prev = walk(real.caller, query, None, "nextCursor")
    assert met == expected
    back, _ = walk(real.caller, query, prev, "prevCursor")
    assert back == expected[: len(back)][::-1]
    assert len(expected) - len(back) <= limit


def test_counts_are_those_of_the_catalogue(real: Real) -> None:
    """`count=exact` and the facets count what the filters select."""
    query = "category=vegetables&count=exact&facets=category,state,organic&limit=1"
    page = real.caller.ask(f"/api/products?{query}").json()
    by = "SELECT COUNT(*) FROM products p JOIN categories c ON c.id = p.category_id"
    assert [page["total"]] == real.ids(f"{by} WHERE c.name = 'Vegetables'")
    facets = page["facets"]
    assert sum(value["count"] for value in facets["state"]) == page["total"]
    assert sum(value["count"] for value in facets["category"]) == 35_051
    assert facets["organic"] == [{"value": False, "count": page["total"]}]
