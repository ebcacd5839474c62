"""Centres of Indian postcodes: ``pincode,district,state,lat,lon,offices``.

Quirks: one postcode may reach into several districts and then has a row for each; `offices` counts the
post offices a row stands for. State names vary as they do with the mandis and are made one.
"""

from collections.abc import Callable
from datetime import date
from functools import lru_cache
from operator import itemgetter

from farmlokal.catalog import reference
from farmlokal.catalog.importing.rows import Format, TableFormat
from farmlokal.catalog.importing.values import degrees_e6, label, postcode, whole
from farmlokal.catalog.models import PostcodePlace

_COLUMNS = ("pincode", "district", "state", "lat", "lon", "offices")

_OFFICES_MOST = 1_000_000
"""India has some 165,000 post offices in all (India Post, 2024)."""


@lru_cache(maxsize=4096)
def _place(district: str, state: str) -> tuple[str, str]:
    return label("district", district), reference.canonical_state(label("state", state))


def _bind(columns: dict[str, int], latest: date | None) -> Callable[[list[str]], PostcodePlace]:  # noqa: ARG001  # places have no date
    pick = itemgetter(*(columns[name] for name in _COLUMNS))

    def parse(fields: list[str]) -> PostcodePlace:
        code, district, state, lat, lon, offices = pick(fields)
        district, state = _place(district, state)
        return PostcodePlace(
            postcode=postcode("pincode", code),
            district=district,
            state=state,
            latitude_e6=degrees_e6("lat", lat, 90),
            longitude_e6=degrees_e6("lon", lon, 180),
            offices=whole("offices", offices, _OFFICES_MOST),
        )

    return parse


TABLE = TableFormat(Format.POSTCODES, _COLUMNS, (), extra_ignored=True, bind=_bind)
