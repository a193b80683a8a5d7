"""From a basket to a receipt: place, pay, be told."""

from groundplan.app import Feature, Objective
from shop.orders.models import Order, OrderLine, Receipt

__all__ = ["Order", "OrderLine", "Receipt", "feature"]

feature = Feature(
    "orders",
    owner="commerce",
    objective=Objective(availability=0.999, latency_ms=300),
    modules=["shop.orders.api", "shop.orders.payments", "shop.orders.work", "shop.orders.expiry", "shop.orders.pages"],
)
