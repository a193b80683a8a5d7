"""Tables of the orders."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from groundplan.data.database.models import Base, TenantScoped


class Order(TenantScoped, Base):
    """Placed, then paid or declined; a declined one may be paid yet. What is not paid in time is ``expired``.

    ``collected`` is over and done.
    """

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("tenant_id", "number", name="orders_number"),
        CheckConstraint("state IN ('placed', 'declined', 'expired', 'paid', 'collected')", name="orders_state"),
        Index("orders_by_time", "tenant_id", "placed_at", "id"),
        Index("orders_by_user", "user_id", "placed_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[str]
    state: Mapped[str]
    user_id: Mapped[UUID | None]
    """None for a purchase at the counter by a household with a store card."""
    customer: Mapped[str]
    email: Mapped[str]
    items: Mapped[int]
    items_cents: Mapped[int]
    tax_cents: Mapped[int]
    total_cents: Mapped[int]
    placed_at: Mapped[datetime]
    paid_at: Mapped[datetime | None]
    paid_by: Mapped[str]
    """For example ``card ending 4242``."""
    payment_id: Mapped[str]
    """The gateway's name for the payment that was decided last, paid or declined; empty before the first."""

    lines: Mapped[list["OrderLine"]] = relationship(order_by="OrderLine.position", lazy="raise")
    receipt: Mapped["Receipt | None"] = relationship(lazy="raise")


class OrderLine(TenantScoped, Base):
    """One product of an order, as it was called and priced then."""

    __tablename__ = "order_lines"
    __table_args__ = (CheckConstraint("quantity > 0", name="order_lines_quantity"),)

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[UUID]
    title: Mapped[str]
    brand: Mapped[str]
    size: Mapped[str]
    department: Mapped[str]
    quantity: Mapped[int]
    unit_cents: Mapped[int]
    amount_cents: Mapped[int]
    """What was paid for the line; a past purchase may have had a discount."""


class Receipt(TenantScoped, Base):
    """Proof that the receipt of an order was sent; an order has one at most."""

    __tablename__ = "receipts"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    email: Mapped[str]
    mail_id: Mapped[str]
    sent_at: Mapped[datetime]
