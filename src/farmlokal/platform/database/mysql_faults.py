"""What MySQL and MariaDB say when something goes wrong, sorted by what is to be done about it.

The numbers are the servers' own. What is not listed is a bug and stays the driver's exception. No sentence
here repeats the server's: that one quotes SQL, values and user names.
"""

import ssl
from enum import Enum, auto

from asyncmy.errors import Error, InterfaceError

from farmlokal.errors import Unavailable
from farmlokal.platform.database.port import Contended, StatementTimeout


class Kind(Enum):
    """What is to be done."""

    AGAIN = auto()  # rolled back on the server's account: the whole transaction may be run again
    LOST = auto()  # the connection is gone, or what it would say next is not known
    UNREACHABLE = auto()  # a fresh connection could not be had either
    DEMOTED = auto()  # it is no server to write to any more: every connection of its time is dropped
    SLOW = auto()
    BUSY = auto()
    FULL = auto()
    REFUSED = auto()
    UNTRUSTED = auto()
    NO_DATABASE = auto()
    DUPLICATE = auto()
    BUG = auto()


_KINDS = {
    # A lock wait that ran out, a deadlock, a row that changed under a snapshot (MariaDB 11.8's default).
    **dict.fromkeys((1205, 1213, 1020), Kind.AGAIN),
    # Cannot connect, gone away, lost during a query, shutdown, killed, network errors.
    **dict.fromkeys(
        (
            2002,
            2003,
            2006,
            2013,
            2014,
            2055,
            1053,
            1077,
            1079,
            1152,
            1158,
            1159,
            1160,
            1161,
            1184,
            1927,
            4031,
            # An error during COMMIT: a node that lost its cluster in the middle of it.
            1180,
        ),
        Kind.LOST,
    ),
    # --read-only, a read-only transaction, InnoDB read-only mode, not (any more) part of a cluster.
    **dict.fromkeys((1290, 1792, 1836, 1874, 1047, 3100, 3101), Kind.DEMOTED),
    # max_statement_time, MAX_EXECUTION_TIME, KILL QUERY.
    **dict.fromkeys((1969, 3024, 1317, 1028), Kind.SLOW),
    # Connections, of all and of one user; memory; too many locks.
    **dict.fromkeys((1040, 1203, 1226, 1037, 1038, 1041, 1135, 1206), Kind.BUSY),
    # Disk and table full.
    **dict.fromkeys((1021, 1026, 1114, 3675), Kind.FULL),
    **dict.fromkeys((1044, 1045, 1129, 1130, 1698, 3118, 3159), Kind.REFUSED),
    1049: Kind.NO_DATABASE,
    **dict.fromkeys((1062, 1586), Kind.DUPLICATE),
}

_SENTENCES = {
    Kind.AGAIN: "the database has too many changes of the same rows at once",
    Kind.LOST: "the connection to the database was lost",
    Kind.UNREACHABLE: "the database cannot be reached",
    Kind.DEMOTED: "the database takes no writes now",
    Kind.SLOW: "the query took longer than the database may spend on one",
    Kind.BUSY: "the database has no connection or memory to spare",
    Kind.FULL: "the database has no room left to store anything",
    Kind.REFUSED: "the database refuses our user or password",
    Kind.UNTRUSTED: "the database speaks no TLS, or shows a certificate that ssl_ca does not vouch for",
    Kind.NO_DATABASE: "the server has no database of this name: create it, then run `farmlokal migrate`",
}

_REFUSALS: dict[Kind, type[Unavailable]] = {Kind.SLOW: StatementTimeout, Kind.AGAIN: Contended}

LEADS_ELSEWHERE = frozenset({Kind.LOST, Kind.DEMOTED})
"""What a fresh connection may mend: behind its address there may be another server by now."""

UNKNOWN_OUTCOME = "the database did not say whether the change was kept"


class Failed(Exception):
    """A statement that failed for a reason of `kind`; it never leaves the adapter."""

    def __init__(self, kind: Kind, sentence: str | None = None) -> None:
        self.sentence = sentence or _SENTENCES[kind]
        super().__init__(self.sentence)
        self.kind = kind

    def refusal(self) -> Unavailable:
        """The same as the domain says it."""
        return _REFUSALS.get(self.kind, Unavailable)(self.sentence)


def kind_of(error: BaseException) -> Kind:
    """What to do about what the driver raised."""
    if isinstance(error, Error):
        if _is_untrusted(error.__cause__):
            return Kind.UNTRUSTED
        code = error.args[0] if error.args else None
        if isinstance(error, InterfaceError) or not isinstance(code, int):
            return Kind.LOST  # the driver's own: not connected, or packets out of sequence
        return _KINDS.get(code, Kind.BUG)
    return Kind.LOST if isinstance(error, OSError | EOFError) else Kind.BUG


def _is_untrusted(error: BaseException | None) -> bool:
    """Another certificate than was asked for, or an answer that is no TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return True
    return isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER"
