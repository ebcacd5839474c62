"""What the forms of other senders are made of when they become events in our form."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

Members = dict[str, Any]
Translate = Callable[[Members], Members]
"""Takes a sender's object, any JSON object, and gives the members of an event of ours; never raises. A
value that makes no sense is passed on, and refused where events are read."""


def at(value: object, *names: str) -> Any:
    """What stands at the end of a path through objects; None where it breaks off."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def instant(seconds: object) -> object:
    """Seconds since 1970 as an instant in text; anything else as it is."""
    if isinstance(seconds, int) and not isinstance(seconds, bool) and 0 <= seconds < 253_402_300_800:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    return seconds
