"""The version of the catalogue: one number that every write raises, so that caches know what is old.

One row, read by its primary key. It begins at the instant of the migration in microseconds, and each write
takes at least its own instant: no two databases, and no database before and after it is restored from a
backup, ever give one number to different content.
"""

import time

import sqlalchemy as sa
from alembic import op

from farmlokal.migrations import types as t

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    version = op.create_table(
        "catalogue_version",
        sa.Column("id", t.integer(), primary_key=True, autoincrement=False),
        sa.Column("version", t.integer(), nullable=False),
        sa.CheckConstraint("id = 1", "ck_catalogue_version_one"),
        **t.TABLE_OPTIONS,
    )
    op.bulk_insert(version, [{"id": 1, "version": time.time_ns() // 1000}])
