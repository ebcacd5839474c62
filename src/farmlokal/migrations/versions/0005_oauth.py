"""Who may call: registered clients, digests of their secrets, sealed signing keys, revoked tokens.

Whoever reads a copy of these tables can neither sign a token nor log in: secrets are there as keyed digests,
private keys under the secret key, which is not in the database.
"""

import time

import sqlalchemy as sa
from alembic import op

from farmlokal.migrations import types as t

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "oauth_clients",
        sa.Column("client_id", t.opaque(100), primary_key=True),
        sa.Column("name", t.text(200), nullable=False),
        sa.Column("scopes", t.text(500), nullable=False),  # names with spaces between them
        sa.Column("algorithm", t.text(10), nullable=False),  # its tokens are signed with
        sa.Column("seller_id", t.integer(), sa.ForeignKey("sellers.id")),  # writes only that one's products
        sa.Column("valid_from_us", t.integer(), nullable=False),  # tokens issued before are revoked
        sa.Column("created_at_us", t.integer(), nullable=False),
        sa.Column("disabled_at_us", t.integer()),
        **t.TABLE_OPTIONS,
    )
    op.create_table(
        "oauth_secrets",
        sa.Column("client_id", t.opaque(100), sa.ForeignKey("oauth_clients.client_id"), nullable=False),
        sa.Column("digest", t.binary(32), nullable=False),  # SHA-256 keyed with the secret key
        sa.Column("created_at_us", t.integer(), nullable=False),
        sa.Column("expires_at_us", t.integer()),  # NULL: until it is rotated
        sa.PrimaryKeyConstraint("client_id", "digest"),
        **t.TABLE_OPTIONS,
    )
    op.create_table(
        "oauth_keys",
        sa.Column("kid", t.opaque(64), primary_key=True),  # RFC 7638 thumbprint
        sa.Column("algorithm", t.text(10), nullable=False),
        sa.Column("public_jwk", t.text(2000), nullable=False),
        sa.Column("sealed_jwk", t.binary(4000), nullable=False),  # AES-256-GCM under the secret key
        sa.Column("created_at_us", t.integer(), nullable=False),
        sa.Column("signs_from_us", t.integer(), nullable=False),
        sa.Column("expires_at_us", t.integer()),  # NULL: until it is rotated
        **t.TABLE_OPTIONS,
    )
    op.create_table(
        "oauth_revocations",
        sa.Column("jti", t.opaque(64), primary_key=True),
        sa.Column("client_id", t.opaque(100), nullable=False),
        sa.Column("expires_at_us", t.integer(), nullable=False),  # of the token: then this row may go
        **t.TABLE_OPTIONS,
    )
    # Rows that may go.
    op.create_index("ix_oauth_revocations_expires", "oauth_revocations", ["expires_at_us"])
    # How many tokens a client has revoked: past a bound all of them are.
    op.create_index("ix_oauth_revocations_client", "oauth_revocations", ["client_id"])
    # Raised by every change of the tables above; every process polls it (docs/decisions/0015).
    version = op.create_table(
        "oauth_version",
        sa.Column("id", t.integer(), primary_key=True, autoincrement=False),
        sa.Column("version", t.integer(), nullable=False),
        sa.CheckConstraint("id = 1", "ck_oauth_version_one"),
        **t.TABLE_OPTIONS,
    )
    op.bulk_insert(version, [{"id": 1, "version": time.time_ns() // 1000}])
