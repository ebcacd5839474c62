"""Orders, the events that made them, and the deliveries that a person has to look at.

An event is one row: the claim of its id, what it said and what came of it, written by the transaction that
changes the order. A place in the order of events is one column of bytes (`orders/models.py`): it sorts as
events do, on every engine.
"""

import sqlalchemy as sa
from alembic import op

from farmlokal.migrations import types as t

revision = "0008"
down_revision = "0007"

_ID_BYTES = 255
_PLACE_BYTES = 16 + _ID_BYTES


def upgrade() -> None:
    _orders()
    _order_events()
    _dead_letters()


def _orders() -> None:
    """One row an order: what its greatest events say, and what it holds of the stock."""
    op.create_table(
        "orders",
        _id(),
        sa.Column("order_key", t.binary(_ID_BYTES), nullable=False),  # the sender's id, in UTF-8
        sa.Column("place", t.binary(_PLACE_BYTES), nullable=False),  # of the greatest event
        sa.Column("status", t.text(20)),  # NULL: no event has said
        sa.Column("status_place", t.binary(_PLACE_BYTES)),  # of the event that said it
        sa.Column("items", t.long_text()),  # JSON, as the event at items_place gave them
        sa.Column("items_place", t.binary(_PLACE_BYTES)),
        sa.Column("holdings", t.long_text(), nullable=False),  # JSON: thousandths wanted and held, by product
        sa.Column("created_at_us", t.integer(), nullable=False),
        sa.Column("updated_at_us", t.integer(), nullable=False),
        sa.Column("version", t.integer(), nullable=False),
        **t.TABLE_OPTIONS,
    )
    # The order that an event names.
    op.create_index("uq_orders_order_key", "orders", ["order_key"], unique=True)
    # GET /api/orders by either time, with and without status=.
    op.create_index("ix_orders_created", "orders", ["created_at_us"])
    op.create_index("ix_orders_updated", "orders", ["updated_at_us"])
    op.create_index("ix_orders_status_created", "orders", ["status", "created_at_us"])
    op.create_index("ix_orders_status_updated", "orders", ["status", "updated_at_us"])


def _order_events() -> None:
    op.create_table(
        "order_events",
        _id(),
        sa.Column("source", t.text(20), nullable=False),
        sa.Column("event_id", t.binary(_ID_BYTES), nullable=False),
        sa.Column("digest", t.binary(32), nullable=False),  # BLAKE2b-256 of the content in canonical form
        sa.Column("order_id", t.integer(), sa.ForeignKey("orders.id")),  # NULL: it names none
        sa.Column("place", t.binary(_PLACE_BYTES), nullable=False),
        sa.Column("status", t.text(40)),  # as it was sent, known or not
        sa.Column("items", t.long_text()),  # JSON; NULL: it has none
        sa.Column("outcome", t.text(10), nullable=False),  # processed, stale
        sa.Column("shortfall", t.long_text()),  # JSON: thousandths that the stock did not have, by product
        sa.Column("received_at_us", t.integer(), nullable=False),
        **t.TABLE_OPTIONS,
    )
    # Each event has one effect: this key is why.
    op.create_index("uq_order_events_event", "order_events", ["source", "event_id"], unique=True)
    # The history of an order, in the order of its events.
    op.create_index("ix_order_events_order", "order_events", ["order_id", "place"])
    # What is old enough to be forgotten.
    op.create_index("ix_order_events_received", "order_events", ["received_at_us"])


def _dead_letters() -> None:
    """Deliveries that could not be applied, with what is needed to try again."""
    op.create_table(
        "dead_letters",
        _id(),
        sa.Column("source", t.text(20), nullable=False),
        sa.Column("event_id", t.binary(_ID_BYTES), nullable=False),  # empty: none could be read
        sa.Column("digest", t.binary(32), nullable=False),
        sa.Column("kind", t.text(12), nullable=False),  # failing, dead, mismatched, malformed
        sa.Column("reason", t.text(500), nullable=False),
        sa.Column("body", t.long_binary(), nullable=False),  # as it was received
        sa.Column("attempts", t.integer(), nullable=False),
        sa.Column("first_at_us", t.integer(), nullable=False),
        sa.Column("last_at_us", t.integer(), nullable=False),
        sa.Column("replayed_at_us", t.integer()),  # when it was applied after all
        **t.TABLE_OPTIONS,
    )
    # One letter a delivery, however often it is sent.
    op.create_index("uq_dead_letters_delivery", "dead_letters", ["source", "event_id", "digest"], unique=True)
    # What there is to look at, and how many malformed ones are kept.
    op.create_index("ix_dead_letters_kind", "dead_letters", ["kind"])
    # What is old enough to be forgotten.
    op.create_index("ix_dead_letters_last", "dead_letters", ["last_at_us"])


def _id() -> sa.Column[int]:
    return sa.Column("id", t.integer(), primary_key=True, autoincrement=True)
