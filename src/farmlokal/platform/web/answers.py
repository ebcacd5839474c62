"""Answers as bytes: validators, conditional requests, compression.

An ETag names the bytes that are sent, so the compressed forms have tags of their own
(``"tag"``, ``"tag-br"``), as RFC 9110 8.8.3.3 asks; whichever of them a caller holds, the content is the
same, and If-None-Match with any of them gets a 304.
"""

from collections.abc import Collection, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from farmlokal.platform.web import negotiation
from farmlokal.platform.web.content import Content

COMPRESS_FROM_BYTES = 1024
"""Smaller bodies fit a packet or two anyway."""

PUBLIC = "public, max-age=1"
"""For lists: a write is in them within a second, so a copy is good for one."""

REVALIDATE = "public, no-cache"
"""For one product: a write is in it at once, so a copy is asked about before it is used."""


def json_answer(request: Request, value: Any, cache_control: str, link: str | None = None) -> Response:
    """A value as JSON, in the coding the caller prefers, or 304 when the caller has it already."""
    more = {"link": link} if link else {}
    return content_answer(request, Content.of(value), cache_control, more)


def content_answer(
    request: Request,
    content: Content,
    cache_control: str,
    more: Mapping[str, str],
    media_type: str = "application/json",
) -> Response:
    """The same for content that is finished already, of any media type, with more headers."""
    body, tag = content.body, content.tag
    headers = {"cache-control": cache_control, "vary": "Accept, Accept-Encoding", **more}
    coding = None
    if len(body) >= COMPRESS_FROM_BYTES:
        coding = negotiation.coding(", ".join(request.headers.getlist("accept-encoding")))
    headers["etag"] = f'"{tag}-{coding}"' if coding else f'"{tag}"'
    if _holds(request.headers.getlist("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    if coding:
        headers["content-encoding"] = coding
        body = content.coded(coding)
    return Response(body, media_type=media_type, headers=headers)


def held(if_match: list[str], tags: Collection[str]) -> bool:
    """Whether the header names one of these contents, in any coding: what a writer last read."""
    return any(_holds(if_match, tag) for tag in tags)


def _holds(if_none_match: list[str], tag: str) -> bool:
    """Whether the header lists this content, in any coding (weak comparison, RFC 9110 13.1.2)."""
    for candidate in ",".join(if_none_match).split(",")[:100]:
        opaque = candidate.strip().removeprefix("W/")
        if opaque == "*" or opaque.strip('"').split("-")[0] == tag:
            return True
    return False
