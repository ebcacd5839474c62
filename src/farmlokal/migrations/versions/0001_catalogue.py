"""The catalogue: sellers, categories, products, prices, search, postcodes, imports and their quarantine.

Every index says which query it serves. A secondary index holds the primary key after its own columns, on
both engines, so (price_minor) is an index on (price_minor, id): the order of a page and its tie-break.
"""

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

from farmlokal.migrations import types as t

revision = "0001"
down_revision = None


def upgrade() -> None:
    _sellers()
    _categories()
    _search()
    _products()
    _product_indexes()
    _price_history()
    _postcodes()
    _imports()


def _sellers() -> None:
    """Who sells and where. The place of a product is the place of its seller."""
    op.create_table(
        "sellers",
        _id(),
        sa.Column("external_key", t.opaque(200), nullable=False),
        sa.Column("kind", t.text(12), nullable=False),  # farm, collective, market
        sa.Column("name", t.text(200), nullable=False),
        sa.Column("district", t.text(100), nullable=False),
        sa.Column("state", t.text(100), nullable=False),
        sa.Column("district_key", t.binary(300), nullable=False),  # folded: what a filter compares
        sa.Column("state_key", t.binary(300), nullable=False),
        sa.Column("postcode", t.text(6)),
        sa.Column("latitude_e6", t.integer()),  # millionths of a degree; both or none
        sa.Column("longitude_e6", t.integer()),
        *_lifetime(),
        sa.CheckConstraint("kind IN ('farm', 'collective', 'market')", "ck_sellers_kind"),
        sa.CheckConstraint("(latitude_e6 IS NULL) = (longitude_e6 IS NULL)", "ck_sellers_coordinates"),
        **t.TABLE_OPTIONS,
    )
    # The importer's question: is this seller here already?
    op.create_index("uq_sellers_external_key", "sellers", ["external_key"], unique=True)
    # state=, district=: the sellers of a place, whose products are then read by seller.
    op.create_index("ix_sellers_place", "sellers", ["state_key", "district_key"])
    # near=, pincode=: the sellers inside a box of latitudes; longitude is checked on the index.
    op.create_index("ix_sellers_box", "sellers", ["latitude_e6", "longitude_e6"])


def _categories() -> None:
    op.create_table(
        "categories",
        _id(),
        sa.Column("name", t.text(100), nullable=False),
        sa.Column("name_key", t.binary(300), nullable=False),
        sa.Column("name_hi", t.text(100)),
        sa.Column("name_ml", t.text(100)),
        **t.TABLE_OPTIONS,
    )
    # category=: the id behind a folded name.
    op.create_index("uq_categories_name_key", "categories", ["name_key"], unique=True)


def _search() -> None:
    """One row a distinct wording (names, commodity, variety), shared by all products that say the same.

    35,051 mandi listings have 1,149 wordings. So the full-text index stays small, a product costs it
    nothing when it is written, and a search becomes a filter on one integer column (docs/decisions/0006).
    """
    op.create_table(
        "search_documents",
        _id(),
        sa.Column("digest", t.opaque(32), nullable=False),  # BLAKE2b-128 of body, hexadecimal
        sa.Column("body", t.long_text(), nullable=False),  # folded words, as `catalog/fulltext.py` lays them
        *_mysql_only(lambda: sa.Column("grams", t.long_text(), nullable=False)),
        **t.TABLE_OPTIONS,
    )
    op.create_index("uq_search_documents_digest", "search_documents", ["digest"], unique=True)
    if op.get_context().dialect.name == "sqlite":
        # search=: rowid is search_documents.id. It keeps no copy of the text (content='') and no
        # positions (detail=none): a word is there or it is not.
        op.execute(
            "CREATE VIRTUAL TABLE search_index"
            " USING fts5(grams, content='', detail=none, columnsize=0, tokenize='ascii')"
        )
    else:
        op.execute("CREATE FULLTEXT INDEX ft_search_documents_grams ON search_documents (grams)")


def _products() -> None:
    op.create_table(
        "products",
        _id(),
        sa.Column("external_key", t.opaque(200), nullable=False),  # the natural key, as its source names it
        sa.Column("alias_key", t.opaque(200)),  # the label by which a price file of that source names it
        sa.Column("seller_id", t.integer(), sa.ForeignKey("sellers.id"), nullable=False),
        sa.Column("category_id", t.integer(), sa.ForeignKey("categories.id"), nullable=False),
        sa.Column("search_id", t.integer(), sa.ForeignKey("search_documents.id"), nullable=False),
        sa.Column("name", t.text(300), nullable=False),
        sa.Column("name_hi", t.text(300)),
        sa.Column("name_ml", t.text(300)),
        sa.Column("name_key", t.binary(300), nullable=False),  # `text.sort_key(name)`, compared by byte
        sa.Column("description", t.text(2000)),
        sa.Column("commodity", t.text(200)),
        sa.Column("variety", t.text(200)),
        sa.Column("grade", t.text(100)),
        sa.Column("pack_milli", t.integer()),  # thousandths of pack_unit in one pack
        sa.Column("pack_unit", t.text(10)),
        sa.Column("price_minor", t.integer(), nullable=False),  # paise for one pack
        sa.Column("price_on", t.day()),  # the day the price was observed; NULL: when it was written
        sa.Column("unit_price_minor", t.integer()),  # paise per kg, litre or piece; NULL: pack unknown
        sa.Column("stock_milli", t.integer()),  # thousandths of the base unit; NULL: not known
        sa.Column("organic", t.integer(), nullable=False),
        sa.Column("certification", t.text(100)),
        sa.Column("harvested_on", t.day()),
        sa.Column("best_before", t.day()),
        sa.Column("image_url", t.text(1000)),
        sa.Column("source", t.text(20), nullable=False),  # agmarknet, generated, file, supplier, api
        sa.Column("import_id", t.integer()),  # the import and the line that described it last
        sa.Column("import_line", t.integer()),
        *_lifetime(),
        sa.CheckConstraint("price_minor >= 0", "ck_products_price"),
        sa.CheckConstraint("stock_milli >= 0", "ck_products_stock"),
        sa.CheckConstraint("organic IN (0, 1)", "ck_products_organic"),
        sa.CheckConstraint("pack_milli > 0", "ck_products_pack"),
        sa.CheckConstraint("(pack_milli IS NULL) = (pack_unit IS NULL)", "ck_products_pack_unit"),
        **t.TABLE_OPTIONS,
    )


def _product_indexes() -> None:
    # The importer's question: is this listing here already?
    op.create_index("uq_products_external_key", "products", ["external_key"], unique=True)
    # A price file names products by its own label.
    op.create_index("ix_products_alias_key", "products", ["alias_key"])
    # sort=price, and minPrice/maxPrice under any sort that reads few rows.
    op.create_index("ix_products_price", "products", ["price_minor"])
    # sort=name.
    op.create_index("ix_products_name", "products", ["name_key"])
    # sort=createdAt.
    op.create_index("ix_products_created", "products", ["created_at_us"])
    # sort=unitPrice.
    op.create_index("ix_products_unit_price", "products", ["unit_price_minor"])
    # sort=harvestedOn, harvestedAfter=.
    op.create_index("ix_products_harvested", "products", ["harvested_on"])
    # updatedSince=: what changed, tombstones with it.
    op.create_index("ix_products_updated", "products", ["updated_at_us"])
    # category= sorted by price: the page shops open most. Without price it still counts a category.
    op.create_index("ix_products_category_price", "products", ["category_id", "price_minor"])
    # seller=, and state=, district=, near=, pincode= through the sellers of the place; sort=distance.
    op.create_index("ix_products_seller", "products", ["seller_id"])
    # search=: the products of a wording; sort=relevance.
    op.create_index("ix_products_search", "products", ["search_id"])


def _price_history() -> None:
    """One price a product and day. The primary key is the order in which a history is read."""
    op.create_table(
        "price_history",
        sa.Column("product_id", t.integer(), sa.ForeignKey("products.id"), nullable=False),
        sa.Column("observed_on", t.day(), nullable=False),
        sa.Column("price_minor", t.integer(), nullable=False),
        sa.Column("low_minor", t.integer()),
        sa.Column("high_minor", t.integer()),
        sa.Column("import_id", t.integer()),  # the file that said so; NULL: written through the API
        sa.PrimaryKeyConstraint("product_id", "observed_on"),
        sqlite_with_rowid=False,
        **t.TABLE_OPTIONS,
    )


def _postcodes() -> None:
    """Where a postcode is; one that reaches into several districts has a row for each."""
    op.create_table(
        "postcodes",
        sa.Column("postcode", t.text(6), nullable=False),
        sa.Column("state", t.text(100), nullable=False),
        sa.Column("district", t.text(100), nullable=False),
        sa.Column("latitude_e6", t.integer(), nullable=False),
        sa.Column("longitude_e6", t.integer(), nullable=False),
        sa.Column("offices", t.integer(), nullable=False),  # post offices: how much of the postcode is here
        sa.PrimaryKeyConstraint("postcode", "state", "district"),  # pincode=
        sqlite_with_rowid=False,
        **t.TABLE_OPTIONS,
    )


def _imports() -> None:
    """What was imported, how far it came (a rerun resumes there), and the rows that were refused."""
    op.create_table(
        "imports",
        _id(),
        sa.Column("digest", t.opaque(64), nullable=False),  # SHA-256 of the file, hexadecimal
        sa.Column("file_name", t.text(255), nullable=False),
        sa.Column("format", t.text(40), nullable=False),
        sa.Column("rows_done", t.integer(), nullable=False),  # rows of the file that are committed
        sa.Column("tally", t.long_text(), nullable=False),  # JSON: how many rows met which fate so far
        sa.Column("started_at_us", t.integer(), nullable=False),
        sa.Column("finished_at_us", t.integer()),  # NULL: interrupted, or running
        **t.TABLE_OPTIONS,
    )
    op.create_index("uq_imports_digest", "imports", ["digest"], unique=True)
    op.create_table(
        "quarantine",
        sa.Column("import_id", t.integer(), sa.ForeignKey("imports.id"), nullable=False),
        sa.Column("line", t.integer(), nullable=False),
        sa.Column("code", t.text(60), nullable=False),
        sa.Column("reason", t.text(500), nullable=False),
        sa.Column("raw", t.text(2000), nullable=False),  # the row as it stood in the file
        sa.Column("created_at_us", t.integer(), nullable=False),
        # One row a line: a second run of the same file finds its refusals here already.
        sa.PrimaryKeyConstraint("import_id", "line"),
        **t.TABLE_OPTIONS,
    )


def _id() -> sa.Column[int]:
    return sa.Column("id", t.integer(), primary_key=True, autoincrement=True)


def _lifetime() -> list[sa.Column[int]]:
    """Instants in microseconds, the version that `If-Match` compares, and the tombstone."""
    return [
        sa.Column("created_at_us", t.integer(), nullable=False),
        sa.Column("updated_at_us", t.integer(), nullable=False),
        sa.Column("version", t.integer(), nullable=False),
        sa.Column("deleted_at_us", t.integer()),
    ]


def _mysql_only(column: Callable[[], sa.Column[str]]) -> list[sa.Column[str]]:
    return [] if op.get_context().dialect.name == "sqlite" else [column()]
