"""The parameters that every list in pages takes."""

from farmlokal.platform.keyset.cursor import CURSOR_LENGTH
from farmlokal.platform.web.parameters import Kind, NotAccepted, Parameter, integer

LIMIT_DEFAULT, LIMIT_CEILING = 20, 100


def sort(*names: str) -> Kind:
    """A sort name, with ``-`` before it for descending: (name, descending)."""

    def parse(text: str) -> tuple[str, bool]:
        name = text.removeprefix("-")
        if name not in names:
            raise NotAccepted("not one of the choices")
        return name, text.startswith("-")

    choices = [sign + name for name in names for sign in ("", "-")]
    accepted = "one of " + ", ".join(names) + ", with '-' before it for descending"
    return Kind(parse, accepted, {"type": "string", "enum": choices})


def _cursor(text: str) -> str:
    if not text.isascii() or len(text) > CURSOR_LENGTH:
        raise NotAccepted("forged")
    return text


LIMIT = Parameter("limit", integer(1, LIMIT_CEILING), "Rows on a page.", 20, default=LIMIT_DEFAULT)
CURSOR = Parameter(
    "cursor",
    Kind(
        _cursor,
        "a nextCursor or prevCursor of this very query, unchanged",
        {"type": "string", "maxLength": CURSOR_LENGTH},
    ),
    "Where the page starts: a cursor from an earlier answer to the same query.",
)
