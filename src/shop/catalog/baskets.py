"""Baskets over the API. Who knows a basket's random id may read and change it, signed in or not."""

from typing import Annotated
from uuid import UUID

import msgspec
from sqlalchemy import delete, func, select

from groundplan.app import Context
from groundplan.core.errors import Conflict, NotFound
from groundplan.data.database.sql import Sql
from shop.catalog.declaration import feature
from shop.catalog.models import BasketLine, Product
from shop.catalog.pricing import totals

MOST_LINES = 100
Quantity = Annotated[int, msgspec.Meta(ge=1, le=99)]


class SetQuantity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    quantity: Annotated[int, msgspec.Meta(ge=0, le=99, description="0 takes the product out")]


class BasketLineView(msgspec.Struct, frozen=True, kw_only=True):
    product_id: UUID
    title: str
    brand: str
    size: str
    quantity: int
    stock: int
    unit_cents: int
    amount_cents: int


class BasketView(msgspec.Struct, frozen=True, kw_only=True):
    lines: list[BasketLineView] = []
    items: int = 0
    items_cents: int = 0
    tax_cents: int = 0
    total_cents: int = 0

    def quantity_of(self, product_id: UUID) -> int:
        return next((line.quantity for line in self.lines if line.product_id == product_id), 0)


@feature.get("/baskets/{basket_id}", public=True)
async def get_basket(ctx: Context, basket_id: UUID) -> BasketView:
    """What lies in the basket, at today's prices. An unknown basket is an empty one."""
    found = await ctx.db.execute(
        select(Product, BasketLine.quantity)
        .join(BasketLine, BasketLine.product_id == Product.id)
        .where(BasketLine.basket_id == basket_id)
        .order_by(Product.title, Product.id)
    )
    return _view([_line(product, quantity) for product, quantity in found])


@feature.put("/baskets/{basket_id}/lines/{product_id}", public=True)
async def put_basket_line(ctx: Context, basket_id: UUID, product_id: UUID, data: SetQuantity) -> BasketView:
    """Sets how many of a product the basket holds; says so where the store has fewer."""
    if data.quantity == 0:
        await ctx.db.execute(
            delete(BasketLine).where(BasketLine.basket_id == basket_id, BasketLine.product_id == product_id)
        )
        return await get_basket(ctx, basket_id)
    product = await ctx.db.scalar(select(Product).where(Product.id == product_id))
    if product is None:
        raise NotFound("This store has no such product.")
    if data.quantity > product.stock:
        raise Conflict(f"{product.title}: {product.stock or 'none'} left.")
    lines = await ctx.db.scalar(
        select(func.count())
        .select_from(BasketLine)
        .where(BasketLine.basket_id == basket_id, BasketLine.product_id != product_id)
    )
    if (lines or 0) >= MOST_LINES:
        raise Conflict(f"A basket holds {MOST_LINES} different products at most.")
    await ctx.tx.execute(
        _SET_QUANTITY,
        tenant_id=ctx.tenant.id,
        basket_id=basket_id,
        product_id=product_id,
        quantity=data.quantity,
        now=ctx.now(),
    )
    return await get_basket(ctx, basket_id)


async def empty_basket(ctx: Context, basket_id: UUID) -> None:
    """Joins the transaction of the order that the basket became. Raises Conflict where another order took it."""
    emptied = await ctx.db.scalars(
        delete(BasketLine).where(BasketLine.basket_id == basket_id).returning(BasketLine.product_id)
    )
    if not emptied.all():
        raise Conflict("This basket is empty: it may have been ordered in another window.")


def _view(lines: list[BasketLineView]) -> BasketView:
    sums = totals(sum(line.amount_cents for line in lines))
    return BasketView(lines=lines, items=sum(line.quantity for line in lines), **sums._asdict())


def _line(product: Product, quantity: int) -> BasketLineView:
    return BasketLineView(
        product_id=product.id,
        title=product.title,
        brand=product.brand,
        size=product.size,
        quantity=quantity,
        stock=product.stock,
        unit_cents=product.price_cents,
        amount_cents=product.price_cents * quantity,
    )


_SET_QUANTITY = Sql("""
    INSERT INTO basket_lines (tenant_id, basket_id, product_id, quantity, changed_at)
    VALUES (:tenant_id, :basket_id, :product_id, :quantity, :now)
    ON CONFLICT (basket_id, product_id) DO UPDATE SET quantity = excluded.quantity, changed_at = excluded.changed_at
""")
