"""What the API gives and takes, in msgspec, for peers that use it."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec


class ProductView(msgspec.Struct, frozen=True):
    id: UUID
    sku: str
    title: str
    brand: str
    size: str
    department: str
    price_cents: int
    unit_price: str
    stock: int


class LineView(msgspec.Struct, frozen=True):
    product_id: UUID
    title: str
    quantity: int
    unit_cents: int
    amount_cents: int


class OrderView(msgspec.Struct, frozen=True):
    id: UUID
    number: str
    state: str
    customer: str
    placed_at: datetime
    total_cents: int
    lines: list[LineView]


class LineOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    product_id: UUID
    quantity: Annotated[int, msgspec.Meta(ge=1, le=99)]


class PlaceOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    lines: Annotated[list[LineOrder], msgspec.Meta(min_length=1, max_length=100)]


def view_of(order: Any) -> OrderView:
    return msgspec.convert(order, OrderView, from_attributes=True)


def view_of_rows(rows: Any) -> OrderView:
    id_, number, state, customer, placed_at, total_cents = rows[0][:6]
    return OrderView(id_, number, state, customer, placed_at, total_cents, [LineView(*row[6:]) for row in rows])
