"""The words of suppliers, without I/O: what one offers, page by page, in our terms."""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from farmlokal.catalog.models import ProductDraft, SellerDraft


class Supplier(NamedTuple):
    """A supplier: our name for it (it begins the keys of its products), and who sells what its offers name no
    seller for."""

    name: str
    seller: SellerDraft


class SupplierOffer(Struct, frozen=True, kw_only=True, gc=False):
    """One thing that a supplier sells.

    `key` is the supplier's own id of it, unique with that supplier. `product` is what the catalogue would
    hold: the price in paise a pack, the stock in thousandths of what unit prices are per (kg, litre,
    piece), 0 for what cannot be had now and None where the supplier does not say how much there is.
    """

    key: str
    product: ProductDraft


class RefusedItem(NamedTuple):
    """An item of a page that is no offer: its place on the page from 1, a code to count by, the reason for
    whoever mends it, and the item as text, cut. `keys` are the external keys of products that it is about, as
    far as that can be read: what is offered badly has not vanished."""

    number: int
    code: str
    reason: str
    raw: str
    keys: tuple[str, ...] = ()


class SupplierPage(NamedTuple):
    """One page: its offers, what was refused, the query of the next page (None: this was the last), and how
    many items the supplier says there are in all, where it says so credibly."""

    offers: list[SupplierOffer]
    refused: list[RefusedItem]
    following: Mapping[str, str] | None
    total: int | None


class UnreadablePage(Exception):
    """The page as a whole is not what was asked for. The text is ours, and short."""
