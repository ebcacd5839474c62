"""Connecting only to addresses that are allowed: the name is resolved once, and the connection goes to the
very address that was looked at.

A check beside the connection would ask the resolver twice, and whoever owns the name could answer otherwise
the second time. TLS still wants a certificate for the name.
"""

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpcore2

CONNECT_S = 1.0
"""Longest that one address may take to answer (requirement); there may be another one."""

ADDRESSES = 4
"""Most addresses of a name that are tried."""


class NotAllowed(OSError):
    """No address of the host may be connected to."""


def guarded(reaches: Callable[[str], bool]) -> "httpcore2.AsyncNetworkBackend":
    """How a pool connects: only to addresses for which `reaches` is true. Raises `NotAllowed`."""
    import httpcore2  # here, and not where nobody is called: it takes 2 MB

    class Guarded(httpcore2.AnyIOBackend):
        async def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,  # noqa: ASYNC109, ARG002  theirs; the call ends by its own limit
            local_address: str | None = None,
            socket_options: Iterable[Any] | None = None,
        ) -> httpcore2.AsyncNetworkStream:
            error: Exception = NotAllowed()
            for address in (await _resolved(host, port, reaches))[:ADDRESSES]:
                try:
                    return await super().connect_tcp(address, port, CONNECT_S, local_address, socket_options)
                except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as failed:
                    error = failed
            raise error

        async def connect_unix_socket(self, *_given: Any, **_named: Any) -> httpcore2.AsyncNetworkStream:
            raise NotAllowed

    return Guarded()


async def _resolved(host: str, port: int, reaches: Callable[[str], bool]) -> list[str]:
    """The addresses of a host that may be connected to, in the resolver's order."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )
    addresses = dict.fromkeys(str(where[0]) for *_, where in found)
    return [address for address in addresses if reaches(address)]
