"""The settings as the program has them: loaded, checked against each other, or refused with every reason."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from farmlokal.errors import Fault
from farmlokal.platform.web.loopback import is_loopback_name
from farmlokal.settings.sources import read, variable
from farmlokal.settings.table import DEVELOPMENT_SECRET_KEY, SettingsTable
from farmlokal.settings.values import SECRET_KEY_BYTES, Refused

PLACEHOLDER_CHARACTERS = 8
"""A key with fewer different bytes is a word typed several times ("changeme" has 7). Sixteen random bytes
in hexadecimal have fewer than 8 different digits once in some 25 million keys."""

WEBHOOK_SECRET_BYTES = 14
"""Shortest webhook secret in production: 112 bits, the least that NIST SP 800-131A allows an HMAC key."""


class SettingsError(Exception):
    """The settings are refused: every reason at once, one a line, and never what a setting held."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(
            "\n".join(
                f"{fault.parameter} ({fault.code.replace('_', ' ')}): {fault.accepted}" for fault in faults
            )
        )
        self.faults = faults


class Settings(SettingsTable):
    """What an operator decides. `load` is the way in; the class itself trusts what it is given."""

    @classmethod
    def load(cls, environ: Mapping[str, str], env_file: Path | None = None) -> Self:
        """The settings of an environment, which wins over the env file, or `SettingsError`."""
        table = cls.rows()
        given, faults = read(table, environ, env_file)
        production = "profile" in given and given["profile"].text.lower() == "production"
        defaults = {name: setting.default_in(production=production) for name, setting in table.items()}
        texts = defaults | {name: found.text for name, found in given.items()}
        names = {name: given[name].name if name in given else variable(name) for name in table}
        values: dict[str, Any] = {}
        for name, setting in table.items():
            try:
                values[name] = setting.parse(texts[name])
            except Refused as refusal:
                faults[name] = Fault(names[name], refusal.code, refusal.accepted)
            if name in faults:  # the rules still have to see the fields that are right
                values[name] = setting.parse(defaults[name])
        settings = cls(**values)
        if "profile" not in faults:
            for name, code, accepted in settings._broken_rules():
                faults.setdefault(name, Fault(names[name], code, accepted))
        if faults:
            order = [*table, *faults]
            raise SettingsError([faults[name] for name in sorted(faults, key=order.index)])
        return settings

    @property
    def issuer(self) -> str:
        """Who signs our tokens, and where callers find it: `PUBLIC_URL`, or else where we listen."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"

    def check_workers(self, workers: int) -> list[Fault]:
        """What forbids this number of workers: known only once the command line is read."""
        in_process = self.redis_url is None and self.database_url.get_secret_value().startswith("sqlite:")
        if self.profile == "development" or workers <= 1 or not in_process:
            return []
        accepted = (
            f"mysql:// or mariadb:// with {workers} workers, or SQLite with {variable('redis_url')} set"
        )
        return [Fault(variable("database_url"), "unsafe", accepted)]

    def _broken_rules(self) -> Iterator[tuple[str, str, str]]:
        """(field, code, accepted) of every rule that needs more than one setting to tell."""
        yield from (
            self._broken_in_production() if self.profile == "production" else self._broken_in_development()
        )
        if self.ops_port == self.port:
            yield "ops_port", "repeated", f"another port than that of {variable('port')}"
        if self.database_replica_url and self.database_url.get_secret_value().startswith("sqlite:"):
            yield "database_replica_url", "unsafe", f"nothing while {variable('database_url')} is SQLite"
        for name in ("upstream_client_id", "upstream_client_secret"):
            if self.upstream_token_url and getattr(self, name) is None:
                yield name, "missing", f"a value once {variable('upstream_token_url')} is given"

    def _broken_in_development(self) -> Iterator[tuple[str, str, str]]:
        if not is_loopback_name(self.host):
            yield "host", "unsafe", "a loopback address in development; production may listen elsewhere"

    def _broken_in_production(self) -> Iterator[tuple[str, str, str]]:
        keys = [key.get_secret_value() for key in self.secret_key]
        if not keys:
            yield (
                "secret_key",
                "missing",
                f"a random key of at least {SECRET_KEY_BYTES} bytes in production",
            )
        if any(
            key == DEVELOPMENT_SECRET_KEY.encode() or len(set(key)) < PLACEHOLDER_CHARACTERS for key in keys
        ):
            yield "secret_key", "unsafe", "random keys in production, no default and no placeholder"
        secrets = [secret.get_secret_value() for secret in self.webhook_secrets]
        if not secrets or min(map(len, secrets)) < WEBHOOK_SECRET_BYTES:
            accepted = f"at least one secret in production, of {WEBHOOK_SECRET_BYTES} bytes or more each"
            yield "webhook_secrets", "unsafe" if secrets else "missing", accepted
        if any(len(each.secret.get_secret_value()) < WEBHOOK_SECRET_BYTES for each in self.webhook_sources):
            accepted = f"name=secret items whose secrets have {WEBHOOK_SECRET_BYTES} bytes or more each"
            yield "webhook_sources", "unsafe", accepted
        if self.public_url and not self.public_url.startswith("https://"):
            yield "public_url", "unsafe", "an https:// URL in production"
