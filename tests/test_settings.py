"""The manual of the settings: what each takes, what wins, what is refused, and what is never shown."""

import base64
from dataclasses import FrozenInstanceError
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.settings import DEVELOPMENT_SECRET_KEY, RateLimit, Settings, SettingsError

KEY = "k3y-0123456789abcdefghijklmnopqrs"
PRODUCTION = {
    "FARMLOKAL_PROFILE": "production",
    "FARMLOKAL_SECRET_KEY": KEY,
    "FARMLOKAL_WEBHOOK_SECRETS": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


def faults(environ: dict[str, str], env_file: Path | None = None) -> dict[str, str]:
    """Parameter and code of everything that is wrong with these settings."""
    with pytest.raises(SettingsError) as refusal:
        Settings.load(environ, env_file)
    return {fault.parameter: fault.code for fault in refusal.value.faults}


def test_nothing_has_to_be_set_on_one_machine() -> None:
    """Without any setting the server runs in development, on loopback, on SQLite, state in the process."""
    settings = Settings.load({})
    assert (settings.profile, settings.host, settings.port) == ("development", "127.0.0.1", 3000)
    assert settings.database_url.get_secret_value() == "sqlite:///var/farmlokal.db"
    assert (settings.database_replica_url, settings.redis_url, settings.public_url) == (None, None, None)
    assert settings.rate_limit == RateLimit(requests=600, window_s=60, burst=60)
    assert settings.supplier_allowed_networks == (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    assert (settings.retention_days, settings.database_pool, settings.log_format) == (30, 10, "console")


def test_production_has_defaults_of_its_own() -> None:
    """In production logs are JSON and suppliers have to be on public addresses, unless set otherwise."""
    settings = Settings.load(PRODUCTION)
    assert (settings.log_format, settings.supplier_allowed_networks) == ("json", ())


def test_settings_do_not_change() -> None:
    """Settings are read once and frozen."""
    with pytest.raises(FrozenInstanceError):
        Settings.load({}).port = 1  # type: ignore[misc]


def test_an_empty_text_is_not_given() -> None:
    """An empty variable counts as not given, whichever it is."""
    names = [name for name, _, _ in Settings.describe()]
    assert Settings.load(dict.fromkeys(names, "")) == Settings.load({})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PROFILE", "staging"),
        ("HOST", "127.0.0.1:3000"),
        ("PORT", "0"),
        ("PORT", "３０００"),
        ("PORT", "3_000"),
        ("PUBLIC_URL", "https://shop.example/?a=1"),
        ("DATABASE_URL", "postgres://h/db"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "mysql://root:a@b@host/db"),
        ("DATABASE_URL", "mysql://root:12/b@host"),
        ("DATABASE_URL", "mysql://root@host:99999/db"),
        ("DATABASE_URL", "mysql://root@host"),
        ("DATABASE_REPLICA_URL", "sqlite:///replica.db"),
        ("DATABASE_POOL", "201"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://host/zero"),
        ("REDIS_URL", "unix://run/valkey.sock"),
        ("REDIS_URL", "redis+cluster://a:1,,b:2"),
        ("REDIS_URL", "redis+sentinel://a:1,b:2"),
        ("REDIS_URL", "http://a:1"),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", f"{KEY},"),
        ("CORS_ORIGINS", "https://shop.example/"),
        ("CORS_ORIGINS", "shop.example"),
        ("RATE_LIMIT", "600"),
        ("RATE_LIMIT", "0/60s"),
        ("RATE_LIMIT", "600/60s;burst=0"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "everyone"),
        ("WEBHOOK_SECRETS", "whsec_Y2Fu.YXJ5"),
        ("WEBHOOK_SECRETS", "whsec_"),
        ("WEBHOOK_SOURCES", "stripe=secret"),
        ("WEBHOOK_SOURCES", "github="),
        ("SUPPLIER_URL", "file:///etc/passwd"),
        ("SUPPLIERS", "farm=xml:https://farm.example"),
        ("SUPPLIERS", "farm=shopify:https://a.example,farm=shopify:https://b.example"),
        ("SUPPLIER_ALLOWED_NETWORKS", "10.0.0.0/33"),
        ("UPSTREAM_TOKEN_URL", "https://user:pass@id.example/token"),
        ("UPSTREAM_CLIENT_ID", "two\nlines"),
        ("UPSTREAM_SCOPE", 'a "b"'),
        ("UPSTREAM_AUTH", "none"),
        ("RETENTION_DAYS", "29"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, text: str) -> None:
    """A value that a setting does not take stops the start and is told by the setting's name."""
    assert f"FARMLOKAL_{name}" in faults({f"FARMLOKAL_{name}": text})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DATABASE_URL", "sqlite:////srv/farmlokal.db"),
        ("DATABASE_URL", "mariadb://user:p%40ss@db.example:3307/farm?charset=utf8mb4"),
        ("DATABASE_URL", "mysql://root@[::1]/farm"),
        ("REDIS_URL", "redis://:secret@host:6379/3"),
        ("REDIS_URL", "rediss://host"),
        ("REDIS_URL", "unix:///run/valkey.sock?db=1"),
        ("REDIS_URL", "redis+cluster://a:1,[::1]:2"),
        ("REDIS_URL", "redis+sentinel://:secret@a:1,b:2/farm"),
    ],
)
def test_a_connection_url_keeps_its_form(name: str, text: str) -> None:
    """A database or Redis is named by one URL, handed on exactly as it was written."""
    settings = Settings.load({f"FARMLOKAL_{name}": text})
    assert getattr(settings, name.lower()).get_secret_value() == text


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("100/1s;burst=20", RateLimit(requests=100, window_s=1, burst=20)),
        ("100/60s", RateLimit(requests=100, window_s=60, burst=10)),
        ("5/60s", RateLimit(requests=5, window_s=60, burst=1)),
        ("off", None),
    ],
)
def test_the_rate_limit_is_written_in_one_line(text: str, limit: RateLimit | None) -> None:
    """`RATE_LIMIT` is requests/seconds with a burst, a tenth of the requests by default, or `off`."""
    settings = Settings.load({"FARMLOKAL_RATE_LIMIT": text})
    assert settings.rate_limit == limit
    assert settings.masked()["FARMLOKAL_RATE_LIMIT"] == (str(limit) if limit else "off")


def test_secret_keys_rotate() -> None:
    """`SECRET_KEY` lists the signing key first, then those that still verify."""
    settings = Settings.load({"FARMLOKAL_SECRET_KEY": f"{KEY}, {KEY[::-1]}"})
    assert [key.get_secret_value() for key in settings.secret_key] == [KEY.encode(), KEY[::-1].encode()]


def test_webhook_secrets_are_base64_or_plain() -> None:
    """A webhook secret is `whsec_` with base64, as Standard Webhooks prints it, or the bytes as they are."""
    encoded = base64.b64encode(b"\x00raw").decode()
    settings = Settings.load({"FARMLOKAL_WEBHOOK_SECRETS": f"whsec_{encoded},plain=text"})
    assert [secret.get_secret_value() for secret in settings.webhook_secrets] == [b"\x00raw", b"plain=text"]


def test_webhook_sources_have_a_secret_each() -> None:
    """`WEBHOOK_SOURCES` gives razorpay, shopify and github a secret each; a repeated name rotates."""
    settings = Settings.load({"FARMLOKAL_WEBHOOK_SOURCES": "github=new=1,github=old,shopify=s"})
    pairs = [(source.name, source.secret.get_secret_value()) for source in settings.webhook_sources]
    assert pairs == [("github", b"new=1"), ("github", b"old"), ("shopify", b"s")]


def test_several_suppliers_fit_in_one_setting() -> None:
    """`SUPPLIERS` lists name, format and URL of each supplier."""
    settings = Settings.load(
        {"FARMLOKAL_SUPPLIERS": "a=dummyjson:https://a.example/x,b=datagovin:http://b:1"}
    )
    found = [(item.name, item.format, item.url.get_secret_value()) for item in settings.suppliers]
    assert found == [("a", "dummyjson", "https://a.example/x"), ("b", "datagovin", "http://b:1")]


def test_the_public_url_has_no_trailing_slash() -> None:
    """`PUBLIC_URL` loses its trailing slash, so that links can be put together from it."""
    assert (
        Settings.load({"FARMLOKAL_PUBLIC_URL": "http://x.example/shop/"}).public_url
        == "http://x.example/shop"
    )


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """A setting of the env file counts where the environment is silent or empty; a `$` in it is a `$`."""
    env_file = tmp_path / "env"
    env_file.write_text(
        "# ours\nexport FARMLOKAL_PORT=1\nFARMLOKAL_LOG_LEVEL='debug'\nFARMLOKAL_UPSTREAM_CLIENT_ID=${A}\n"
    )
    settings = Settings.load({"FARMLOKAL_PORT": "2", "FARMLOKAL_LOG_LEVEL": "", "A": "b"}, env_file)
    assert (settings.port, settings.log_level, settings.upstream_client_id) == (2, "debug", "${A}")


def test_an_env_file_is_checked_like_the_environment(tmp_path: Path) -> None:
    """A line that sets nothing, an unknown name and a missing env file are faults."""
    env_file = tmp_path / "env"
    env_file.write_text("FARMLOKAL_PORT\nFARMLOKAL_PROT=1\n")
    assert faults({}, env_file) == {"--env-file line 1": "malformed", "FARMLOKAL_PROT": "unknown"}
    assert faults({}, tmp_path / "absent") == {"--env-file": "unreadable"}


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    """`NAME_FILE` reads a secret from a file, without the newline at its end, over what the env file says."""
    (tmp_path / "key").write_text(f"{KEY}\n")
    (tmp_path / "env").write_text("FARMLOKAL_SECRET_KEY=hidden-by-the-environment\n")
    settings = Settings.load({"FARMLOKAL_SECRET_KEY_FILE": str(tmp_path / "key")}, tmp_path / "env")
    assert settings.secret_key[0].get_secret_value() == KEY.encode()


@pytest.mark.parametrize(
    "name",
    [
        "DATABASE_URL", "DATABASE_REPLICA_URL", "REDIS_URL", "SECRET_KEY", "WEBHOOK_SECRETS",
        "WEBHOOK_SOURCES", "UPSTREAM_CLIENT_SECRET", "SUPPLIERS", "SUPPLIER_URL",
    ],
)  # fmt: skip
def test_a_secret_has_one_source(name: str, tmp_path: Path) -> None:
    """A secret given twice, or in a file that is missing, empty or no text, is refused unseen."""
    own, by_file, path = f"FARMLOKAL_{name}", f"FARMLOKAL_{name}_FILE", tmp_path / "canary"
    assert faults({by_file: str(path)}) == {by_file: "unreadable"}
    path.write_bytes(b"\n")
    assert faults({by_file: str(path)}) == {by_file: "unreadable"}
    path.write_bytes(b"canary\xff")
    assert faults({by_file: str(path)}) == {by_file: "unreadable"}
    assert faults({by_file: str(path), own: "x"}) == {own: "repeated"}
    with pytest.raises(SettingsError) as refusal:
        Settings.load({by_file: str(path)})
    assert "canary" not in str(refusal.value)


def test_the_variables_of_the_original_still_work() -> None:
    """`DB_*`, `REDIS_URL` and `PORT` without a prefix count when ours are absent, with any password."""
    original = {
        "DB_HOST": "db", "DB_PORT": "3307", "DB_USER": "f@rm", "DB_PASSWORD": "p:/@#?%",
        "DB_NAME": "farm lokal", "REDIS_URL": "redis://cache:6379", "PORT": "8080",
    }  # fmt: skip
    settings = Settings.load(original)
    assert (
        settings.database_url.get_secret_value() == "mysql://f%40rm:p%3A%2F%40%23%3F%25@db:3307/farm%20lokal"
    )
    assert settings.redis_url is not None
    assert (settings.redis_url.get_secret_value(), settings.port) == ("redis://cache:6379", 8080)
    ours = {
        "FARMLOKAL_DATABASE_URL": "sqlite:///x",
        "FARMLOKAL_REDIS_URL": "redis://ours",
        "FARMLOKAL_PORT": "1",
    }
    assert Settings.load(original | ours) == Settings.load(ours)


def test_a_fault_in_an_original_variable_has_its_name() -> None:
    """A fault in a variable of the original is told by the name the operator used."""
    assert faults({"PORT": "http", "DB_HOST": "db"}) == {
        "PORT": "out_of_range",
        "DB_HOST, DB_PORT, DB_USER, DB_PASSWORD, DB_NAME": "malformed",
    }


def test_a_misspelt_variable_is_found() -> None:
    """An unknown variable with our prefix stops the start, with the closest one; the tests' own do not."""
    environ = {
        "FARMLOKAL_DATABSE_URL": "sqlite:///canary",
        "FARMLOKAL_TEST_X": "1",
        "FARMLOKAL_REQUIRE_DATA": "1",
    }
    with pytest.raises(SettingsError) as refusal:
        Settings.load(environ)
    [fault] = refusal.value.faults
    assert (fault.parameter, fault.code) == ("FARMLOKAL_DATABSE_URL", "unknown")
    assert fault.accepted.endswith(" FARMLOKAL_DATABASE_URL")


def test_production_names_every_reason_at_once() -> None:
    """Production refuses unsafe settings and malformed ones in one answer, each on its own line."""
    with pytest.raises(SettingsError) as refusal:
        Settings.load(
            {
                "FARMLOKAL_PROFILE": "production",
                "FARMLOKAL_PUBLIC_URL": "http://x.example",
                "FARMLOKAL_PORT": "x",
            }
        )
    assert [(fault.parameter, fault.code) for fault in refusal.value.faults] == [
        ("FARMLOKAL_PORT", "out_of_range"),
        ("FARMLOKAL_PUBLIC_URL", "unsafe"),
        ("FARMLOKAL_SECRET_KEY", "missing"),
        ("FARMLOKAL_WEBHOOK_SECRETS", "missing"),
    ]
    lines = str(refusal.value).splitlines()
    assert [line.split(" ")[0] for line in lines] == [fault.parameter for fault in refusal.value.faults]


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (DEVELOPMENT_SECRET_KEY, "unsafe"),
        (f"{KEY},{DEVELOPMENT_SECRET_KEY}", "unsafe"),
        ("changeme" * 4, "unsafe"),
        (KEY[:31], "too_short"),
    ],
)
def test_production_refuses_a_known_or_short_key(key: str, code: str) -> None:
    """Production refuses the development key, placeholders and keys under 32 bytes, rotated ones too."""
    assert faults(PRODUCTION | {"FARMLOKAL_SECRET_KEY": key}) == {"FARMLOKAL_SECRET_KEY": code}


def test_production_refuses_a_short_webhook_secret() -> None:
    """Production refuses a webhook secret that could be guessed; development takes any."""
    short = {"FARMLOKAL_WEBHOOK_SECRETS": "13-bytes-long"}
    assert faults(PRODUCTION | short) == {"FARMLOKAL_WEBHOOK_SECRETS": "unsafe"}
    assert Settings.load(short).webhook_secrets


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "farm.example"])
def test_development_listens_on_loopback_only(host: str) -> None:
    """Development refuses to listen where another machine could call; production does not."""
    assert faults({"FARMLOKAL_HOST": host}) == {"FARMLOKAL_HOST": "unsafe"}
    assert Settings.load(PRODUCTION | {"FARMLOKAL_HOST": host}).host == host


@pytest.mark.parametrize("host", ["localhost", "127.8.9.1", "::1", "shop.localhost"])
def test_loopback_has_many_names(host: str) -> None:
    """Every loopback address and every name under `localhost` will do in development."""
    assert Settings.load({"FARMLOKAL_HOST": host}).host == host


def test_a_wrong_profile_hides_no_other_fault_and_invents_none() -> None:
    """With a profile that is unknown, the rules of a profile are not guessed."""
    environ = {"FARMLOKAL_PROFILE": "prod", "FARMLOKAL_HOST": "0.0.0.0", "FARMLOKAL_PORT": "x"}
    assert faults(environ) == {"FARMLOKAL_PROFILE": "unknown", "FARMLOKAL_PORT": "out_of_range"}


def test_sqlite_with_several_workers_needs_shared_state() -> None:
    """In production several workers on SQLite need Redis; one worker, Redis or MySQL lift that."""
    [fault] = Settings.load(PRODUCTION).check_workers(2)
    assert (fault.parameter, fault.code) == ("FARMLOKAL_DATABASE_URL", "unsafe")
    assert Settings.load(PRODUCTION).check_workers(1) == []
    assert Settings.load(PRODUCTION | {"FARMLOKAL_REDIS_URL": "redis://h"}).check_workers(2) == []
    assert Settings.load(PRODUCTION | {"FARMLOKAL_DATABASE_URL": "mysql://h/d"}).check_workers(2) == []


def test_settings_that_need_each_other_are_checked_together() -> None:
    """A replica needs a server database, and a token endpoint the client id and secret to use there."""
    environ = {
        "FARMLOKAL_DATABASE_REPLICA_URL": "mysql://h/d", "FARMLOKAL_UPSTREAM_TOKEN_URL": "https://id.example/token",
    }  # fmt: skip
    assert faults(environ) == {
        "FARMLOKAL_DATABASE_REPLICA_URL": "unsafe",
        "FARMLOKAL_UPSTREAM_CLIENT_ID": "missing",
        "FARMLOKAL_UPSTREAM_CLIENT_SECRET": "missing",
    }


CANARIES = {
    "DATABASE_URL": "mysql://u:{}@h/d",
    "DATABASE_REPLICA_URL": "mariadb://u:{}@h/d",
    "REDIS_URL": "redis+sentinel://:{}@h:1,i:2/farm",
    "SECRET_KEY": "{0}0123456789abcdefghijklmnopqr,{0}0123456789abcdefghijklmnopqr",
    "WEBHOOK_SECRETS": "{}-of-the-webhooks",
    "WEBHOOK_SOURCES": "github={0},shopify={0}",
    "SUPPLIER_URL": "https://s.example/?api-key={}&a=1",
    "SUPPLIERS": "a=datagovin:https://s.example/?api-key={}",
    "UPSTREAM_CLIENT_SECRET": "{}",
}


def test_no_secret_is_ever_shown() -> None:
    """Printing the settings or listing them for the doctor shows no secret and no password of a URL."""
    environ = {f"FARMLOKAL_{name}": text.format("canary") for name, text in CANARIES.items()}
    settings = Settings.load(environ)
    for shown in (repr(settings), str(settings), f"{settings}", str(settings.masked()), repr(vars(settings))):
        assert "canary" not in shown
    masked = settings.masked()
    assert list(masked) == [name for name, _, _ in Settings.describe()]
    assert masked["FARMLOKAL_DATABASE_URL"] == "mysql://u:***@h/d"
    assert masked["FARMLOKAL_SECRET_KEY"] == "***,***"
    assert masked["FARMLOKAL_WEBHOOK_SOURCES"] == "github=***,shopify=***"
    assert masked["FARMLOKAL_SUPPLIERS"] == "a=datagovin:https://s.example/?***"


@given(name=st.sampled_from(sorted(CANARIES)), around=st.tuples(st.text(max_size=8), st.text(max_size=8)))
def test_no_refusal_shows_what_it_refused(name: str, around: tuple[str, str]) -> None:
    """Whatever a secret holds, a refusal of it says what is accepted and nothing of what was given."""
    text = CANARIES[name].format(f"{around[0]}canary{around[1]}")
    with pytest.raises(SettingsError) as refusal:
        Settings.load({f"FARMLOKAL_{name}": text, "FARMLOKAL_PORT": "x"})
    assert "canary" not in str(refusal.value) + repr(refusal.value) + repr(refusal.value.faults)
    assert (refusal.value.__cause__, refusal.value.__context__) == (None, None)


@given(name=st.sampled_from(sorted(CANARIES)), around=st.tuples(st.text(max_size=8), st.text(max_size=8)))
def test_a_secret_that_is_taken_stays_masked(name: str, around: tuple[str, str]) -> None:
    """Whatever characters a secret holds, it is either refused or masked, never half shown."""
    text = CANARIES[name].format(f"{around[0]}canary{around[1]}")
    try:
        settings = Settings.load({f"FARMLOKAL_{name}": text, "FARMLOKAL_UPSTREAM_CLIENT_ID": "id"})
    except SettingsError:
        return
    assert "canary" not in repr(settings) + str(settings.masked())


def test_the_standards_name_of_the_collector_is_honoured() -> None:
    """Where traces go may be said by OpenTelemetry's own variable; ours wins."""
    for named in ("OTEL_EXPORTER_OTLP_ENDPOINT", "FARMLOKAL_OTLP_ENDPOINT"):
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://theirs:4318", named: "http://collector:4318"}
        assert str(Settings.load(variables).otlp_endpoint) == "http://collector:4318"


def test_every_setting_is_described() -> None:
    """The table of settings gives each its variable, its default and a sentence."""
    rows = {name: (default, description) for name, default, description in Settings.describe()}
    assert all(name.startswith("FARMLOKAL_") and description for name, (_, description) in rows.items())
    assert rows["FARMLOKAL_LOG_FORMAT"][0] == "console in development, json in production"
    assert rows["FARMLOKAL_RETENTION_DAYS"][0] == "30"
    expected = """
        PROFILE HOST PORT PUBLIC_URL DATABASE_URL DATABASE_REPLICA_URL DATABASE_POOL REDIS_URL SECRET_KEY
        FAST_LANE CORS_ORIGINS RATE_LIMIT TRUSTED_PROXIES WEBHOOK_SECRETS WEBHOOK_SOURCES SUPPLIER_URL
        SUPPLIERS SUPPLIER_ALLOWED_NETWORKS SUPPLIER_SYNC_HOURS UPSTREAM_TOKEN_URL UPSTREAM_CLIENT_ID
        UPSTREAM_CLIENT_SECRET UPSTREAM_SCOPE UPSTREAM_AUTH RETENTION_DAYS LOG_LEVEL LOG_FORMAT
        OPS_PORT OTLP_ENDPOINT"""
    assert set(rows) == {f"FARMLOKAL_{name}" for name in expected.split()}
