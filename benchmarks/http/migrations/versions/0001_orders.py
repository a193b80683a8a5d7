"""Products, orders and their lines: the same tables for every contender."""

from typing import Any

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Text

from groundplan.data.database.migrate import tenant_wall
from groundplan.data.database.types import Id, Instant

revision = "0001"
down_revision = None

_TABLES = ("products", "orders", "order_lines")


def upgrade() -> None:
    op.create_table(
        "products",
        Column("id", Id, primary_key=True),
        *_columns(Text, "sku", "title", "brand", "size", "department"),
        *_columns(BigInteger, "price_cents"),
        *_columns(Text, "unit_price"),
        *_columns(BigInteger, "stock"),
        *_columns(Id, "tenant_id"),
    )
    op.create_index("products_by_sku", "products", ["tenant_id", "sku"])
    op.create_table(
        "orders",
        Column("id", Id, primary_key=True),
        *_columns(Id, "user_id"),
        *_columns(Text, "number", "state", "customer"),
        *_columns(Instant, "placed_at"),
        *_columns(BigInteger, "total_cents"),
        *_columns(Id, "tenant_id"),
    )
    op.create_table(
        "order_lines",
        Column("order_id", Id, ForeignKey("orders.id"), primary_key=True),
        Column("position", BigInteger, primary_key=True),
        *_columns(Id, "product_id"),
        *_columns(Text, "title"),
        *_columns(BigInteger, "quantity", "unit_cents", "amount_cents"),
        *_columns(Id, "tenant_id"),
    )
    tenant_wall(op, *_TABLES)


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_table(table)


def _columns(kind: Any, *names: str) -> list[Column[Any]]:
    return [Column(name, kind, nullable=False) for name in names]
