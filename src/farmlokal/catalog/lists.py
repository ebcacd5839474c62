"""Filters of another table as lists of ids, looked up first where they are short.

What asks the seller or the wording of each product that is passed over costs as much again as the product; a
list is checked in the product's own index. It is read just before the page, as the sellers of a radius are: a
seller that moves between the two is on one page or the other of a walk, as it would be a moment later.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from farmlokal.catalog import statements
from farmlokal.catalog.filters import Filters, arity, in_sellers, in_wordings, parameters
from farmlokal.catalog.reader import Reader
from farmlokal.platform.database.port import Row

LISTED = 1_000
"""Longest list: 7 kB of SQL, read in 0.3 ms. No district of a million products has as many sellers, and half
of all searches of one word fewer wordings."""

OF_PLACES = frozenset(["state", "district"])


class Lists:
    """Looks lists up. A longer one is left as the filter that it was."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def of(self, given: Filters) -> Filters | None:
        """The same filters with lists in them; None when a list is empty, and so is every page.

        A list of sellers that is there already (`radius`) holds those alone that pass the other filters of
        sellers.
        """
        places = {name: values for name, values in given.items() if name in OF_PLACES}
        if places:
            rest = {name: values for name, values in given.items() if name not in OF_PLACES}
            if "radius" in given:
                given = rest
            elif (ids := await self._sellers(places)) is not None:
                if not ids:
                    return None
                given = rest | in_sellers(self._reader.dialect, ids)
        if "search" in given and "relevance" not in given:
            wordings = await self._wordings("wordings", given["search"])
            if wordings is not None:
                ids = [identity for (identity,) in wordings]
                return in_wordings(self._reader.dialect, given, ids) if ids else None
        return given

    async def by_class(self, given: Filters, ranks: Mapping[str, Any]) -> dict[int, Filters] | None:
        """The filters of a search for each class of relevance that it has; None where the list is too long.
        `ranks` are the parameters by which a class is told."""
        wordings = await self._wordings("wordings by class", {**given["search"], **ranks})
        if wordings is None:
            return None
        classes: dict[int, list[int]] = {}
        for identity, number in wordings:
            classes.setdefault(number, []).append(identity)
        return {number: in_wordings(self._reader.dialect, given, ids) for number, ids in classes.items()}

    async def _sellers(self, places: Filters) -> Sequence[int] | None:
        rows = await self._reader.fetch(
            ("sellers of", *arity(places)),
            lambda dialect: statements.sellers_sql(places, LISTED + 1, dialect),
            parameters(places),
            stale_ok=True,
        )
        return None if len(rows) > LISTED else [identity for (identity,) in rows]

    async def _wordings(self, what: str, values: Mapping[str, Any]) -> list[Row] | None:
        rows = await self._reader.fetch(
            (what, len(values)),
            lambda dialect: statements.wordings_sql(
                sum(name.startswith("search_word_") for name in values), LISTED + 1, dialect
            ),
            values,
            stale_ok=True,
        )
        return None if len(rows) > LISTED else rows
