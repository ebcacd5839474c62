"""Strict parsers of single fields, shared by all formats; every refusal names the field and what will do.

Digits are ASCII digits only: `int()` and `Decimal()` would take ``1_000``, ``１０`` and white space, and a
file with those was not meant as we would read it. No float is involved anywhere.
"""

import re
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

from farmlokal.catalog.models import PRICE_CEILING_MINOR, QUANTITY_CEILING_MILLI

KEY_BYTES = 200
"""Longest external key in UTF-8 bytes (`models.ProductDraft`)."""

LABEL_CHARS = 100
"""Longest commodity, category, district and the like, in characters; the longest published one has 37."""

SELLER_CHARS = 200
"""Longest name of a seller in characters; the longest published name of a market has 89."""

REASON_CHARS = 500
"""Longest reason: what the table of refused rows holds."""

FIRST_YEAR = 2000
"""Agmarknet began in the year 2000; an earlier date is a typing error or a zero timestamp."""

NUMBER_CHARS = 40
"""Longest number: beyond any price, and short enough that no conversion can be made slow."""

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # categories Cc and Cs
_DECIMAL = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_SIGNED = re.compile(r"-?[0-9]{1,3}(?:\.[0-9]{1,20})?")  # 23 digits: exact within Decimal's 28
_POSTCODE = re.compile(r"[1-9][0-9]{5}")
_ISO_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_INDIAN_DAY = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})")


class RowError(Exception):
    """A field is not what it should be; the row becomes `rows.Rejected` with this code and reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason[:REASON_CHARS]


class Number(str):
    """A JSON number as it was written: no float in between, and still no text to the parsers of texts."""

    __slots__ = ()


def shown(value: object) -> str:
    """A value as a reason may show it: short, and pure ASCII but for letters."""
    if not isinstance(value, str):
        return "true" if value is True else "false" if value is False else f"a JSON {type(value).__name__}"
    return repr(str(value[:40])) + ("…" if len(value) > 40 else "")


def text(field: str, value: object, limit: int, unit: str = "bytes") -> str:
    """The text without outer white space and without control characters, 1 to `limit` `unit`.

    Keys and names are limited in bytes of UTF-8, other texts in ``characters``, as in the contract.
    """
    if type(value) is str and 4 * len(value) <= limit and value.isprintable():  # nearly every text there is
        stripped = value.strip()
        if stripped:
            return stripped
    if value is None:
        raise missing(field)
    if not isinstance(value, str) or isinstance(value, Number):
        raise RowError("not_text", f"{field} is {shown(value)}; accepted: a text")
    stripped = value.strip()
    if not stripped:
        raise missing(field)
    if _FORBIDDEN.search(stripped):
        raise RowError("control_character", f"{field} has a control character; accepted: text without any")
    length = len(stripped.encode()) if unit == "bytes" else len(stripped)
    # The length as written counts too: what is kept in caches is the field as written.
    if length > limit or len(value) > 4 * limit:
        raise RowError("too_long", f"{field} is too long; accepted: at most {limit} {unit}")
    return stripped


def optional_text(field: str, value: object, limit: int, unit: str = "bytes") -> str | None:
    """`text`, or None for a field that is absent or blank."""
    if value is None or value == "" or (isinstance(value, str) and value.isspace()):
        return None
    return text(field, value, limit, unit)


def label(field: str, value: object, limit: int = LABEL_CHARS) -> str:
    """A `text` of at most `limit` characters with every run of white space made one space."""
    return " ".join(text(field, value, limit, "characters").split())


def optional_label(field: str, value: object) -> str | None:
    """`label`, or None for a field that is absent or blank."""
    found = optional_text(field, value, LABEL_CHARS, "characters")
    return None if found is None else " ".join(found.split())


def missing(field: str) -> RowError:
    """The error for a required field without a value."""
    return RowError("missing", f"{field} is missing; it is required")


def _written(field: str, value: object) -> str:
    if isinstance(value, str):
        if not value.strip():
            raise missing(field)
        return value.strip()
    if value is None:
        raise missing(field)
    raise RowError("not_a_number", f"{field} is {shown(value)}; accepted: a number")


def _digits(field: str, value: object, accepted: str) -> tuple[str, str]:
    """A number of zero or more as its digits before and after the point."""
    written = _written(field, value)
    if len(written) > NUMBER_CHARS:
        raise RowError(
            "out_of_range", f"{field} has more than {NUMBER_CHARS} characters; accepted: {accepted}"
        )
    match = _DECIMAL.fullmatch(written)
    if match is None:
        negative = written[0] == "-" and _DECIMAL.fullmatch(written[1:])
        code = "negative" if negative else "not_a_number"
        raise RowError(code, f"{field} is {shown(written)}; accepted: {accepted}")
    return match[1], match[2] or ""


def _scaled(field: str, value: object, places: int, least: int, most: int) -> int:
    unit = 10**places
    accepted = f"a number from {_plain(least, unit)} to {most // unit} with at most {places} decimals"
    whole, fraction = _digits(field, value, accepted)
    fraction = fraction.rstrip("0")
    if len(fraction) > places:
        raise RowError("too_precise", f"{field} is {shown(value)}; accepted: {accepted}")
    amount = int(whole + fraction.ljust(places, "0"))
    if not least <= amount <= most:
        raise RowError("out_of_range", f"{field} is {shown(value)}; accepted: {accepted}")
    return amount


def _plain(amount: int, unit: int) -> str:
    return str(amount) if not amount else f"{Decimal(amount) / unit:f}"


def rupees(field: str, value: object) -> int:
    """An amount in rupees with at most two decimals, as paise."""
    return _scaled(field, value, 2, 0, PRICE_CEILING_MINOR)


def quantity(field: str, value: object, *, least: int = 0) -> int:
    """A quantity with at most three decimals, as thousandths, at least `least` of them."""
    return _scaled(field, value, 3, least, QUANTITY_CEILING_MILLI)


@lru_cache(maxsize=16_384)
def whole(field: str, written: str, most: int = PRICE_CEILING_MINOR) -> int:
    """A whole number from 0 to `most`, in ASCII digits and nothing else. Cached: prices recur."""
    accepted = f"a whole number from 0 to {most}"
    digits, _ = _digits(field, written, accepted)
    if digits != written.strip():
        raise RowError("not_a_number", f"{field} is {shown(written)}; accepted: {accepted}")
    amount = int(digits)
    if amount > most:
        raise RowError("out_of_range", f"{field} is {shown(written)}; accepted: {accepted}")
    return amount


def optional_whole(field: str, value: str, most: int = PRICE_CEILING_MINOR) -> int | None:
    """`whole`, or None for a blank field."""
    return whole(field, value, most) if value and not value.isspace() else None


@lru_cache(maxsize=16_384)
def nearest_whole(field: str, written: str, most: int = PRICE_CEILING_MINOR) -> int:
    """A decimal number from 0 to `most`, rounded half up: ``399.99996`` is 400 and ``2472.5`` is 2473.

    Half up and not half even, because that is how the clean archive of the same prices was rounded. The
    first decimal alone decides, so no arithmetic of fractions is needed. Cached: prices recur.
    """
    accepted = f"a number from 0 to {most}"
    digits, fraction = _digits(field, written, accepted)
    amount = int(digits) + (fraction[:1] >= "5")
    if amount > most:
        raise RowError("out_of_range", f"{field} is {shown(written)}; accepted: {accepted}")
    return amount


def degrees_e6(field: str, value: object, bound: int) -> int:
    """Degrees from -`bound` to `bound`, as millionths, half-even beyond six decimals."""
    written = _written(field, value)
    accepted = f"decimal degrees from -{bound} to {bound}, such as 10.52764"
    if _SIGNED.fullmatch(written) is None:
        raise RowError("not_a_number", f"{field} is {shown(written)}; accepted: {accepted}")
    amount = int(Decimal(written).scaleb(6).to_integral_value(ROUND_HALF_EVEN))
    if abs(amount) > bound * 1_000_000:
        raise RowError("out_of_range", f"{field} is {shown(written)}; accepted: {accepted}")
    return amount


def place_e6(latitude: object, longitude: object, names: tuple[str, str]) -> tuple[int | None, int | None]:
    """Both coordinates in millionths of a degree, or neither; `names` are the two fields."""
    absent = [value is None or value == "" for value in (latitude, longitude)]
    if all(absent):
        return None, None
    if any(absent):
        given, lacking = names if absent[1] else reversed(names)
        raise RowError("missing", f"{lacking} is missing beside {given}; accepted: both or neither")
    return degrees_e6(names[0], latitude, 90), degrees_e6(names[1], longitude, 180)


def postcode(field: str, value: object) -> str:
    """A postcode of India: six digits, the first not 0."""
    written = value.strip() if isinstance(value, str) and not isinstance(value, Number) else ""
    if _POSTCODE.fullmatch(written) is None:
        raise RowError(
            "bad_postcode", f"{field} is {shown(value)}; accepted: six digits as text, first not 0"
        )
    return written


def day(field: str, value: object, latest: date | None = None, *, indian: bool = False) -> str:
    """A date as ISO text: from the year 2000, at most `latest`; ``31/12/2026`` too where `indian`."""
    if value is None or value == "":
        raise missing(field)
    if not isinstance(value, str) or isinstance(value, Number) or len(value) > NUMBER_CHARS:
        raise RowError("bad_date", f"{field} is {shown(value)}; accepted: a date such as 2026-07-24")
    return _day_until(field, value, latest, indian)


@lru_cache(maxsize=4096)
def _day_until(field: str, written: str, latest: date | None, indian: bool) -> str:
    found = _day(field, written, indian)
    if latest is not None and found > latest.isoformat():
        raise RowError("future_date", f"{field} is {found}; accepted: no day after {latest.isoformat()}")
    return found


def day_after(today: date | None) -> date | None:
    """The latest day a price may be of: tomorrow, for where the day has begun before it has with us."""
    return None if today is None or today == date.max else today + timedelta(days=1)


def _day(field: str, written: str, indian: bool) -> str:
    stripped = written.strip()
    accepted = "a date such as 2026-07-24 or 24/07/2026" if indian else "a date such as 2026-07-24"
    if not stripped:
        raise missing(field)
    if match := _ISO_DAY.fullmatch(stripped):
        year, month, dom = match.groups()
    elif indian and (match := _INDIAN_DAY.fullmatch(stripped)):
        dom, month, year = match.groups()
    else:
        raise RowError("bad_date", f"{field} is {shown(written)}; accepted: {accepted}")
    if int(year) < FIRST_YEAR:
        raise RowError("bad_date", f"{field} is {shown(written)}; accepted: a date from {FIRST_YEAR} on")
    try:
        return date(int(year), int(month), int(dom)).isoformat()
    except ValueError:
        raise RowError("bad_date", f"{field} is {shown(written)}; accepted: a day of the calendar") from None
