"""Daily prices of Indian wholesale markets, as Agmarknet publishes them: ``date,state,…,modal_price``.

Quirks: rupees per quintal with float noise (``399.99996``); names with doubled spaces and in Hindi, and
places under old names (see `mandi`); modal prices outside min..max; goods priced per head in the same
column. Dates are ISO in the published archive and day first in other copies; both are read.
"""

from collections.abc import Callable
from datetime import date
from operator import itemgetter

from farmlokal.catalog.importing.mandi import Quote, price_draft
from farmlokal.catalog.importing.rows import Format, TableFormat
from farmlokal.catalog.models import ProductDraft

_COLUMNS = (
    "date",
    "state",
    "district",
    "market",
    "commodity",
    "variety",
    "grade",
    "min_price",
    "max_price",
    "modal_price",
)


def _bind(columns: dict[str, int], latest: date | None) -> Callable[[list[str]], ProductDraft]:
    pick = itemgetter(*(columns[name] for name in _COLUMNS))

    def parse(fields: list[str]) -> ProductDraft:
        return price_draft(Quote(*pick(fields)), latest)

    return parse


TABLE = TableFormat(Format.AGMARKNET_DAILY, _COLUMNS, (), extra_ignored=True, bind=_bind)
