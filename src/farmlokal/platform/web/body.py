"""Request bodies as bytes, bounded in size and time, whatever their length is said to be."""

import asyncio
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

BODY_S = 10.0
"""Longest that a body may be under way: 256 kB at the speed of a bad phone line, and a third of what a
connection that says nothing may last."""


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The whole body. Raises `HTTPException` with 413 as soon as it is too large, 408 when it takes too long
    and 400 for a length that is none, `ClientDisconnect` when the caller leaves."""
    declared = request.headers.get("content-length")
    if declared is not None and not (declared.isascii() and declared.isdigit()):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "The content-length is no number.")
    if declared is not None and (len(declared) > 15 or int(declared) > most_bytes):
        raise _too_large(most_bytes)
    try:
        async with asyncio.timeout(BODY_S):
            return await _read(request, most_bytes)
    except TimeoutError:
        raise HTTPException(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The body did not arrive within {BODY_S:.0f} s.",
            {"connection": "close"},
        ) from None


async def _read(request: Request, most_bytes: int) -> bytes:
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > most_bytes:
            raise _too_large(most_bytes)
        more = message.get("more_body", False)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large(most_bytes: int) -> HTTPException:
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A body has at most {most_bytes} bytes.")


def require_json(request: Request) -> None:
    """Raises `HTTPException` with 415 for a body that says it is something else, or compressed."""
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
    if not is_json or request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "This takes application/json, uncompressed.")
