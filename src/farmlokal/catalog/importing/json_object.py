"""One JSON object, read strictly: what a lenient reader lets pass is where two readers come to differ.

Refused: duplicate members, NaN and Infinity, anything around the object, nesting beyond the interpreter's
limit. Numbers keep their digits (`values.Number`), so that no price passes through a float.
"""

import json
from decimal import Decimal
from json import JSONDecodeError, JSONDecoder

from farmlokal.catalog.importing.values import NUMBER_CHARS, Number, RowError, shown

_EXPONENT_MOST = 30
"""Beyond the fifteen digits of any bound here; without a limit ``1e999999999`` would be written out."""


def object_members(written: str) -> dict[str, object]:
    """The members of a JSON object; raises `values.RowError` for anything else.

    Values are str, `values.Number`, bool, None, or a dict or list that no field accepts.
    """
    try:
        found = _DECODER.decode(written)
    except JSONDecodeError as error:
        reason = f"not JSON at character {error.pos + 1} ({error.msg}); accepted: one JSON object"
        raise RowError("not_json", reason) from None
    except RecursionError:
        raise RowError("not_json", "nested too deeply; accepted: one flat JSON object") from None
    if not isinstance(found, dict):
        raise RowError("not_object", "not a JSON object; accepted: one JSON object")
    return found


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The members of one object; raises `values.RowError` where a name occurs twice."""
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:  # in one pass: a line may have as many members as it likes
            if name in seen:
                raise RowError("duplicate_member", f"{shown(name)} occurs twice; accepted: each member once")
            seen.add(name)
    return members


def number(written: str) -> Number:
    """``1e2`` as ``100``: the parsers of fields know digits and a point. The digits stay exact."""
    if len(written) <= NUMBER_CHARS and ("e" in written or "E" in written):
        exact = Decimal(written)
        if abs(exact.adjusted()) <= _EXPONENT_MOST:
            return Number(format(exact, "f"))
    return Number(written)


def _no_constant(written: str) -> object:
    raise RowError("not_json", f"{written} is not JSON; accepted: one JSON object with finite numbers")


_DECODER: json.JSONDecoder = JSONDecoder(
    parse_float=number, parse_int=Number, parse_constant=_no_constant, object_pairs_hook=unique
)
