"""Daily prices of products that are in the catalogue: ``product_key,observed_on,…,modal_paise_per_kg``.

Quirks: `product_key` is the external key or the alias of a product, and whether it exists is not known
here; prices are whole paise per kg. The bounds on belief of the mandi formats do not apply: the product is
known, so its unit is, and saffron does cost more than 3000 rupees.
"""

from collections.abc import Callable
from datetime import date
from operator import itemgetter

from farmlokal.catalog.importing.mandi import ordered
from farmlokal.catalog.importing.rows import Format, TableFormat
from farmlokal.catalog.importing.values import KEY_BYTES, day, optional_whole, text, whole
from farmlokal.catalog.models import PriceObservation

_COLUMNS = ("product_key", "observed_on", "min_paise_per_kg", "max_paise_per_kg", "modal_paise_per_kg")


def _bind(columns: dict[str, int], latest: date | None) -> Callable[[list[str]], PriceObservation]:
    pick = itemgetter(*(columns[name] for name in _COLUMNS))

    def parse(fields: list[str]) -> PriceObservation:
        key, observed_on, lowest, highest, price = pick(fields)
        low = optional_whole("min_paise_per_kg", lowest)
        high = optional_whole("max_paise_per_kg", highest)
        modal = whole("modal_paise_per_kg", price)
        ordered(low, modal, high)
        return PriceObservation(
            product_key=text("product_key", key, KEY_BYTES),
            observed_on=day("observed_on", observed_on, latest),
            price_minor=modal,
            low_minor=low,
            high_minor=high,
        )

    return parse


TABLE = TableFormat(Format.PRICE_HISTORY, _COLUMNS, (), extra_ignored=True, bind=_bind)
