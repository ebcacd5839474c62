"""A request for a list of orders: the query string becomes one frozen `OrdersQuery`, or names every fault."""

from dataclasses import dataclass

from farmlokal.errors import Fault
from farmlokal.orders.models import Status
from farmlokal.platform.keyset.parameters import CURSOR, LIMIT, sort
from farmlokal.platform.web.parameters import INSTANT, Contradiction, Parameter, one_of, read

SORTS = ("createdAt", "updatedAt")


@dataclass(frozen=True, slots=True)
class OrdersQuery:
    """Which orders, in which order: times are microseconds, from `since_us` on and before `until_us`, of the
    time that the list is sorted by."""

    sort: str
    descending: bool
    status: str | None
    since_us: int | None
    until_us: int | None
    limit: int
    cursor: str | None

    @classmethod
    def parse(cls, query_string: bytes) -> "OrdersQuery":
        """Read a query string. Raises `Invalid` naming all faults at once."""
        given = read(query_string, PARAMETERS, CONTRADICTIONS)
        by, descending = given["sort"] or ("createdAt", True)
        return cls(
            by, descending, given["status"], given["since"], given["until"], given["limit"], given["cursor"]
        )

    def identity(self) -> list[object]:
        """What says which rows in which order: the values that a cursor is bound to."""
        return [self.sort, self.descending, self.status, self.since_us, self.until_us]


PARAMETERS = (
    LIMIT,
    CURSOR,
    Parameter(
        "sort",
        sort(*SORTS),
        "Order of the rows, newest first where it is not said; `-` turns it round. Ties are broken by when"
        " orders came to be known.",
        "-createdAt",
    ),
    Parameter("status", one_of(*Status), "Only orders that stand there.", "packed"),
    Parameter(
        "since", INSTANT, "Only from this instant on, by the time that is sorted by.", "2026-07-24T00:00:00Z"
    ),
    Parameter("until", INSTANT, "Only before this instant.", "2026-08-01T00:00:00Z"),
)

CONTRADICTIONS = (
    Contradiction(
        ("since", "until"),
        lambda given: None not in (given["since"], given["until"]) and given["since"] >= given["until"],
        Fault("until", "out of range", "an instant after since"),
    ),
)
