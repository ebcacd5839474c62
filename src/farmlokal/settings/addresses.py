"""Where things are: the addresses, URLs and lists of URLs among the settings.

They are checked whole, because a URL that parses in two ways is shown by one and dialled by the other.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote

from farmlokal.platform.logs import MASK, masked_text
from farmlokal.settings.values import Refused, Secret, plain, separated

_HOST_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]{1,253}))(?::([0-9]{1,5}))?")
_SUPPLIER = re.compile(r"([a-z0-9][a-z0-9-]{0,39})=([a-z]+):(.+)")


_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)


class MaskedUrl(Secret[str]):
    """A URL that may carry a password or a key: it prints without, `get_secret_value()` has all of it."""

    def __str__(self) -> str:
        # The whole query goes: which of its parameters is a key, only the other side knows.
        place, question_mark, _ = self.get_secret_value().partition("?")
        return masked_text(place) + (f"?{MASK}" if question_mark else "")


@dataclass(frozen=True, slots=True)
class SupplierSource:
    """A supplier: our name for it, the format it answers in, and where."""

    name: str
    format: str
    url: MaskedUrl

    def __str__(self) -> str:
        return f"{self.name}={self.format}:{self.url}"


def host_name(text: str) -> str:
    """An address to listen on: a name, an IPv4 or an IPv6 address without brackets."""
    if not _is_address(f"[{text}]" if ":" in text else text) or "[" in text:
        raise Refused("malformed", "a host name or an IP address, without a port")
    return text


def database_url(text: str) -> MaskedUrl:
    """An in-memory SQLite is refused: every connection of the pool would see an empty database of its own."""
    path = plain(text).removeprefix("sqlite:///")
    if path == text:
        return mysql_url(text, "sqlite:///path/to/file, ")
    if not path or path.startswith((":memory:", "file:")):
        raise Refused("malformed", "sqlite:///path/to/file: a file, and not a database in memory")
    return MaskedUrl(text)


def mysql_url(text: str, otherwise: str = "") -> MaskedUrl:
    accepted = (
        f"{otherwise}mysql://user:password@host:port/name or mariadb://…, an @ : / in a part as %40 %3A %2F"
    )
    url = _split(text, accepted)
    name = unquote(url.path.removeprefix("/"))
    if url.scheme not in {"mysql", "mariadb"} or len(_hosts(url)) != 1 or not name or "/" in name:
        raise Refused("malformed", accepted)
    return MaskedUrl(text)


def redis_url(text: str) -> MaskedUrl:
    accepted = (
        "redis://host:port/number, rediss://…, unix:///path/to/socket, redis+cluster://host:port,host:port "
        "or redis+sentinel://host:port,host:port/name, an @ : / in a password as %40 %3A %2F"
    )
    url = _split(text, accepted)
    hosts, path = _hosts(url), url.path.removeprefix("/")
    fits = {
        "redis": len(hosts) == 1 and (not path or path.isdecimal()),
        "rediss": len(hosts) == 1 and (not path or path.isdecimal()),
        "unix": url.netloc.rpartition("@")[2] == "" and bool(path),
        "redis+cluster": bool(hosts) and not path,
        "redis+sentinel": bool(hosts) and bool(path) and "/" not in path,
    }
    if not fits.get(url.scheme, False):
        raise Refused("malformed", accepted)
    return MaskedUrl(text)


def http_url(text: str) -> MaskedUrl:
    accepted = "an http:// or https:// URL without user name, password and fragment"
    url = _split(text, accepted)
    if url.scheme not in {"http", "https"} or len(_hosts(url)) != 1 or "@" in url.netloc or "#" in text:
        raise Refused("malformed", accepted)
    return MaskedUrl(text)


def public_url(text: str) -> str:
    """Without its trailing slash, so that a path can be put after it. RFC 8414 §2: an issuer has no query."""
    if "?" in text:
        raise Refused("malformed", "an http:// or https:// URL without query and fragment")
    return http_url(text).get_secret_value().rstrip("/")


def origin(text: str) -> str:
    """A web origin exactly as a browser sends it (RFC 6454 §6.2), or `*`: the catalogue is public."""
    accepted = "origins such as https://shop.example, lower case, without a path; or * for any"
    if text != "*":
        url = _split(text, accepted)
        if f"{url.scheme}://{url.netloc}" != text or text != text.lower():
            raise Refused("malformed", accepted)
        http_url(text)
    return text


def suppliers(*formats: str) -> Callable[[str], tuple[SupplierSource, ...]]:
    def parse(text: str) -> SupplierSource:
        match = _SUPPLIER.fullmatch(text)
        if not match or match[2] not in formats:
            raise Refused("malformed", f"name=format:URL items, a format being one of {', '.join(formats)}")
        return SupplierSource(match[1], match[2], http_url(match[3]))

    def parse_all(text: str) -> tuple[SupplierSource, ...]:
        parsed = separated(parse)(text)
        if len({supplier.name for supplier in parsed}) < len(parsed):
            raise Refused("repeated", "each supplier name once")
        return parsed

    return parse_all


def _split(text: str, accepted: str) -> SplitResult:
    """The parts of a URL (RFC 3986, appendix B). The library's `urlsplit` knows no lists of hosts: its newer
    releases refuse one with an IPv6 address in it."""
    match = _URL.fullmatch(plain(text))
    if not match:
        raise Refused("malformed", accepted)
    scheme, *parts = (part or "" for part in match.groups())
    url = SplitResult(scheme.lower(), *parts)
    # An @ later than the host is a password with a raw / or # in it, cut in two: it would be shown unmasked.
    if re.search(r"\s", text) or url.netloc.count("@") > 1 or "@" in url.path + url.query + url.fragment:
        raise Refused("malformed", accepted)
    return url


def _hosts(url: SplitResult) -> Sequence[str]:
    """The `host:port` parts of a URL; none when one of them is no address."""
    hosts = url.netloc.rpartition("@")[2].split(",")
    return hosts if all(_is_address(host) for host in hosts) else ()


def _is_address(text: str) -> bool:
    match = _HOST_PORT.fullmatch(text)
    if not match or (match[3] and not 1 <= int(match[3]) <= 65_535):
        return False
    try:
        return match[1] is None or bool(ip_address(match[1]).version)
    except ValueError:
        return False
