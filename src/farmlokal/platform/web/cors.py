"""Which scripts of other origins may read what (Fetch, 3.3): what is public, and nothing below some paths."""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

EXPOSED = ["ETag", "Link", "X-Cache", "X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy"]
"""Headers that they may read."""


def with_cors(app: ASGIApp, origins: Sequence[str], private: tuple[str, ...]) -> ASGIApp:
    """The same application, readable by scripts of `origins` but for the paths that begin with `private`."""
    public = CORSMiddleware(
        app, allow_origins=list(origins), allow_methods=["GET", "HEAD"], expose_headers=EXPOSED
    )

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        closed = scope["type"] == "http" and scope["path"].startswith(private)
        await (app if closed else public)(scope, receive, send)

    return choose
