"""The tables' names, for building statements. What they are is said once, in `migrations/`."""

from sqlalchemy import column, table

orders = table(
    "orders",
    *map(column, ("id", "order_key", "place", "status", "status_place", "items", "items_place", "holdings")),
    *map(column, ("created_at_us", "updated_at_us", "version")),
)
order_events = table(
    "order_events",
    *map(column, ("id", "source", "event_id", "digest", "order_id", "place", "status", "items")),
    *map(column, ("outcome", "shortfall", "received_at_us")),
)
dead_letters = table(
    "dead_letters",
    *map(column, ("id", "source", "event_id", "digest", "kind", "reason", "body", "attempts")),
    *map(column, ("first_at_us", "last_at_us", "replayed_at_us")),
)
chores = table("chores", *map(column, ("name", "due_at_us")))
