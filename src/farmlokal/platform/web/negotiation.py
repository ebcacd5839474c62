"""What a caller can read: media types and content codings (RFC 9110, 12.4 and 12.5).

Headers are read leniently: a part that cannot be understood counts as not said. A caller who says nothing
gets JSON, uncompressed.
"""

import re
from functools import lru_cache

_QUALITY = re.compile(r"\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*", re.IGNORECASE)

CODINGS = ("zstd", "br", "gzip")
"""What we can write, in our order of preference where the caller has none: by CPU time for the size won."""


@lru_cache(maxsize=512)
def accepts(header: str, media_type: str) -> bool:
    """Whether an Accept header admits a media type; the most specific range that matches decides."""
    ranges = _qualities(header)
    if not ranges:
        return True
    main = media_type.partition("/")[0]
    for candidate in (media_type, f"{main}/*", "*/*"):
        if candidate in ranges:
            return ranges[candidate] > 0
    return False


@lru_cache(maxsize=512)
def coding(header: str) -> str | None:
    """The content coding to answer with, None for none."""
    given = _qualities(header)
    rest = given.get("*", 0.0)
    best = max(CODINGS, key=lambda name: given.get(name, rest))  # the first of equals: our preference
    quality = given.get(best, rest)
    return best if quality > 0 and quality >= given.get("identity", 0.0) else None


@lru_cache(maxsize=512)
def language(header: str, choices: tuple[str, ...]) -> str:
    """The language of an Accept-Language header that the caller likes best, the first where none will do.

    A region does not count: ``hi-IN`` asks for ``hi``.
    """
    liked: dict[str, float] = {}
    for name, quality in _qualities(header).items():
        primary = name.partition("-")[0]
        liked[primary] = max(quality, liked.get(primary, 0.0))
    best = max(choices, key=lambda choice: liked.get(choice, 0.0))
    return best if liked.get(best, 0.0) > 0 else choices[0]


def _qualities(header: str) -> dict[str, float]:
    """Each part of the header, in lower case and without its other parameters, with its quality."""
    found: dict[str, float] = {}
    for part in header.split(",")[:50]:
        name, *parameters = part.split(";")
        quality = 1.0
        for parameter in parameters:
            if match := _QUALITY.fullmatch(parameter):
                quality = float(match.group(1))
        if name.strip():
            found[name.strip().lower()] = quality
    return found
