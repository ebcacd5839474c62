"""Files into a real database: what they change, what they leave, and what happens when they are cut off."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from farmlokal.catalog.importing.load import Importer, Summary
from farmlokal.catalog.importing.merge import Fate
from farmlokal.catalog.importing.source import Source, SourceRow, UnreadableFile, open_source
from farmlokal.catalog.models import ProductDraft, SellerDraft, SellerKind
from farmlokal.platform.clock import SystemClock
from tests.support.catalogue import Shelf, connect, dump, opened, run
from tests.support.clock import ManualClock

DAILY = "date,state,district,market,commodity,variety,grade,min_price,max_price,modal_price\n"
PRODUCTS = "externalKey,name,category,price,sellerName,district,state,packValue,packUnit\n"
HISTORY = "product_key,observed_on,min_paise_per_kg,max_paise_per_kg,modal_paise_per_kg\n"
POSTCODES = "pincode,district,state,lat,lon,offices\n"
DAY_S = 86_400


def daily(day: str, price: int, commodity: str = "Banana", low: int = 1, high: int = 9_999_900) -> str:
    """A row of a daily file: `price` in paise per kg, which is rupees per quintal."""
    return f"{day},Kerala,Thrissur,Thrissur Market,{commodity},Nendran,FAQ,{low},{high},{price}\n"


def product(key: str, price: str = "36.00", name: str = "Banana") -> str:
    """A row of a product file."""
    return f"{key},{name},Fruits,{price},Growers,Thrissur,Kerala,1,kg\n"


class Desk:
    """Writes files and imports them into one database."""

    def __init__(self, folder: Path, path: Path, clock: ManualClock) -> None:
        self.folder, self.path, self.clock = folder, path, clock
        self.files = 0

    def file(self, content: str | bytes) -> Path:
        """A file with this content."""
        self.files += 1
        path = self.folder / f"upload-{self.files}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def load(self, content: str | bytes) -> dict[str, int]:
        """Import this content; the fates that rows met, by name."""
        return fates(self.load_file(self.file(content)))

    def load_file(self, path: Path) -> Summary:
        """Import a file as `farmlokal import` does."""
        source = open_source(path, self.clock.today())
        return self.load_source(source, source.check())

    def load_source(self, source: Source, rows: int) -> Summary:
        """Import a source in a process of its own, as it were: nothing is remembered from earlier ones."""

        async def go() -> Summary:
            async with opened(self.path) as database:
                return await Importer(database, self.clock).run(source, rows)

        return run(go(), 120)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a plain query finds."""
        connection = connect(self.path)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def prices(self) -> list[tuple[Any, ...]]:
        """(price, its day) of every product, by id."""
        return self.rows("SELECT price_minor, price_on FROM products ORDER BY id")

    def history(self) -> list[tuple[Any, ...]]:
        """(day, price) of every price in the history."""
        return self.rows(
            "SELECT observed_on, price_minor FROM price_history ORDER BY product_id, observed_on"
        )


def fates(summary: Summary) -> dict[str, int]:
    """The fates met, by name; together they are the rows of the file."""
    assert sum(summary.fates.values()) == summary.rows
    return {fate.name.lower(): count for fate, count in summary.fates.items() if count}


@pytest.fixture
def desk(tmp_path: Path, database_path: Path, clock: ManualClock) -> Desk:
    """An importer over an empty database."""
    return Desk(tmp_path, database_path, clock)


@pytest.mark.parametrize(
    "content",
    [
        DAILY + daily("2026-07-23", 3500) + daily("2026-07-23", 4000, "Tomato"),
        PRODUCTS + product("p1") + product("p2", "12.50", "Tomato"),
        POSTCODES + "680001,Thrissur,Kerala,10.52,76.21,7\n680001,Palakkad,Kerala,10.7,76.5,1\n",
    ],
    ids=["daily", "products", "postcodes"],
)
@pytest.mark.parametrize("later_s", [0, 3 * DAY_S])
def test_second_import_of_a_file_changes_nothing(desk: Desk, content: str, later_s: float) -> None:
    """Importing the same file again, at once or days later, changes nothing."""
    path = desk.file(content)
    assert fates(desk.load_file(path)) == {"created": 2}
    before = dump(desk.path)
    desk.clock.advance(later_s)
    again = desk.load_file(path)
    assert fates(again) == {"unchanged": 2}
    assert not again.changed
    assert dump(desk.path) == before


def test_newer_price_replaces_and_older_one_is_history(desk: Desk) -> None:
    """A newer observation becomes the price; an older one only enters the history."""
    assert desk.load(DAILY + daily("2026-07-22", 3500)) == {"created": 1}
    assert desk.load(DAILY + daily("2026-07-23", 3600)) == {"updated": 1}
    assert desk.prices() == [(3600, "2026-07-23")]
    assert desk.load(DAILY + daily("2026-07-20", 9900)) == {"older": 1}
    assert desk.prices() == [(3600, "2026-07-23")]
    assert desk.history() == [("2026-07-20", 9900), ("2026-07-22", 3500), ("2026-07-23", 3600)]
    assert desk.rows("SELECT unit_price_minor, version FROM products") == [(3600, 2)]


def test_later_file_corrects_the_same_day(desk: Desk) -> None:
    """On the same day the file that is read later corrects the earlier one, price and history."""
    desk.load(DAILY + daily("2026-07-23", 3500))
    assert desk.load(DAILY + daily("2026-07-23", 3700)) == {"updated": 1}
    assert desk.prices() == [(3700, "2026-07-23")]
    assert desk.history() == [("2026-07-23", 3700)]


def test_later_file_corrects_an_older_day_in_the_history(desk: Desk) -> None:
    """A correction of a day that is not the newest changes the history alone."""
    desk.load(DAILY + daily("2026-07-22", 3500))
    desk.load(DAILY + daily("2026-07-23", 3600))
    assert desk.load(DAILY + daily("2026-07-22", 3550)) == {"older": 1}
    assert desk.prices() == [(3600, "2026-07-23")]
    assert desk.history() == [("2026-07-22", 3550), ("2026-07-23", 3600)]


def test_daily_prices_change_nothing_else(desk: Desk) -> None:
    """A file of prices changes no word of a product that exists."""
    desk.load(DAILY + daily("2026-07-22", 3500))
    changed = "name = 'Renamed', description = 'Mine', stock_milli = 5"
    desk.rows(f"UPDATE products SET {changed}")
    desk.load(DAILY + daily("2026-07-23", 3600))
    assert desk.rows("SELECT name, description, stock_milli, price_minor FROM products") == [
        ("Renamed", "Mine", 5, 3600)
    ]


def test_file_that_contradicts_itself_is_believed_the_first_time(desk: Desk) -> None:
    """Of two prices of one product and day in one file the first counts; the other is set aside, once."""
    content = DAILY + daily("2026-07-23", 3500) + daily("2026-07-23", 3600) + daily("2026-07-23", 3500)
    path = desk.file(content)
    assert fates(desk.load_file(path)) == {"created": 1, "unchanged": 1, "quarantined": 1}
    before = dump(desk.path), dump(desk.path, "quarantine")
    assert desk.rows("SELECT line, code FROM quarantine") == [(3, "contradiction")]
    assert fates(desk.load_file(path)) == {"unchanged": 2, "quarantined": 1}
    assert (dump(desk.path), dump(desk.path, "quarantine")) == before
    assert desk.prices() == [(3500, "2026-07-23")]


@pytest.mark.parametrize("later_s", [0, DAY_S])
def test_contradiction_of_undated_prices(desk: Desk, later_s: float) -> None:
    """A product file that gives two prices for one product is believed the first time, on any day."""
    path = desk.file(PRODUCTS + product("p1", "10.00") + product("p1", "11.00"))
    assert fates(desk.load_file(path)) == {"created": 1, "quarantined": 1}
    before = dump(desk.path)
    desk.clock.advance(later_s)
    assert fates(desk.load_file(path)) == {"unchanged": 1, "quarantined": 1}
    assert dump(desk.path) == before


def test_file_that_names_one_product_twice_settles(desk: Desk) -> None:
    """A file that describes one product in two ways changes nothing when it is imported again."""
    path = desk.file(PRODUCTS + product("p1", name="Banana") + product("p1", name="Nendran"))
    desk.load_file(path)
    before = dump(desk.path)
    desk.clock.advance(60)
    desk.load_file(path)
    assert dump(desk.path) == before


def test_quarantine_says_where_and_why(desk: Desk) -> None:
    """A refused row is kept with its file, line, code, reason and text; the others are imported."""
    bad = daily("2026-07-23", 50, "Goat")
    future = daily("2099-01-01", 3500, "Okra")
    rows = DAILY + daily("2026-07-23", 3500) + bad + future
    assert desk.load(gzip.compress(rows.encode())) == {"created": 1, "quarantined": 2}
    found = desk.rows(
        "SELECT file_name, line, code, reason, raw, q.created_at_us"
        " FROM quarantine q JOIN imports i ON i.id = q.import_id ORDER BY line"
    )
    first, second = found
    assert first[:3] == ("upload-1", 3, "unit_doubtful")
    assert "below 1 rupee/kg" in first[3]
    assert first[4].strip() == bad.strip()
    assert first[5] == desk.clock.now_us()
    assert (second[1], "2099-01-01" in second[4]) == (4, True)


@pytest.mark.parametrize("cut", [1, 8, 200, 5000])
def test_truncated_gzip_leaves_the_catalogue_as_it_was(desk: Desk, cut: int) -> None:
    """A gzip file that was cut off changes no byte of the catalogue, and no import is begun."""
    desk.load(DAILY + daily("2026-07-23", 3500))
    tables = ("imports", "quarantine")
    before = dump(desk.path) + dump(desk.path, *tables)
    rows = "".join(daily("2026-07-24", 100 + n, f"Commodity {n}") for n in range(2000))
    whole = gzip.compress((DAILY + rows).encode())
    with pytest.raises(UnreadableFile, match="cut off"):
        desk.load(whole[:-cut])
    assert dump(desk.path) + dump(desk.path, *tables) == before


LONG = 25_000


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """25,000 rows of 24,000 products, with 3 refused rows in the first and the last batch."""
    path = tmp_path_factory.mktemp("long") / "long.csv"
    rows = [
        daily("2026-07-23", 100 + number % 24_000 % 5000, f"Commodity {number % 24_000}")
        for number in range(LONG)
    ]
    for bad in (7, 9_999, 24_999):
        rows[bad] = daily("2026-07-23", 1, "Goat")
    path.write_text(DAILY + "".join(rows), encoding="utf-8")
    return path


class FailingSource:
    """A file on a disk that gives up after some rows: the source's own rows, then an error."""

    def __init__(self, source: Source, after: int) -> None:
        self._source, self._after = source, after
        self.path, self.format, self.digest = source.path, source.format, source.digest

    def read(self, progress: Callable[[int], None] | None = None) -> Iterator[SourceRow]:
        """The rows, until it fails."""
        for number, row in enumerate(self._source.read(progress)):
            if number == self._after:
                raise OSError("the disk is gone")
            yield row


@pytest.mark.parametrize("after", [9_999, 20_000])
def test_interrupted_import_resumes(desk: Desk, long_file: Path, after: int) -> None:
    """An import that was cut off goes on at the first row that was not committed, and ends with the
    catalogue and the totals of one that was not."""
    source = open_source(long_file, desk.clock.today())
    failing: Any = FailingSource(source, after)
    with pytest.raises(OSError, match="the disk is gone"):
        desk.load_source(failing, LONG)
    committed = after // 10_000 * 10_000
    [(done, tally, finished)] = desk.rows("SELECT rows_done, tally, finished_at_us FROM imports")
    assert (done, sum(json.loads(tally).values()), finished) == (committed, committed, None)
    assert len(desk.rows("SELECT 1 FROM price_history")) <= committed
    summary = desk.load_source(source, LONG)
    assert summary.resumed_at == committed
    assert fates(summary) == {"created": 23_999, "unchanged": 998, "quarantined": 3}
    assert len(desk.rows("SELECT 1 FROM products")) == 23_999
    assert desk.rows("SELECT line FROM quarantine") == [(9,), (10_001,), (25_001,)]
    [(done, tally, finished)] = desk.rows("SELECT rows_done, tally, finished_at_us FROM imports")
    assert (done, sum(json.loads(tally).values())) == (LONG, LONG)
    assert finished == desk.clock.now_us()


def test_interrupted_second_import_resumes(desk: Desk, long_file: Path) -> None:
    """A second import of a finished file starts anew, and resumes like a first one."""
    source = open_source(long_file, desk.clock.today())
    desk.load_source(source, LONG)
    before = dump(desk.path)
    failing: Any = FailingSource(source, 12_000)
    with pytest.raises(OSError, match="the disk is gone"):
        desk.load_source(failing, LONG)
    summary = desk.load_source(source, LONG)
    assert summary.resumed_at == 10_000
    assert fates(summary) == {"unchanged": LONG - 3, "quarantined": 3}
    assert dump(desk.path) == before


def test_price_history_by_label_or_key(desk: Desk) -> None:
    """A price history names products by key or label; unknown ones are set aside with the mend."""
    desk.load(PRODUCTS + product("p1", "10.00") + product("p2", "20.00"))
    desk.rows("UPDATE products SET alias_key = 'label', price_on = '2026-07-20' WHERE external_key = 'p2'")
    rows = ["p1,2026-07-21,1,9999,900", "label,2026-07-19,1,9999,1900", "label,2026-07-21,,,2100"]
    rows += ["nobody,2026-07-21,1,2,2", "label,2026-07-21,,,2101", "p2,2026-07-21,,,2100"]
    assert desk.load(HISTORY + "\n".join(rows) + "\n") == {
        "updated": 2,
        "older": 1,
        "quarantined": 2,
        "unchanged": 1,
    }
    reasons = desk.rows("SELECT line, code, reason FROM quarantine ORDER BY line")
    assert [reason[:2] for reason in reasons] == [(5, "unknown product"), (6, "contradiction")]
    assert "import the file of products first" in reasons[0][2]
    assert desk.prices() == [(900, "2026-07-21"), (2100, "2026-07-21")]
    assert ("2026-07-19", 1900) in desk.history()


def test_deleted_product_stays_deleted(desk: Desk) -> None:
    """A product that its seller took down is not brought back by a file, nor priced by one."""
    content = PRODUCTS + product("p1")
    desk.load(content)
    desk.rows("UPDATE products SET deleted_at_us = 5")
    before = dump(desk.path)
    assert desk.load(content) == {"deleted": 1}
    assert desk.load(PRODUCTS + product("p1", "99.00")) == {"deleted": 1}
    assert desk.load(HISTORY + "p1,2026-07-24,,,500\n") == {"deleted": 1}
    assert dump(desk.path) == before


def test_postcodes_are_corrected_by_a_later_file(desk: Desk) -> None:
    """A later postcode file corrects an earlier one; within one file the first row of a place counts."""
    row = "680001,Thrissur,Kerala,{},76.21,7\n"
    assert desk.load(POSTCODES + row.format("10.52")) == {"created": 1}
    assert desk.load(POSTCODES + row.format("10.53") + row.format("10.54")) == {"updated": 1, "unchanged": 1}
    assert desk.rows("SELECT latitude_e6 FROM postcodes") == [(10_530_000,)]
    assert desk.load(POSTCODES + "680001,Thrissur,Kerala,north,76.21,7\n") == {"quarantined": 1}


def test_file_of_no_rows_is_a_finished_import(desk: Desk) -> None:
    """A file with a header and no rows is imported: nothing changes, and it is recorded as finished."""
    assert desk.load(DAILY) == {}
    [(rows, finished)] = desk.rows("SELECT rows_done, finished_at_us FROM imports")
    assert (rows, finished) == (0, desk.clock.now_us())


def test_former_names_of_a_place_meet(desk: Desk) -> None:
    """A market under a former name of its state, or in other case and spacing, is the same market."""
    desk.load(DAILY + "2026-07-23,Orissa,Cuttack,Main  Market,Okra,Local,FAQ,1,9999,3500\n")
    assert desk.load(DAILY + "2026-07-24,ODISHA,cuttack,main market,OKRA,local,faq,1,9999,3600\n") == {
        "updated": 1
    }
    assert len(desk.rows("SELECT 1 FROM sellers")) == 1


def test_what_a_file_leaves_out_of_a_seller_stays(desk: Desk) -> None:
    """A later file that says less of a seller takes nothing away."""
    head = "externalKey,name,category,price,sellerName,district,state,postcode,latitude,longitude\n"
    desk.load(head + "p1,Banana,Fruits,10,Growers,Thrissur,Kerala,680001,10.5,76.2\n")
    desk.load(head + "p1,Banana,Fruits,10,Growers,Thrissur,Kerala,,,\n")
    assert desk.rows("SELECT postcode, latitude_e6, version FROM sellers") == [("680001", 10_500_000, 1)]


def test_search_finds_what_was_imported(desk: Desk, shelf: Shelf) -> None:
    """Every wording that is imported is stored once and indexed."""
    desk.load(PRODUCTS + product("p1") + product("p2") + product("p3", name="Tomato"))
    assert len(desk.rows("SELECT 1 FROM search_documents")) == 2
    matches = "SELECT COUNT(*) FROM search_index WHERE search_index MATCH 'qqanan*'"
    assert shelf.connection.execute(matches).fetchall() == [(1,)]


def draft(number: int) -> ProductDraft:
    """A product that comes from no file."""
    seller = SellerDraft(
        external_key="s", kind=SellerKind.FARM, name="Farm", district="Thrissur", state="Kerala"
    )
    return ProductDraft(
        external_key=f"p{number}",
        seller=seller,
        name=f"Product {number}",
        category="Fruits",
        price_minor=100,
        source="generated",
    )


def test_drafts_into_an_empty_and_a_filled_catalogue(database_path: Path, clock: SystemClock) -> None:
    """Generated products fill an empty catalogue at once, with every index in place afterwards, and join
    one that is filled."""
    indexes = "SELECT name FROM sqlite_master WHERE type = 'index' ORDER BY name"

    async def go() -> None:
        async with opened(database_path) as database:
            importer = Importer(database, clock)
            before = await database.fetch_all(indexes)
            batches: list[int] = []
            fates = await importer.load_drafts(map(draft, range(10_050)), batches.append)
            assert +fates == {Fate.CREATED: 10_050}
            assert batches == [10_000, 50]
            assert await database.fetch_all(indexes) == before
            again = await importer.load_drafts(map(draft, range(10_040, 10_060)))
            assert (again[Fate.UNCHANGED], again[Fate.CREATED]) == (10, 10)
            assert await database.fetch_all("SELECT COUNT(*) FROM products") == [(10_060,)]

    run(go())


def test_reference_postcodes_give_way_to_a_file(desk: Desk) -> None:
    """The built-in postcodes serve until a postcode file brings that postcode."""

    async def go() -> None:
        async with opened(desk.path) as database:
            await Importer(database, desk.clock).load_reference_postcodes()

    run(go())
    assert desk.rows("SELECT COUNT(*) > 100, MAX(offices) FROM postcodes") == [(1, 0)]
    [(code, district, state)] = desk.rows("SELECT postcode, district, state FROM postcodes LIMIT 1")
    assert desk.load(POSTCODES + f"{code},{district},{state},11.5,77.5,3\n") == {"updated": 1}
    assert desk.rows("SELECT latitude_e6, offices FROM postcodes WHERE postcode = ?", code) == [
        (11_500_000, 3)
    ]
