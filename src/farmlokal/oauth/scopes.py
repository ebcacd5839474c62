"""What a token may allow, one word each (RFC 6749 §3.3)."""

import re

SCOPES = {
    "catalog:write": "Create, change and delete products and sellers.",
    "orders:read": "Read orders and their history.",
    "orders:repair": "Inspect and re-apply events that could not be applied.",
    "suppliers:sync": "Start, watch and approve syncs with suppliers.",
    "upstream:token": "Take the token for calling the supplier.",
    "ops:read": "Read metrics, the API document and the state of suppliers; introspect any token.",
}

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")  # RFC 6749, appendix A.4


def parse(text: str) -> frozenset[str] | None:
    """The words of a scope parameter; None for one that is not well formed."""
    return frozenset(text.split(" ")) if _SCOPE.fullmatch(text) else None


def written(scopes: frozenset[str]) -> str:
    """As the parameter has them, in one order."""
    return " ".join(sorted(scopes))
