"""The 1,808 past baskets, as they were carried out of the stores."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from shop.data.catalogue import rows


class PurchaseLine(NamedTuple):
    sku: str
    quantity: int
    amount_cents: int
    """What was paid, discounts taken off."""


class Purchase(NamedTuple):
    basket: str
    household: str
    bought_at: datetime
    lines: Sequence[PurchaseLine]


def read_purchases() -> dict[str, list[Purchase]]:
    """The purchases of each store by its number in the source, oldest first."""
    lines: defaultdict[str, list[PurchaseLine]] = defaultdict(list)
    for row in rows("basket_lines.csv"):
        cents = round(float(row["sales_value"]) * 100)
        lines[row["basket_id"]].append(PurchaseLine(row["product_id"], int(row["quantity"]), cents))
    purchases: defaultdict[str, list[Purchase]] = defaultdict(list)
    for row in rows("baskets.csv"):
        bought_at = datetime.fromisoformat(row["bought_at"]).replace(tzinfo=UTC)
        basket = row["basket_id"]
        purchases[row["store_id"]].append(Purchase(basket, row["household_id"], bought_at, lines[basket]))
    return purchases
