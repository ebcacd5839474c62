"""The tables' names, for building statements. What they are is said once, in `migrations/`."""

from sqlalchemy import column, table

supplier_turns = table(
    "supplier_turns", *map(column, ("supplier", "owner", "owned_until_us", "next_sync_us"))
)
supplier_jobs = table(
    "supplier_jobs",
    *map(column, ("id", "supplier", "import_id", "state", "dry_run", "following", "pages", "lines", "total")),
    *map(column, ("applied", "refused", "diff", "reason", "created_at_us", "updated_at_us")),
    column("finished_at_us"),
)
supplier_job_offers = table("supplier_job_offers", *map(column, ("job_id", "line", "external_key", "draft")))
supplier_products = table(
    "supplier_products",
    *map(column, ("supplier", "external_key", "job_id", "vanished", "stock_before_milli")),
)
