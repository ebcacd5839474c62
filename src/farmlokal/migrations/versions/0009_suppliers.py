"""Syncs with suppliers: whose turn it is, what each run found and how far it has come, what is known of whom.

A run is an import, too: its row in `imports` is what a product's `import_id` names, and its refusals are in
`quarantine`.
"""

import sqlalchemy as sa
from alembic import op

from farmlokal.migrations import types as t

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "supplier_turns",
        sa.Column("supplier", t.text(40), nullable=False),
        sa.Column("owner", t.opaque(32), nullable=False),  # whose turn it is; empty: nobody's
        sa.Column("owned_until_us", t.integer(), nullable=False),
        sa.Column("next_sync_us", t.integer(), nullable=False),
        sa.PrimaryKeyConstraint("supplier"),
        **t.TABLE_OPTIONS,
    )
    _jobs()
    op.create_table(
        "supplier_job_offers",
        sa.Column("job_id", t.integer(), sa.ForeignKey("supplier_jobs.id"), nullable=False),
        sa.Column("line", t.integer(), nullable=False),
        sa.Column("external_key", t.opaque(200), nullable=False),
        # JSON; NULL: it is offered and not to be believed, so its product stays as it is
        sa.Column("draft", t.long_text()),
        sa.PrimaryKeyConstraint("job_id", "line"),
        **t.TABLE_OPTIONS,
    )
    # Two offers of one run with one key: the first counts. And: is this product still offered?
    op.create_index(
        "uq_supplier_job_offers_key", "supplier_job_offers", ["job_id", "external_key"], unique=True
    )
    op.create_table(
        "supplier_products",
        sa.Column("supplier", t.text(40), nullable=False),
        sa.Column("external_key", t.opaque(200), nullable=False),
        sa.Column("job_id", t.integer(), nullable=False),  # the run that saw it last
        sa.Column("vanished", t.integer(), nullable=False),  # 1: it was not offered then
        sa.Column("stock_before_milli", t.integer()),  # what it had when it vanished; NULL: not known
        sa.PrimaryKeyConstraint("supplier", "external_key"),
        sa.CheckConstraint("vanished IN (0, 1)", "ck_supplier_products_vanished"),
        **t.TABLE_OPTIONS,
    )


def _jobs() -> None:
    op.create_table(
        "supplier_jobs",
        sa.Column("id", t.integer(), primary_key=True, autoincrement=True),
        sa.Column("supplier", t.text(40), nullable=False),
        sa.Column("import_id", t.integer(), sa.ForeignKey("imports.id"), nullable=False),
        sa.Column("state", t.text(12), nullable=False),
        sa.Column("dry_run", t.integer(), nullable=False),
        sa.Column("following", t.long_text()),  # JSON: the query of the next page; NULL: there is none
        sa.Column("pages", t.integer(), nullable=False),
        sa.Column("lines", t.integer(), nullable=False),  # offers and refusals so far
        sa.Column("total", t.integer()),  # items in all, as the supplier says
        sa.Column("applied", t.integer(), nullable=False),  # the last line that is in the catalogue
        sa.Column("refused", t.integer(), nullable=False),
        sa.Column("diff", t.long_text()),  # JSON; NULL: not yet known
        sa.Column("reason", t.text(500), nullable=False),  # why it waits or failed, or empty
        sa.Column("created_at_us", t.integer(), nullable=False),
        sa.Column("updated_at_us", t.integer(), nullable=False),
        sa.Column("finished_at_us", t.integer()),
        sa.CheckConstraint("dry_run IN (0, 1)", "ck_supplier_jobs_dry_run"),
        **t.TABLE_OPTIONS,
    )
    # The last run of a supplier, and the one that is not finished.
    op.create_index("ix_supplier_jobs_supplier", "supplier_jobs", ["supplier"])
