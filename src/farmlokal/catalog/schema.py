"""The tables' names, for building statements. What they are is said once, in `migrations/`."""

from sqlalchemy import column, table

OPAQUE = frozenset({"external_key", "alias_key", "digest", "client_id", "idempotency_key", "owner"})
"""Keys of somebody else's, which MySQL gives back as bytes."""

_LIFETIME = ("created_at_us", "updated_at_us", "version", "deleted_at_us")

sellers = table(
    "sellers",
    *map(column, ("id", "external_key", "kind", "name", "district", "state", "district_key", "state_key")),
    *map(column, ("postcode", "latitude_e6", "longitude_e6", *_LIFETIME)),
)
categories = table("categories", *map(column, ("id", "name", "name_key", "name_hi", "name_ml")))
search_documents = table("search_documents", *map(column, ("id", "digest", "body")))
products = table(
    "products",
    *map(column, ("id", "external_key", "alias_key", "seller_id", "category_id", "search_id")),
    *map(column, ("name", "name_hi", "name_ml", "name_key", "description", "commodity", "variety", "grade")),
    *map(column, ("pack_milli", "pack_unit", "price_minor", "price_on", "unit_price_minor", "stock_milli")),
    *map(column, ("organic", "certification", "harvested_on", "best_before", "image_url", "source")),
    *map(column, ("import_id", "import_line")),
    *map(column, _LIFETIME),
)
price_history = table(
    "price_history",
    *map(column, ("product_id", "observed_on", "price_minor", "low_minor", "high_minor", "import_id")),
)
postcodes = table(
    "postcodes",
    *map(column, ("postcode", "state", "district", "latitude_e6", "longitude_e6", "offices")),
)
imports = table(
    "imports",
    *map(
        column,
        ("id", "digest", "file_name", "format", "rows_done", "tally", "started_at_us", "finished_at_us"),
    ),
)
catalogue_version = table("catalogue_version", *map(column, ("id", "version")))
quarantine = table(
    "quarantine",
    *map(column, ("import_id", "line", "code", "reason", "raw", "created_at_us")),
)
audit_log = table(
    "audit_log",
    *map(column, ("id", "at_us", "client_id", "action", "kind", "target_id", "version", "members")),
)
bulk_writes = table(
    "bulk_writes",
    *map(column, ("client_id", "idempotency_key", "digest", "lines_done", "finished")),
    *map(column, ("owner", "owned_until_us", "created_at_us")),
)
bulk_results = table(
    "bulk_results",
    *map(column, ("client_id", "idempotency_key", "first_line", "results", "created_at_us")),
)
