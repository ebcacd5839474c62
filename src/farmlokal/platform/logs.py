"""One pipeline for every log line, ours and the libraries', that no value can break out of or leak through.

JSON is written in ASCII: a line separator of any alphabet, a terminal code or a lone surrogate leaves as an
escape, so one line is one object under any reader. Secrets are masked by key and by shape, as a second net:
the first is not to log them. Nothing is configured on import.
"""

import json
import logging
import math
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LINE_CHARACTERS: Final = 65_536
"""Most text of one line, and `TEXT_CHARACTERS` of one value: ours, far above any line meant to be read."""
TEXT_CHARACTERS: Final = 8_192
VALUE_CHARACTERS: Final = 24
"""What any value takes of the line: the digits of 64 bits and the punctuation. It also bounds a cycle."""
ITEMS: Final = 100
DEPTH: Final = 8

MASK: Final = "***"

# At debug level these write parameters, rows, headers and whole URLs, which is where secrets are.
_TALKATIVE = ("asyncmy", "hpack", "httpcore", "httpcore2", "httpx", "httpx2", "sqlalchemy")

_TELLTALE = (
    "pass(?:word|wd|phrase)|secret|token|authorization|cookie|credential|assertion|csrf|jwt"
    "|(?:api|private|access|signing)[-_]?key"
)
_SECRET_KEY = re.compile(rf"{_TELLTALE}|^pwd$", re.IGNORECASE)
# Facts about a secret that give nothing of it away.
_HARMLESS_KEY = re.compile(r"[-_](sha256|type|count|expires_in|expires_at|url)$", re.IGNORECASE)

# What is before a secret, which stays, and the secret. Every pattern starts at a fixed text and is bounded or
# linear: log lines are attackers' favourite input.
_SECRET_SHAPES = (
    re.compile(r"(?<=://)([^\s/?#:@]*:)[^\s/?#]*(?=@)"),
    re.compile(
        rf"((?:{_TELLTALE})[\w-]{{0,40}}(?:[\"']\s{{0,3}}[:=]|=)\s{{0,3}})"
        r"(?:\"[^\"]*\"|'[^']*'|[^\s&;,\"'\]})]+)",
        re.IGNORECASE,
    ),
    re.compile(r"(\b(?:bearer|basic)\s)\s{0,3}[\w.~+/=-]{16,}", re.IGNORECASE),
    re.compile(r"(whsec_)[A-Za-z0-9+/=]+"),
    re.compile(r"(?<![\w-])()eyJ[\w-]{5,}\.[\w-]+\.[\w-]*"),
)

# What moves a cursor, starts a line, reverses the reading order or cannot be encoded. The joiners stay:
# Malayalam and Hindi are written with them.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_BARE_WORD = re.compile(r"[\w./:@+*%-]+")

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


def configure_logs(level: str, format: Literal["console", "json"], stream: TextIO) -> None:  # noqa: A002 - the setting's own word
    """Send every log line of the process, from structlog and from stdlib logging, to `stream`.

    Replaces what was configured before, libraries' own handlers included. Call it once, at start.
    """
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render = _json_line if format == "json" else _console_line
    lines = _LineStream(stream)
    lines.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*before, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.ExceptionRenderer(
                    structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
                ),
                render,
            ],
        )
    )
    _route_stdlib(lines, level.upper())
    structlog.configure(
        processors=[
            *before,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def masked_text(text: str) -> str:
    """`text` without the secrets that can be told by their shape: URL passwords, keys in queries, tokens."""
    for shape in _SECRET_SHAPES:
        text = shape.sub(_mask_end, text)
    return text


def _mask_end(match: re.Match[str]) -> str:
    return match[1] + MASK


def _route_stdlib(lines: logging.Handler, level: str) -> None:
    for name in list(logging.root.manager.loggerDict):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    logging.root.handlers[:] = [lines]
    logging.root.setLevel(level)
    logging.captureWarnings(True)


class _LineStream(logging.StreamHandler[TextIO]):
    """Writes a line. A call that cannot be formatted is reported without its arguments, unlike in stdlib."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        return line.encode(encoding, "backslashreplace").decode(encoding)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - stdlib's name
        error = sys.exc_info()[0]
        lost: dict[str, Plain] = {
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "level": "error",
            "event": "a log call was lost",
            "logger": record.name,
            "error": error.__name__ if error else None,
        }
        target = sys.stderr if error and issubclass(error, OSError) else self.stream
        # A stream that is gone leaves nowhere to say so, and a log call never fails its caller.
        with suppress(OSError, ValueError):
            target.write(_to_json(lost) + "\n")


def _json_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return _to_json(_Line().fields(event))


def _console_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Time, level and event, then key=value; an exception follows on indented lines of our own making."""
    fields = _Line().fields(event)
    exceptions = fields.pop("exception", None)
    head = [str(fields.pop(name, "")) for name in ("timestamp", "level", "event")]
    pairs = [f"{_word(name)}={_word(value)}" for name, value in fields.items()]
    line = f"{head[0][11:23]} {head[1]:<8} {_printable(head[2])}" + "".join(f" {pair}" for pair in pairs)
    return line + "".join(_console_exception(item) for item in _items(exceptions))


def _console_exception(trace: Plain) -> str:
    if not isinstance(trace, dict):
        return f"\n    {_printable(str(trace))}"
    lines = [f"\n    {_printable(str(trace.get('exc_type')))}: {_printable(str(trace.get('exc_value')))}"]
    for frame in _items(trace.get("frames")):
        if isinstance(frame, dict):
            place = f"{frame.get('filename')}:{frame.get('lineno')} in {frame.get('name')}"
            lines.append(f"\n        {_printable(place)}")
    return "".join(lines)


def _items(value: Plain) -> list[Plain]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _to_json(fields: Mapping[str, Plain]) -> str:
    return json.dumps(fields, ensure_ascii=True, allow_nan=False)


def _word(value: Plain) -> str:
    if isinstance(value, str) and _BARE_WORD.fullmatch(value):
        return _printable(value)
    return _printable(json.dumps(value, ensure_ascii=False))


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


class _Line:
    """Turns what was logged into plain JSON values, within the room of one line: cycles and floods end."""

    def __init__(self) -> None:
        self._room = LINE_CHARACTERS

    def fields(self, event: EventDict) -> dict[str, Plain]:
        first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
        # A line without when, how bad and what is no line: they come first and have the room.
        return {**self._mapping(first, 0), **self._mapping(event, 0)}

    def _plain(self, value: object, depth: int) -> Plain:
        self._room -= VALUE_CHARACTERS
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            # Python refuses to print an int of more than 4300 digits in decimal; hexadecimal has no limit.
            return int(value) if value.bit_length() < 64 else self._text(hex(value))
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(float(value))
        if isinstance(value, (str, bytes, bytearray)):
            return self._text(value)
        if depth >= DEPTH:
            return "…"
        if isinstance(value, Mapping):
            return self._mapping(value, depth + 1)
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._sequence(list(value)[: ITEMS + 1], depth + 1)
        return self._text(_shown(value))

    def _mapping(self, mapping: Mapping[Any, object], depth: int) -> dict[str, Plain]:
        plain: dict[str, Plain] = {}
        for count, (key, value) in enumerate(mapping.items()):
            if count == ITEMS or self._room <= 0:
                plain["…"] = f"{len(mapping) - count} more"
                break
            name, secret = _name(key if isinstance(key, (str, bytes)) else _shown(key))
            self._room -= len(name)
            plain[name] = MASK if secret and value is not None else self._plain(value, depth)
        return plain

    def _sequence(self, items: list[object], depth: int) -> list[Plain]:
        # A header as a pair: its name says whether its value is a secret.
        if len(items) == 2 and isinstance(items[0], (str, bytes)):
            name, secret = _name(items[0])
            if secret:
                return [name, MASK]
        plain: list[Plain] = []
        for count, item in enumerate(items):
            if count == ITEMS or self._room <= 0:
                return [*plain, "…"]
            plain.append(self._plain(item, depth))
        return plain

    def _text(self, value: str | bytes | bytearray) -> str:
        text = _cut(value, max(0, min(TEXT_CHARACTERS, self._room)))
        self._room -= len(text)
        return text


def _name(key: str | bytes) -> tuple[str, bool]:
    """A key as text, and whether it tells a secret."""
    return _short_name(key) if len(key) <= 64 else _any_name(key)


@lru_cache(maxsize=1024)
def _short_name(key: str | bytes) -> tuple[str, bool]:
    return _any_name(key)  # the same few keys make nearly every line


def _any_name(key: str | bytes) -> tuple[str, bool]:
    name = _cut(key, TEXT_CHARACTERS)
    return name, bool(_SECRET_KEY.search(name)) and not _HARMLESS_KEY.search(name)


def _cut(value: str | bytes | bytearray, room: int) -> str:
    text = value if isinstance(value, str) else value[:TEXT_CHARACTERS].decode(errors="backslashreplace")
    # Masked before it is cut: half a URL does not look like one.
    text = masked_text(text[: 4 * TEXT_CHARACTERS])
    return text if len(text) <= room else f"{text[:room]}…"


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - a log line may not fail because an object cannot print itself
        return f"<{type(value).__name__} that cannot be shown>"
