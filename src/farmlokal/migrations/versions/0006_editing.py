"""Who changed what, when; and bulk writes that are asked for again."""

import sqlalchemy as sa
from alembic import op

from farmlokal.migrations import types as t

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", t.integer(), primary_key=True, autoincrement=True),
        sa.Column("at_us", t.integer(), nullable=False),
        sa.Column("client_id", t.opaque(100), nullable=False),
        sa.Column("action", t.text(10), nullable=False),  # create, change or delete
        sa.Column("kind", t.text(10), nullable=False),  # product or seller
        sa.Column("target_id", t.integer(), nullable=False),
        sa.Column("version", t.integer(), nullable=False),  # of the target, after the change
        sa.Column("members", t.long_text(), nullable=False),  # JSON, as the client sent them
        **t.TABLE_OPTIONS,
    )
    # What happened to this one?
    op.create_index("ix_audit_log_target", "audit_log", ["kind", "target_id"])
    op.create_table(
        "bulk_writes",
        sa.Column("client_id", t.opaque(100), nullable=False),
        sa.Column("idempotency_key", t.opaque(200), nullable=False),
        sa.Column("digest", t.opaque(64), nullable=False),  # SHA-256 of the body
        sa.Column("lines_done", t.integer(), nullable=False),
        sa.Column("finished", t.integer(), nullable=False),
        sa.Column("owner", t.opaque(32), nullable=False),  # whose turn it is,
        sa.Column("owned_until_us", t.integer(), nullable=False),  # and until when
        sa.Column("created_at_us", t.integer(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "idempotency_key"),
        sa.CheckConstraint("finished IN (0, 1)", "ck_bulk_writes_finished"),
        **t.TABLE_OPTIONS,
    )
    # Those that may be forgotten.
    op.create_index("ix_bulk_writes_created", "bulk_writes", ["created_at_us"])
    op.create_table(
        "bulk_results",
        sa.Column("client_id", t.opaque(100), nullable=False),
        sa.Column("idempotency_key", t.opaque(200), nullable=False),
        sa.Column("first_line", t.integer(), nullable=False),
        sa.Column("results", t.long_text(), nullable=False),  # NDJSON, a line for each line
        sa.Column("created_at_us", t.integer(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "idempotency_key", "first_line"),
        **t.TABLE_OPTIONS,
    )
    op.create_index("ix_bulk_results_created", "bulk_results", ["created_at_us"])
