"""Orders to be listed, and locked without their neighbours; what is done by the clock.

On MySQL an order is stored by the sender's id. A look-up in the primary key locks one row; in another unique
index it also locks, for whoever reads repeatably, the gap before the row: an order that was held for a minute
kept out every new one whose id sorts just before it (docs/decisions/0022).

A chore is done by one instance of all: by the one that moves `due_at_us` on.

A list is ordered by a time and then by `id`, so both are in its index.
"""

import sqlalchemy as sa
from alembic import op

from farmlokal.migrations import types as t
from farmlokal.migrations.online import change, create_index, drop_index

revision = "0010"
down_revision = "0009"

_OLD = ("ix_orders_created", "ix_orders_updated", "ix_orders_status_created", "ix_orders_status_updated")


def upgrade() -> None:
    if op.get_context().dialect.name != "sqlite" and not _is_done():
        change(
            "ALTER TABLE orders ADD UNIQUE INDEX uq_orders_id (id), DROP PRIMARY KEY,"
            " ADD PRIMARY KEY (order_key), DROP INDEX uq_orders_order_key, ALGORITHM=INPLACE, LOCK=NONE"
        )
    for time in ("created", "updated"):
        # GET /api/orders by either time, with and without status=.
        create_index(f"ix_orders_by_{time}", "orders", [f"{time}_at_us", "id"])
        create_index(f"ix_orders_status_by_{time}", "orders", ["status", f"{time}_at_us", "id"])
    for name in _OLD:
        drop_index(name, "orders")
    if not op.get_context().as_sql and sa.inspect(op.get_bind()).has_table("chores"):
        return  # this migration was cut off after it
    op.create_table(
        "chores",
        sa.Column("name", t.text(40), primary_key=True),
        sa.Column("due_at_us", t.integer(), nullable=False),  # whoever moves it on does it
        **t.TABLE_OPTIONS,
    )


def _is_done() -> bool:
    if op.get_context().as_sql:
        return False
    key = sa.inspect(op.get_bind()).get_pk_constraint("orders")["constrained_columns"]
    return bool(key == ["order_key"])
