"""A request's body, read whole, with a bound on its bytes and on the time it takes."""

import asyncio
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request

WITHIN_S = 20.0
"""Longest a body may take to arrive: a kilobyte takes a second on the slowest lines there are."""


async def read_body(request: Request, most: int) -> bytes:
    """The body. Raises `HTTPException`: 413 past `most` bytes, which are not read; 408 past `WITHIN_S`."""
    declared = _header(request, b"content-length") or "0"
    if declared.isdecimal() and len(declared) < 20 and int(declared) > most:
        raise _too_large(most)
    body = bytearray()
    try:
        async with asyncio.timeout(WITHIN_S):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise HTTPException(HTTPStatus.BAD_REQUEST, "The request ended before its body did.")
                body += message.get("body", b"")
                if len(body) > most:
                    raise _too_large(most)
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, "The body took too long to arrive.") from None


def _too_large(most: int) -> HTTPException:
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A body has at most {most} bytes here.")


def require_json(request: Request) -> None:
    """Raises `HTTPException` with 415 for a body that says it is something else, or compressed."""
    said = _header(request, b"content-type")
    media_type = "application/json" if said is None else said.partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
    coding = _header(request, b"content-encoding")
    if not is_json or (coding is not None and coding.lower() != "identity"):
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "This takes application/json, uncompressed.")


def _header(request: Request, name: bytes) -> str | None:
    """The first of this name. The framework's own way decodes every header each time."""
    for each, value in request.scope["headers"]:
        if each == name:
            return str(value, "latin-1")
    return None
