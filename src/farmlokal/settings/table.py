"""Every setting, once: its name, its default, what it takes and what it means.

A field has the name of its variable in lower case, so no name is written twice and nothing else is needed to
add a setting. `docs` and `doctor` print this table.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal, get_type_hints

from farmlokal.platform.logs import masked_text
from farmlokal.settings import addresses as a
from farmlokal.settings import values as v
from farmlokal.settings.sources import Setting, original_database, renamed, variable

DEVELOPMENT_SECRET_KEY = "farmlokal-development-key-known-to-everyone"  # noqa: S105 - public on purpose
"""Lets a fresh clone run. It is published with the source, so production refuses it."""

_Networks = tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True, kw_only=True)
class SettingsTable:
    """One field a setting: its type is what the program gets, its `Setting` what the operator writes."""

    profile: Annotated[
        Literal["development", "production"],
        Setting(
            "development: one machine. production: refuses what is unsafe",
            v.one_of("development", "production"),
            "development",
        ),
    ]
    host: Annotated[
        str, Setting("Address to listen on; in development a loopback one", a.host_name, "127.0.0.1")
    ]
    port: Annotated[
        int, Setting("Port to listen on", v.whole_number(1, 65_535), "3000", original=renamed("PORT"))
    ]
    ops_port: Annotated[
        int | None,
        Setting(
            "Port of their own for /metrics, /docs and /ops, open to whoever reaches it; none: the same port",
            v.optional(v.whole_number(1, 65_535)),
        ),
    ]
    public_url: Annotated[
        str | None,
        Setting(
            "Where callers reach the server: token issuer, links; https in production",
            v.optional(a.public_url),
        ),
    ]
    database_url: Annotated[
        a.MaskedUrl,
        Setting(
            "sqlite:///path (relative to the working directory), mysql:// or mariadb://",
            a.database_url,
            "sqlite:///var/farmlokal.db",
            secret=True,
            original=original_database,
        ),
    ]
    database_replica_url: Annotated[
        a.MaskedUrl | None,
        Setting(
            "Replica that answers listings: mysql:// or mariadb://", v.optional(a.mysql_url), secret=True
        ),
    ]
    database_pool: Annotated[
        int, Setting("Most database connections of one worker", v.whole_number(1, 200), "10")
    ]
    redis_url: Annotated[
        a.MaskedUrl | None,
        Setting(
            "redis://, rediss://, unix://, redis+cluster://h:p,h:p or redis+sentinel://h:p,h:p/name; "
            "none: state stays in the process",
            v.optional(a.redis_url),
            secret=True,
            original=renamed("REDIS_URL"),
        ),
    ]
    secret_key: Annotated[
        tuple[v.Secret[bytes], ...],
        Setting(
            "Comma list of keys of 32 bytes or more: the first signs, all verify; required in production",
            v.separated(v.secret_key),
            DEVELOPMENT_SECRET_KEY,
            in_production="",
            secret=True,
        ),
    ]
    fast_lane: Annotated[
        bool,
        Setting("Whether lists that were just answered are answered again as bytes: on, off", v.switch, "on"),
    ]
    cors_origins: Annotated[
        tuple[str, ...],
        Setting("Comma list of web origins that may read the public routes, or *", v.separated(a.origin)),
    ]
    rate_limit: Annotated[
        v.RateLimit | None,
        Setting(
            "Requests of one caller: requests/seconds;burst=requests, or off",
            v.rate_limit,
            "600/60s;burst=60",
            absent="off",
        ),
    ]
    trusted_proxies: Annotated[
        _Networks,
        Setting("Comma list of networks whose X-Forwarded-For is believed", v.separated(v.network)),
    ]
    webhook_secrets: Annotated[
        tuple[v.Secret[bytes], ...],
        Setting(
            "Comma list of Standard Webhooks secrets (whsec_… or plain); required in production",
            v.separated(v.webhook_secret),
            secret=True,
        ),
    ]
    webhook_sources: Annotated[
        tuple[v.WebhookSource, ...],
        Setting(
            "Comma list of name=secret for razorpay, shopify and github; a repeated name rotates",
            v.separated(v.webhook_source("razorpay", "shopify", "github")),
            secret=True,
        ),
    ]
    supplier_url: Annotated[
        a.MaskedUrl | None,
        Setting("The supplier behind /external/products", v.optional(a.http_url), secret=True),
    ]
    suppliers: Annotated[
        tuple[a.SupplierSource, ...],
        Setting(
            "Comma list of name=format:URL; formats dummyjson, datagovin, shopify; a comma in a URL as %2C",
            a.suppliers("dummyjson", "datagovin", "shopify"),
            secret=True,
        ),
    ]
    supplier_allowed_networks: Annotated[
        _Networks,
        Setting(
            "Comma list of networks, besides public ones, where a supplier may be",
            v.separated(v.network),
            "127.0.0.0/8,::1/128",
            in_production="",
        ),
    ]
    supplier_sync_hours: Annotated[
        int,
        Setting(
            "Hours between two syncs with a supplier, ± 10 %; 0: only when told to",
            v.whole_number(0, 168),
            "6",
        ),
    ]
    upstream_token_url: Annotated[
        a.MaskedUrl | None, Setting("Token endpoint of the supplier's OAuth provider", v.optional(a.http_url))
    ]
    upstream_client_id: Annotated[str | None, Setting("Our client id at that provider", v.optional(v.plain))]
    upstream_client_secret: Annotated[
        v.Secret[str] | None,
        Setting("Our client secret at that provider", v.optional(v.secret_text), secret=True),
    ]
    upstream_scope: Annotated[
        str | None, Setting("Scope names to ask for, separated by spaces", v.optional(v.scope))
    ]
    upstream_auth: Annotated[
        Literal["client_secret_basic", "client_secret_post"],
        Setting(
            "How we authenticate there (RFC 7591 names)",
            v.one_of("client_secret_basic", "client_secret_post"),
            "client_secret_basic",
        ),
    ]
    retention_days: Annotated[
        int,
        # Stripe lists undelivered events for 30 days: an id forgotten sooner could be applied twice.
        Setting("Days for which webhook ids and finished records are kept", v.whole_number(30, 3650), "30"),
    ]
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        Setting(
            "Least level that is logged; debug: a line for each request, too",
            v.one_of("debug", "info", "warning", "error", "critical"),
            "info",
        ),
    ]
    log_format: Annotated[
        Literal["console", "json"],
        Setting(
            "console: for eyes. json: one object a line",
            v.one_of("console", "json"),
            "console",
            in_production="json",
        ),
    ]

    otlp_endpoint: Annotated[
        a.MaskedUrl | None,
        Setting(
            "Where traces are sent by OTLP over HTTP, such as http://127.0.0.1:4318; none: no traces",
            v.optional(a.http_url),
            original=renamed("OTEL_EXPORTER_OTLP_ENDPOINT"),
        ),
    ]

    @classmethod
    def rows(cls) -> dict[str, Setting]:
        """The table itself: each field's `Setting`, in the order in which they are declared."""
        hints = get_type_hints(cls, include_extras=True)
        return {
            name: next(item for item in hint.__metadata__ if isinstance(item, Setting))
            for name, hint in hints.items()
        }

    @classmethod
    def describe(cls) -> list[tuple[str, str, str]]:
        """Every setting as (variable, default, description), in the order in which they are declared."""
        described = []
        for name, setting in cls.rows().items():
            default = setting.default
            if setting.in_production is not None:
                default = f"{default} in development, {setting.in_production or 'none'} in production"
            described.append((variable(name), default, setting.description))
        return described

    def masked(self) -> dict[str, str]:
        """Every setting as an operator would write it, with secrets and the passwords of URLs as `***`."""
        return {
            variable(name): masked_text(_written(getattr(self, name), setting.absent))
            for name, setting in self.rows().items()
        }


def _written(value: object, absent: str) -> str:
    match value:
        case None:
            return absent
        case tuple():
            return ",".join(_written(item, absent) for item in value)
        case _:
            return str(value)
