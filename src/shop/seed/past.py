"""Past purchases as past orders, moved in time so that the newest lies on the day before the seed."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from shop.catalog import totals
from shop.data.catalogue import CatalogueRow
from shop.data.purchases import Purchase
from shop.orders.numbers import order_number
from shop.seed.stores import Store

Rows = list[dict[str, Any]]


def shift_to(now: datetime, newest: datetime) -> timedelta:
    """Whole days, so that the hours of the day stay."""
    yesterday = now.date() - timedelta(days=1)
    return yesterday - newest.date()


def order_rows(
    store: Store, catalogue: Mapping[str, CatalogueRow], purchases: Iterable[Purchase], shift: timedelta
) -> tuple[Rows, Rows]:
    """The orders and their lines."""
    orders: Rows = []
    lines: Rows = []
    for purchase in purchases:
        order_id = store.id_of(f"order {purchase.basket}")
        at = purchase.bought_at + shift
        for position, line in enumerate(purchase.lines):
            product = catalogue[line.sku]
            lines.append(
                {
                    "tenant_id": store.id,
                    "order_id": order_id,
                    "position": position,
                    "product_id": store.id_of(f"product {line.sku}"),
                    "title": product.title,
                    "brand": product.brand,
                    "size": product.size,
                    "department": product.department,
                    "quantity": line.quantity,
                    "unit_cents": round(line.amount_cents / line.quantity),
                    "amount_cents": line.amount_cents,
                }
            )
        orders.append(
            {
                "id": order_id,
                "tenant_id": store.id,
                "number": order_number(store.name, order_id),
                "state": "collected",
                "user_id": None,
                "customer": f"Household {purchase.household}",
                "email": "",
                "items": sum(line.quantity for line in purchase.lines),
                **totals(sum(line.amount_cents for line in purchase.lines))._asdict(),
                "placed_at": at,
                "paid_at": at,
                "paid_by": "store card",
                "payment_id": "",
            }
        )
    return orders, lines
