"""What the simulated supplier sells: generated offers in three formats, or the pages of a folder.

Generated offers are those of our own generator, written as each format has them, so what comes back in can be
compared with what went out. A folder serves what real suppliers sent.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from farmlokal.catalog.generator import generate
from farmlokal.catalog.models import ProductDraft
from farmlokal.errors import Invalid

Item = dict[str, Any]
Goods = dict[str, list[Item]]
"""Items by format."""

FORMATS = ("dummyjson", "datagovin", "shopify")
OFFERS = 194
"""Of each format: as many as the original's supplier has."""


def generated(today: date, offers: int = OFFERS) -> Goods:
    """So many offers in each format; equal arguments give equal offers."""
    numbered = list(enumerate(_drafts(offers, today), start=1))
    more = _drafts(2 * offers, today)  # a sixth of all is no record, or a second one
    return {
        "dummyjson": [_dummyjson(number, draft) for number, draft in numbered],
        "datagovin": list(islice(_records(more, today), offers)),
        "shopify": [_shopify(number, draft) for number, draft in numbered],
    }


@lru_cache(maxsize=4)
def _drafts(offers: int, today: date) -> tuple[ProductDraft, ...]:
    """Kept: what the generator works out beforehand takes longer than a few hundred products."""
    return tuple(generate(offers, random_seed=5, today=today))


def of_folder(folder: Path) -> Goods:
    """The items of all JSON files of a folder, in the order of their names. Raises `Invalid`."""
    goods: Goods = {}
    for file in sorted(folder.glob("*.json")):
        try:
            document = json.loads(file.read_bytes())
        except ValueError:
            raise Invalid(f"{file.name} is not JSON.") from None
        kind, items = _recognized(document)
        if kind:
            goods.setdefault(kind, []).extend(items)
    if not goods:
        raise Invalid(f"There is no page of a supplier in {folder}.")
    return goods


def _recognized(document: Any) -> tuple[str, list[Item]]:
    members = document if isinstance(document, dict) else {"products": document}
    if isinstance(members.get("records"), list):
        return "datagovin", members["records"]
    items = members.get("products")
    if not isinstance(items, list) or not items or not isinstance(items[0], dict):
        return "", []
    return "shopify" if "variants" in items[0] else "dummyjson", items


def page(kind: str, goods: Sequence[Item], query: dict[str, str]) -> dict[str, Any]:
    """The page that a query asks for, with what the format writes around it."""
    if kind == "shopify":
        limit = _count(query, "limit", 50)
        first = (max(1, _count(query, "page", 1)) - 1) * limit
        return {"products": [*goods[first : first + limit]]}
    if kind == "datagovin":
        limit, first = _count(query, "limit", 10), _count(query, "offset", 0)
        records = [*goods[first : first + limit]]
        around = {"status": "ok", "total": len(goods), "count": len(records)}
        return {**around, "limit": str(limit), "offset": str(first), "records": records}
    limit, first = _count(query, "limit", 30), _count(query, "skip", 0)
    products = [*goods[first : first + limit if limit else None]]
    return {"products": products, "total": len(goods), "skip": first, "limit": len(products)}


def _count(query: dict[str, str], name: str, default: int) -> int:
    written = query.get(name, "")
    return int(written) if written.isascii() and written.isdigit() and len(written) < 10 else default


def _dummyjson(number: int, draft: ProductDraft) -> Item:
    sold_out = draft.stock_milli == 0
    return {
        "id": number,
        "title": draft.name,
        "description": draft.description or draft.name,
        "category": draft.category.lower(),
        "price": draft.price_minor / 100,
        "stock": (draft.stock_milli or 10_000) // 1000 if not sold_out else 0,
        "availabilityStatus": "Out of Stock" if sold_out else "In Stock",
        "images": [],
    }


def _records(drafts: Iterable[ProductDraft], today: date) -> Iterable[Item]:
    """A record for each market and commodity that are sold by weight: rupees a quintal, first day first."""
    seen = set()
    for draft in drafts:
        if draft.pack_unit not in ("kg", "g") or draft.commodity is None:
            continue
        named = (draft.seller.state, draft.seller.district, draft.seller.name, draft.commodity)
        if named in seen:
            continue
        seen.add(named)
        quintal = 400 + draft.price_minor % 20_000
        yield {
            **dict(zip(("state", "district", "market", "commodity"), named, strict=True)),
            "variety": "Other",
            "grade": "FAQ",
            "arrival_date": today.strftime("%d/%m/%Y"),
            "min_price": str(quintal * 9 // 10),
            "max_price": str(quintal * 11 // 10),
            "modal_price": str(quintal),
        }


def _shopify(number: int, draft: ProductDraft) -> Item:
    return {
        "id": 1_000_000 + number,
        "title": draft.name,
        "body_html": f"<p>{draft.name}</p>",
        "product_type": draft.category,
        "published_at": "2026-01-01T00:00:00+05:30",
        "variants": [
            {
                "id": 2_000_000 + number,
                "title": "Default Title",
                "price": f"{draft.price_minor / 100:.2f}",
                "available": draft.stock_milli != 0,
            }
        ],
        "images": [],
    }
