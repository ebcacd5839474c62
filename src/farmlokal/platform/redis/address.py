"""Where Redis is: the URL of the settings, taken apart.

Not by the driver: it lets the query of a URL win over what the program asks for, time limits included.
"""

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

KINDS = ("redis", "rediss", "unix", "redis+cluster", "redis+sentinel")

_PORTS = {"redis+sentinel": 26379}
"""The port where none is given; elsewhere 6379 (valkey.io/topics/sentinel)."""


@dataclass(frozen=True, slots=True, repr=False)
class RedisAddress:
    """A URL's parts. `service` is the name under which the sentinels know the primary; `ca_file` holds the
    certificates that a `rediss` server's must descend from, by default those of the system."""

    kind: str
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    database: int = 0
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None

    @classmethod
    def of(cls, url: str) -> "RedisAddress":
        """The parts of a URL that the settings have passed. Raises `ValueError` for another one."""
        kind, _, rest = url.partition("://")
        if kind not in KINDS:
            raise ValueError("not a Redis URL")
        rest, _, query = rest.partition("?")
        place, _, path = rest.partition("/")
        login, _, hosts = place.rpartition("@")
        username, _, password = login.partition(":")
        given = dict(parse_qsl(query))
        numbered = given.get("db", "0") if kind == "unix" else path
        return cls(
            kind,
            tuple(_host(each, _PORTS.get(kind, 6379)) for each in hosts.split(",") if each),
            path=f"/{unquote(path)}" if kind == "unix" else "",
            service=unquote(path) if kind == "redis+sentinel" else "",
            database=int(numbered or 0) if kind in ("redis", "rediss", "unix") else 0,
            username=unquote(username) or None,
            password=unquote(password) or None,
            ca_file=given.get("ssl_ca_certs") if kind == "rediss" else None,
        )


def _host(text: str, port: int) -> tuple[str, int]:
    """``name:1``, ``127.0.0.1``, ``[::1]:1``."""
    name, bracket, after = text.rpartition("]")
    if bracket:
        return name.removeprefix("["), int(after.removeprefix(":") or port)
    name, _, number = text.partition(":")
    return name, int(number or port)
