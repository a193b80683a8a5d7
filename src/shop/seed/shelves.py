"""The products of one store, with a stock and a popularity that follow from what it sold."""

import zlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

from shop.data.catalogue import CatalogueRow
from shop.data.purchases import Purchase
from shop.seed.stores import Store

_EMPTY_ONE_IN = 40
_SLOW = 15
"""Sold in three months."""


def product_rows(
    store: Store, catalogue: Iterable[CatalogueRow], purchases: Iterable[Purchase]
) -> list[dict[str, Any]]:
    sold = Counter[str]()
    for purchase in purchases:
        for line in purchase.lines:
            sold[line.sku] += line.quantity
    return [
        {
            "id": store.id_of(f"product {product.sku}"),
            "tenant_id": store.id,
            **product._asdict(),
            "stock": _stock(store, product.sku, sold[product.sku]),
            "bought": sold[product.sku],
        }
        for product in catalogue
    ]


def _stock(store: Store, sku: str, sold: int) -> int:
    """About what the store sells in two months and a shelf's worth besides; a slow seller in forty has run out."""
    chance = zlib.crc32(f"{store.slug} {sku}".encode())
    if sold < _SLOW and chance % _EMPTY_ONE_IN == 0:
        return 0
    return 12 + chance % 37 + sold * 2 // 3
