"""Mandi prices from the JSON API of data.gov.in, page by page.

A record is read as in an imported file (`catalog/importing/datagovin.py`, where its quirks stand: numbers
as text or not, ``NA``, names with alternates), and means the same listing: so it is known by that listing's
key, and a supplier and a file write one product. Quirks of the pages: `total`, `limit` and `offset` arrive
as numbers or as text; a key that is not registered gets 10 records a page whatever the limit; an error is a
document with a `message` and without records, and its status is 200 at times. Prices are of markets: no
stock is known.
"""

from collections.abc import Iterator, Mapping
from datetime import date

from farmlokal.catalog.importing.datagovin import record_draft, record_key
from farmlokal.suppliers.document import Members, read_items, read_offers, whole_number
from farmlokal.suppliers.models import Supplier, SupplierOffer, SupplierPage
from farmlokal.suppliers.paging import by_offset

FIRST = {"format": "json", "limit": "1000", "offset": "0"}


def read_page(
    body: bytes, asked: Mapping[str, str], _supplier: Supplier, latest: date | None
) -> SupplierPage:
    """The page that answers the query `asked`; a price of a day after `latest` is refused. Raises
    `UnreadablePage`."""
    items, around = read_items(body, "records")
    offers, refused = read_offers(items, lambda item: _offer(item, latest), _keys)
    total = whole_number(around.get("total"))
    return SupplierPage(offers, refused, by_offset(asked, "offset", len(items), total), total)


def _offer(item: Members, latest: date | None) -> Iterator[SupplierOffer]:
    draft = record_draft(item, latest)
    yield SupplierOffer(key=draft.external_key, product=draft)


def _keys(item: Members) -> Iterator[str]:
    yield record_key(item)
