"""Indexes that hold what a page's filters look at, so that rows which do not match are passed over inside
them (docs/decisions/0017).

Each walks in its order, `key` and then `id`, and gathers by its first column. The columns after these are
looked at and not searched by: 0.15 µs an entry, where the row itself costs 2 µs. What changes with every
order (`stock_milli`) is only in the two that gather by wording and by seller.
"""

from farmlokal.migrations.online import create_index, drop_index

revision = "0007"
down_revision = "0006"

_CHECKED = ("deleted_at_us", "category_id", "organic", "seller_id", "search_id")
_KEYS = {
    "price": "price_minor",
    "name": "name_key",
    "created": "created_at_us",
    "unit_price": "unit_price_minor",
    "harvested": "harvested_on",
}
_GATHERED = ("price", "harvested")
"""Keys that are ranges of a filter too, so that its rows are sorted by any key without a look at the row."""

_OLD = (
    *(f"ix_products_{name}" for name in _KEYS),
    *(f"ix_products_category_{name}" for name in _KEYS),
    "ix_products_search_rows",
    "ix_products_seller_sorts",
)


def upgrade() -> None:
    for name, key in _KEYS.items():
        others = [other for other in _KEYS.values() if other != key]
        # sort=; minPrice=, maxPrice= and harvestedAfter= under any sort.
        create_index(
            f"ix_products_by_{name}",
            "products",
            [key, "id", *_CHECKED, *(others if name in _GATHERED else [])],
        )
        # One category= under that sort; by price also several categories under any.
        checked = [column for column in _CHECKED if column != "category_id"]
        create_index(
            f"ix_products_category_by_{name}",
            "products",
            ["category_id", key, "id", *checked, *(others if name == "price" else [])],
        )
    # search=, and state=, district=, near=, pincode= through the sellers of the place.
    sorts = ("stock_milli", *_KEYS.values())
    create_index(
        "ix_products_of_wording",
        "products",
        ["search_id", "deleted_at_us", "category_id", "organic", *sorts, "seller_id"],
    )
    create_index(
        "ix_products_of_seller",
        "products",
        ["seller_id", "deleted_at_us", "category_id", "organic", *sorts, "search_id"],
    )
    for name in _OLD:
        drop_index(name, "products")
