"""The formats that a supplier may answer in, by the name that the settings use."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import NamedTuple

from farmlokal.suppliers import datagovin, dummyjson, shopify
from farmlokal.suppliers.models import Supplier, SupplierPage


class Format(NamedTuple):
    """A format: the query of the first page, and the reader of any page.

    `read` takes the body, the query that it answers, the supplier, and the day after which a price is from
    the future (None: no such check). It raises `UnreadablePage`.
    """

    first: Mapping[str, str]
    read: Callable[[bytes, Mapping[str, str], Supplier, date | None], SupplierPage]


FORMATS = {
    "dummyjson": Format(dummyjson.FIRST, dummyjson.read_page),
    "datagovin": Format(datagovin.FIRST, datagovin.read_page),
    "shopify": Format(shopify.FIRST, shopify.read_page),
}
