"""Indexes for a category without an order, and for what a search is counted by (docs/decisions/0012)."""

from farmlokal.migrations.online import create_index, drop_index

revision = "0004"
down_revision = "0003"

_CHECKED = ("deleted_at_us", "category_id", "organic", "stock_milli")
_SORTS = ("price_minor", "unit_price_minor", "harvested_on", "created_at_us", "name_key")


def upgrade() -> None:
    # category= under sort=id: what a shop page shows that asks for no order.
    create_index("ix_products_category", "products", ["category_id"])
    # search=: as before, and the seller, by whom state= and district= are checked and their facets counted.
    create_index("ix_products_search_rows", "products", ["search_id", *_CHECKED, *_SORTS, "seller_id"])
    drop_index("ix_products_search_sorts", "products")
