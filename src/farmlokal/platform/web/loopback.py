"""Whether a request is of this very machine: what development opens to it, and to nobody else.

The address alone does not tell: a web page that a developer has open can send requests from this machine,
to a name of its own that leads here (DNS rebinding), and a proxy on this machine speaks for the whole
world.
"""

import re
from ipaddress import ip_address
from typing import Any

_FORWARDED = {b"forwarded", b"x-forwarded-for", b"x-real-ip"}
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::[0-9]{1,5})?")


def is_loopback(scope: Any) -> bool:
    """A peer on a loopback address, who names a loopback host and forwards for nobody."""
    if not scope.get("client") or not is_loopback_name(scope["client"][0]):
        return False
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1 or any(name in _FORWARDED for name, _ in scope["headers"]):
        return False
    match = _HOST.fullmatch(hosts[0].decode("latin-1").lower())
    return match is not None and is_loopback_name(match[1].strip("[]"))


def is_loopback_name(host: str) -> bool:
    """RFC 6761 §6.3: `localhost` and the names under it are loopback too."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
