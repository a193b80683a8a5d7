"""What the API takes and gives."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from shop.catalog import MOST_LINES, Quantity
from shop.orders.models import Order

State = Literal["placed", "declined", "expired", "paid", "collected"]


class LineOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    product_id: UUID
    quantity: Quantity


class PlaceOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    lines: Annotated[list[LineOrder], msgspec.Meta(min_length=1, max_length=MOST_LINES)]
    basket_id: UUID | None = None
    """The basket that became this order; it is emptied with it."""


class LineView(msgspec.Struct, frozen=True, kw_only=True):
    product_id: UUID
    title: str
    brand: str
    size: str
    quantity: int
    unit_cents: int
    amount_cents: int


class OrderSummary(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    number: str
    state: State
    customer: str
    items: int
    total_cents: int
    placed_at: datetime


class OrderView(OrderSummary, frozen=True, kw_only=True):
    email: str
    lines: list[LineView]
    items_cents: int
    tax_cents: int
    paid_at: datetime | None
    paid_by: str
    payment_id: str
    receipt_sent_at: datetime | None

    @property
    def is_final(self) -> bool:
        """Nothing more happens to it by itself."""
        return self.state in ("declined", "expired", "collected") or self.receipt_sent_at is not None


class OrderPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[OrderSummary]
    next_cursor: str
    """Empty on the last page."""


def summary_of(order: Order) -> OrderSummary:
    return msgspec.convert(order, OrderSummary, from_attributes=True)


def view_of(order: Order) -> OrderView:
    receipt = order.receipt
    return OrderView(
        **msgspec.structs.asdict(summary_of(order)),
        email=order.email,
        lines=[msgspec.convert(line, LineView, from_attributes=True) for line in order.lines],
        items_cents=order.items_cents,
        tax_cents=order.tax_cents,
        paid_at=order.paid_at,
        paid_by=order.paid_by,
        payment_id=order.payment_id,
        receipt_sent_at=receipt.sent_at if receipt else None,
    )
