"""Tables of the catalogue."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from groundplan.data.database.models import Base, TenantScoped


class Product(TenantScoped, Base):
    """One thing on one store's shelves. ``bought`` counts how often it was sold, for the order of the shelves."""

    __tablename__ = "products"
    __table_args__ = (
        UniqueConstraint("tenant_id", "sku", name="products_sku"),
        CheckConstraint("stock >= 0", name="products_stock"),
        CheckConstraint("price_cents >= 0", name="products_price"),
        Index("products_by_bought", "tenant_id", "bought", "id"),
        Index("products_by_department", "tenant_id", "department", "bought", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    sku: Mapped[str]
    title: Mapped[str]
    brand: Mapped[str]
    size: Mapped[str]
    department: Mapped[str]
    price_cents: Mapped[int]
    unit_price: Mapped[str]
    stock: Mapped[int]
    bought: Mapped[int]


class BasketLine(TenantScoped, Base):
    """How many of a product lie in a visitor's basket. The basket itself is only the random id in their cookie."""

    __tablename__ = "basket_lines"
    __table_args__ = (CheckConstraint("quantity > 0", name="basket_lines_quantity"),)

    basket_id: Mapped[UUID] = mapped_column(primary_key=True)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.id", ondelete="CASCADE"), primary_key=True)
    quantity: Mapped[int]
    changed_at: Mapped[datetime]
