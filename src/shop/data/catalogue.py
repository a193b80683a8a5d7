"""The 2,400 products in words for people: the source shouts in abbreviations ("SFT DRNK 2 LITER BTL CARB INCL").

``lexicon.csv`` gives every category and type of the source a title and one of nine departments; the size is
rewritten by rule. The source names no brands and no flavours, so none are made up: an own brand is called by
the store, any other by its maker's number, and products that would still look the same are numbered.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from shop.data.sizes import SOLD_BY, Size, is_crate, read_size, unit_price

FOLDER = Path(__file__).parent
UNBRANDED = "2"
"""The maker's number under which the source keeps goods without a maker."""


class CatalogueRow(NamedTuple):
    """One product as a store sells it."""

    sku: str
    title: str
    brand: str
    size: str
    department: str
    price_cents: int
    unit_price: str


class _Entry(NamedTuple):
    department: str
    title: str
    sold_by: str


def read_catalogue(own_brand: str) -> list[CatalogueRow]:
    """All products, in the order of their numbers. ``own_brand`` is what the store calls its own ("Northside")."""
    lexicon = {
        (row["category"], row["type"]): _Entry(row["department"], row["title"], row["sold_by"])
        for row in rows("lexicon.csv")
    }
    products = [_product(row, lexicon[row["category"], row["type"]], own_brand) for row in rows("products.csv")]
    alike: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
    for position, product in enumerate(products):
        alike[product.title, product.brand, product.size].append(position)
    for group in (positions for positions in alike.values() if len(positions) > 1):
        for variety, position in enumerate(group, start=1):
            products[position] = products[position]._replace(brand=f"{products[position].brand}, variety {variety}")
    return products


def rows(name: str) -> Iterator[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _product(source: dict[str, str], entry: _Entry, own_brand: str) -> CatalogueRow:
    size = _size(source, entry)
    price_cents = round(float(source["unit_price"]) * 100)
    return CatalogueRow(
        sku=source["product_id"],
        title=entry.title,
        brand=_brand(source, own_brand),
        size=size.text,
        department=entry.department,
        price_cents=price_cents,
        unit_price=unit_price(price_cents, size),
    )


def _size(source: dict[str, str], entry: _Entry) -> Size:
    size = read_size(source["package_size"])
    unbranded = source["manufacturer_id"] == UNBRANDED
    if size is None or (entry.department == "produce" and is_crate(size, unbranded=unbranded)):
        return SOLD_BY[entry.sold_by]
    return size._replace(amount=0.0) if entry.sold_by == "pieces" else size


def _brand(source: dict[str, str], own_brand: str) -> str:
    if source["brand"] == "Private":
        return f"{own_brand} own brand"
    return "Unbranded" if source["manufacturer_id"] == UNBRANDED else f"Maker {source['manufacturer_id']}"
