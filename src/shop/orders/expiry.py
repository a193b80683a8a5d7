"""What is not paid in time goes back on the shelves."""

from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import selectinload

from groundplan.app import Context, Tick
from shop.catalog import Product
from shop.orders import feature
from shop.orders.models import Order
from shop.orders.payments import OPEN

TIME_TO_PAY = timedelta(minutes=75)
"""The bank's page is good for an hour; what was approved in its last minute has to arrive yet."""
BATCH = 100


@feature.schedule("*/5 * * * *", name="orders.expire", every_tenant=True)
async def expire_orders(ctx: Context, tick: Tick) -> None:
    """Expires the oldest unpaid orders and puts their products back, all in one transaction."""
    async with ctx.transaction() as db:
        late = (
            select(Order)
            .options(selectinload(Order.lines))
            .where(Order.state.in_(OPEN), Order.placed_at < ctx.now() - TIME_TO_PAY)
            .order_by(Order.placed_at)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
        back: dict[object, int] = {}
        for order in await db.scalars(late):
            order.state = "expired"
            ctx.audit("order.expire", order.number)
            for line in order.lines:
                back[line.product_id] = back.get(line.product_id, 0) + line.quantity
        for product_id, quantity in sorted(back.items(), key=lambda item: str(item[0])):
            await db.execute(
                update(Product)
                .where(Product.id == product_id)
                .values(stock=Product.stock + quantity, bought=Product.bought - quantity)
                .execution_options(synchronize_session=False)
            )
