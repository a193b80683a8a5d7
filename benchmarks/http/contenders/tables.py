"""The tables as plain SQLAlchemy sees them, and the two units of work that are written once for all who use it."""

import os
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, DateTime, ForeignKey, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

POOL_SIZE = 20


class Base(DeclarativeBase):
    type_annotation_map = {int: BigInteger, datetime: DateTime(timezone=True)}


class Product(Base):
    __tablename__ = "products"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    sku: Mapped[str]
    title: Mapped[str]
    brand: Mapped[str]
    size: Mapped[str]
    department: Mapped[str]
    price_cents: Mapped[int]
    unit_price: Mapped[str]
    stock: Mapped[int]


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    user_id: Mapped[UUID]
    number: Mapped[str]
    state: Mapped[str]
    customer: Mapped[str]
    placed_at: Mapped[datetime]
    total_cents: Mapped[int]
    lines: Mapped[list["OrderLine"]] = relationship(order_by="OrderLine.position", lazy="raise")


class OrderLine(Base):
    __tablename__ = "order_lines"
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    product_id: Mapped[UUID]
    title: Mapped[str]
    quantity: Mapped[int]
    unit_cents: Mapped[int]
    amount_cents: Mapped[int]


PREPARED = select(Order).options(selectinload(Order.lines)).where(Order.id == bindparam("order_id"))
COLUMNS = (
    select(
        *(Order.id, Order.number, Order.state, Order.customer, Order.placed_at, Order.total_cents),
        *(OrderLine.product_id, OrderLine.title, OrderLine.quantity, OrderLine.unit_cents, OrderLine.amount_cents),
    )
    .join(OrderLine, OrderLine.order_id == Order.id)
    .where(Order.id == bindparam("order_id"))
    .order_by(OrderLine.position)
)


class ShelfEmpty(Exception):
    pass


def make_engine() -> AsyncEngine:
    return create_async_engine(os.environ["DATABASE_URL"], pool_size=POOL_SIZE, max_overflow=0)


async def read(session: AsyncSession, order_id: UUID) -> Order | None:
    whole = select(Order).options(selectinload(Order.lines))
    return await session.scalar(whole.where(Order.id == order_id))


async def place(
    session: AsyncSession, tenant_id: UUID, user_id: UUID, customer: str, wanted: list[tuple[UUID, int]]
) -> Order:
    """Takes the products off the shelf and adds the order; the caller commits. Raises ShelfEmpty."""
    taken = [(await _take(session, product_id, quantity), quantity) for product_id, quantity in sorted(wanted)]
    order_id = uuid4()
    lines = [
        OrderLine(
            order_id=order_id,
            position=position,
            tenant_id=tenant_id,
            product_id=product.id,
            title=product.title,
            quantity=quantity,
            unit_cents=product.price_cents,
            amount_cents=product.price_cents * quantity,
        )
        for position, (product, quantity) in enumerate(taken)
    ]
    order = Order(
        id=order_id,
        tenant_id=tenant_id,
        user_id=user_id,
        number=f"B-{order_id.hex[-12:]}",
        state="placed",
        customer=customer,
        placed_at=datetime.now(UTC),
        total_cents=sum(line.amount_cents for line in lines),
        lines=lines,
    )
    session.add(order)
    return order


async def _take(session: AsyncSession, product_id: UUID, quantity: int) -> Any:
    product = await session.scalar(
        update(Product)
        .where(Product.id == product_id, Product.stock >= quantity)
        .values(stock=Product.stock - quantity)
        .returning(Product)
        .execution_options(synchronize_session=False)
    )
    if product is None:
        raise ShelfEmpty
    return product
