"""Who asks, by network address.

X-Forwarded-For is a claim of whoever sent it: it counts only from a peer that the operator trusts, and of its
entries only the last one that a trusted peer did not write about itself. Anything that is not an address
there, and the peer is whom we know.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from farmlokal.platform.rate_limit import Caller

HOPS = 16
"""Most entries of X-Forwarded-For that are looked at, from the right: far more proxies than anyone chains."""

_UNKNOWN = Caller("address", "unknown")
_Address = IPv4Address | IPv6Address


class Peers:
    """Knows the proxies that the operator trusts."""

    def __init__(self, trusted: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def caller(self, scope: Any) -> Caller:
        """Whose quota a request spends: an IPv4 address, or the /64 of an IPv6 one, which is what one
        subscriber gets (RFC 6177). Peers without an address (a Unix socket) share one quota. Never raises."""
        host = scope["client"][0] if scope.get("client") else ""
        if not self._trusted:
            return _caller(host)
        peer = _address(host)
        if peer is None or not self._trusts(peer):
            return _caller(host)
        farthest = peer
        for hop in _hops(scope["headers"]):
            address = _address(hop)
            if address is None:
                return _caller(host)
            farthest = address
            if not self._trusts(address):
                break
        return _caller(str(farthest))

    def _trusts(self, address: _Address) -> bool:
        return any(address in network for network in self._trusted)


def _hops(headers: Sequence[tuple[bytes, bytes]]) -> Iterator[str]:
    """The entries of X-Forwarded-For from the last one on. Several headers are one list (RFC 9110, 5.3)."""
    seen = 0
    for name, value in reversed(headers):
        if name == b"x-forwarded-for":
            for entry in reversed(value.rsplit(b",", HOPS)):
                seen += 1
                if seen > HOPS:
                    yield ""  # no address: so the peer counts
                    return
                yield entry.strip().decode("latin-1")


@lru_cache(maxsize=4096)
def _caller(host: str) -> Caller:
    address = _address(host)
    if address is None:
        return _UNKNOWN
    if isinstance(address, IPv6Address):
        return Caller("address", f"{IPv6Address(int(address) >> 64 << 64)}/64")
    return Caller("address", str(address))


def _address(text: str) -> _Address | None:
    """An address, with a port or not: ``192.0.2.1:4711``, ``[2001:db8::1]:4711``. IPv4 in IPv6 is IPv4."""
    if len(text) > 64:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
