"""The tables of the shop: products and baskets, orders and receipts, reports."""

from typing import Any

from alembic import op
from sqlalchemy import BigInteger, CheckConstraint, Column, Date, ForeignKey, Text, UniqueConstraint

from groundplan.data.database.migrate import tenant_wall
from groundplan.data.database.types import Id, Instant

revision = "0001"
down_revision = None

_TABLES = ("products", "basket_lines", "orders", "order_lines", "receipts", "reports")


def upgrade() -> None:
    _catalog()
    _orders()
    _reports()
    for table in _TABLES:
        op.create_index(f"{table}_tenant_id", table, ["tenant_id"])
    tenant_wall(op, *_TABLES)


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_table(table)


def _tenant_id() -> Column[Any]:
    return Column("tenant_id", Id, nullable=False)


def _text(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False)


def _number(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False)


def _catalog() -> None:
    op.create_table(
        "products",
        Column("id", Id, primary_key=True),
        _tenant_id(),
        _text("sku"),
        _text("title"),
        _text("brand"),
        _text("size"),
        _text("department"),
        _number("price_cents"),
        _text("unit_price"),
        _number("stock"),
        _number("bought"),
        UniqueConstraint("tenant_id", "sku", name="products_sku"),
        CheckConstraint("stock >= 0", name="products_stock"),
        CheckConstraint("price_cents >= 0", name="products_price"),
    )
    op.create_index("products_by_bought", "products", ["tenant_id", "bought", "id"])
    op.create_index("products_by_department", "products", ["tenant_id", "department", "bought", "id"])
    op.create_table(
        "basket_lines",
        Column("basket_id", Id, primary_key=True),
        Column("product_id", Id, ForeignKey("products.id", ondelete="CASCADE"), primary_key=True),
        _tenant_id(),
        _number("quantity"),
        Column("changed_at", Instant, nullable=False),
        CheckConstraint("quantity > 0", name="basket_lines_quantity"),
    )


def _orders() -> None:
    op.create_table(
        "orders",
        Column("id", Id, primary_key=True),
        _tenant_id(),
        _text("number"),
        _text("state"),
        Column("user_id", Id),
        _text("customer"),
        _text("email"),
        _number("items"),
        _number("items_cents"),
        _number("tax_cents"),
        _number("total_cents"),
        Column("placed_at", Instant, nullable=False),
        Column("paid_at", Instant),
        _text("paid_by"),
        _text("payment_id"),
        UniqueConstraint("tenant_id", "number", name="orders_number"),
        CheckConstraint("state IN ('placed', 'declined', 'expired', 'paid', 'collected')", name="orders_state"),
    )
    op.create_index("orders_by_time", "orders", ["tenant_id", "placed_at", "id"])
    op.create_index("orders_by_user", "orders", ["user_id", "placed_at", "id"])
    op.create_table(
        "order_lines",
        Column("order_id", Id, ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True),
        Column("position", BigInteger, primary_key=True),
        _tenant_id(),
        Column("product_id", Id, nullable=False),
        _text("title"),
        _text("brand"),
        _text("size"),
        _text("department"),
        _number("quantity"),
        _number("unit_cents"),
        _number("amount_cents"),
        CheckConstraint("quantity > 0", name="order_lines_quantity"),
    )
    op.create_table(
        "receipts",
        Column("order_id", Id, ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True),
        _tenant_id(),
        _text("email"),
        _text("mail_id"),
        Column("sent_at", Instant, nullable=False),
    )


def _reports() -> None:
    op.create_table(
        "reports",
        Column("id", Id, primary_key=True),
        _tenant_id(),
        Column("first_day", Date, nullable=False),
        Column("last_day", Date, nullable=False),
        _text("state"),
        _text("asked_by"),
        Column("asked_at", Instant, nullable=False),
        Column("ready_at", Instant),
        _text("file"),
        _number("rows"),
        CheckConstraint("state IN ('making', 'ready')", name="reports_state"),
    )
    op.create_index("reports_by_time", "reports", ["tenant_id", "asked_at", "id"])
