"""The tables' names, for building statements. What they are is said once, in `migrations/`."""

from sqlalchemy import column, table

clients = table(
    "oauth_clients",
    *map(column, ("client_id", "name", "scopes", "algorithm", "seller_id", "valid_from_us")),
    *map(column, ("created_at_us", "disabled_at_us")),
)
client_secrets = table(
    "oauth_secrets", *map(column, ("client_id", "digest", "created_at_us", "expires_at_us"))
)
keys = table(
    "oauth_keys",
    *map(column, ("kid", "algorithm", "public_jwk", "sealed_jwk")),
    *map(column, ("created_at_us", "signs_from_us", "expires_at_us")),
)
revocations = table("oauth_revocations", *map(column, ("jti", "client_id", "expires_at_us")))
oauth_version = table("oauth_version", *map(column, ("id", "version")))

# The catalogue's; here only whether one is there.
sellers = table("sellers", column("id"))
