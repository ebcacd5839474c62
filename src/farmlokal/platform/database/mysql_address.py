"""Where a MySQL or MariaDB server is, and as whom to ask it: a URL taken apart once, for every connection."""

import ssl
from dataclasses import dataclass, field
from typing import Any, Self

from farmlokal.errors import Fault, Invalid

PORT = 3306
OPTIONS = frozenset({"unix_socket", "ssl_ca"})


@dataclass(frozen=True, slots=True)
class Address:
    """A database on a server. It prints without user and password."""

    host: str
    port: int
    database: str
    user: str = field(repr=False)
    password: str = field(repr=False)
    unix_socket: str | None = None
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """``mysql://user:password@host:port/name``, with ``?unix_socket=…`` or ``?ssl_ca=…`` (the path of a
        file of certificates; the server and its name are then verified). Raises `Invalid` for any other
        option, and for a file that holds none."""
        from sqlalchemy import make_url

        parts = make_url(url)
        options = {name: str(value) for name, value in parts.query.items()}
        if unknown := options.keys() - OPTIONS:
            named = ", ".join(sorted(unknown))
            fault = Fault("FARMLOKAL_DATABASE_URL", "unknown", f"the options {', '.join(sorted(OPTIONS))}")
            raise Invalid(f"Not an option of a database URL: {named}.", fault)
        return cls(
            host=parts.host or "127.0.0.1",
            port=parts.port or PORT,
            database=parts.database or "",
            user=parts.username or "",
            password=str(parts.password or ""),
            unix_socket=options.get("unix_socket"),
            tls=_verifying(options["ssl_ca"]) if "ssl_ca" in options else None,
        )

    def arguments(self) -> dict[str, Any]:
        """What the driver is called with. The password as bytes: of text the driver would make Latin-1."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password.encode(),
            "database": self.database,
            "unix_socket": self.unix_socket,
            "ssl": self.tls,
            "charset": "utf8mb4",
        }

    def __str__(self) -> str:
        where = self.unix_socket or f"{self.host}:{self.port}"
        return f"{where}/{self.database}"


def _verifying(authorities: str) -> ssl.SSLContext:
    """TLS with whom the authorities in a file vouch for, under the name that we called."""
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError:  # of which an SSLError is one
        accepted = "ssl_ca=the path of a readable file of certificates (PEM)"
        fault = Fault("FARMLOKAL_DATABASE_URL", "unreadable", accepted)
        raise Invalid("The certificates that verify the database cannot be read.", fault) from None
