"""Which network addresses a call to the outside may reach: public ones, and what the operator allows besides.

Asked about the address that is connected to, after the name was resolved, so that neither a redirect, a
spelling (``http://2130706433``) nor a name that resolves otherwise the second time reaches the inside. The
networks are written out instead of asking `ipaddress.is_global`, whose answers differ between the Pythons
we run on.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

_SPECIAL_V4 = tuple(
    IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24"),
        *("192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4"),
    )
)
"""The IANA registry of special IPv4 addresses, and multicast (RFC 6890, RFC 5771). A few of them are
reachable from anywhere; no supplier is among those."""

_PUBLIC_V6 = IPv6Network("2000::/3")
_SPECIAL_V6 = tuple(
    IPv6Network(text)
    for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)
"""Global unicast, and what the IANA registry of special IPv6 addresses has inside it: Teredo and 6to4 too,
which tunnel to an IPv4 address."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""How a network without IPv4 reaches IPv4 (RFC 6052): the last 32 bits are the address that counts."""


def is_allowed(resolved: str, allowed: Sequence[Network] = ()) -> bool:
    """Whether a call may connect to this address: it is public, or in one of the `allowed` networks.

    `resolved` is an address as the resolver gives it; any other text, and an address with a scope
    (``fe80::1%eth0``), is not allowed.
    """
    try:
        address = _meant(ip_address(resolved))
    except ValueError:
        return False
    if any(address in network for network in allowed):
        return True
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_V4)
    return address in _PUBLIC_V6 and not any(address in network for network in _SPECIAL_V6)


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The address that packets end up at: an IPv4 address may be written inside an IPv6 one."""
    if isinstance(address, IPv4Address):
        return address
    if address.scope_id is not None:
        raise ValueError
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address


LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
"""What development allows besides: a supplier on the same machine."""
