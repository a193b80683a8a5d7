"""Orders over the API: place one, list them, read one."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from sqlalchemy import select, tuple_, update
from sqlalchemy.orm import selectinload

from groundplan.app import Context, RateLimit
from groundplan.core.errors import Conflict, FieldError, Invalid, NotFound, Unauthenticated
from groundplan.core.ids import uuid7
from groundplan.data.database.sql import as_instant, microseconds
from shop.catalog import Product, empty_basket, products_changed, totals
from shop.orders import feature
from shop.orders.events import OrderPlaced
from shop.orders.models import Order, OrderLine
from shop.orders.numbers import order_number
from shop.orders.views import LineOrder, OrderPage, OrderView, PlaceOrder, State, summary_of, view_of
from shop.paging import Cursor, Limit, from_cursor, to_cursor

READ_ALL = "orders:read-all"
ACCEPTING = "orders.accepting"
"""The kill switch: off, and the store takes no orders."""


class Position(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last order of a page."""

    placed_at: Annotated[int, msgspec.Meta(ge=0, le=10**16)]
    """Microseconds since the epoch."""
    id: UUID


@feature.post("/orders", permission="orders:place", idempotent=True, limit=RateLimit("300/min"))
async def place_order(ctx: Context, data: PlaceOrder) -> OrderView:
    """Takes the products off the shelves and places the order. All of it, or 409 and nothing."""
    if ctx.user is None:
        raise Unauthenticated("An order needs a customer.")
    if not ctx.flags.enabled(ACCEPTING, True):
        raise Conflict("The store takes no orders at the moment.")
    _refuse_repeats(data.lines)
    if data.basket_id is not None:
        await empty_basket(ctx, data.basket_id)
    taken = {line.product_id: await _take(ctx, line) for line in sorted(data.lines, key=lambda line: line.product_id)}
    order_id = uuid7()
    lines = [
        OrderLine(
            order_id=order_id,
            position=position,
            product_id=line.product_id,
            title=taken[line.product_id].title,
            brand=taken[line.product_id].brand,
            size=taken[line.product_id].size,
            department=taken[line.product_id].department,
            quantity=line.quantity,
            unit_cents=taken[line.product_id].price_cents,
            amount_cents=taken[line.product_id].price_cents * line.quantity,
        )
        for position, line in enumerate(data.lines)
    ]
    order = Order(
        id=order_id,
        number=order_number(ctx.tenant.name, order_id),
        state="placed",
        user_id=ctx.user.id,
        customer=ctx.user.name,
        email=ctx.user.email,
        items=sum(line.quantity for line in lines),
        **totals(sum(line.amount_cents for line in lines))._asdict(),
        placed_at=ctx.now(),
        paid_at=None,
        paid_by="",
        payment_id="",
        lines=lines,
        receipt=None,
    )
    ctx.db.add(order)
    ctx.publish(OrderPlaced(order_id=order.id, number=order.number, total_cents=order.total_cents))
    await products_changed(ctx)
    ctx.audit("order.place", order.number, total_cents=order.total_cents)
    return view_of(order)


@feature.get("/orders", permission="orders:read")
async def list_orders(
    ctx: Context, state: State | Literal[""] = "", mine: bool = False, limit: Limit = 20, cursor: Cursor = ""
) -> OrderPage:
    """The newest orders first: one's own, and for staff everybody's unless ``mine`` is true."""
    found = select(Order)
    if mine or not ctx.can(READ_ALL):
        found = found.where(Order.user_id == (ctx.user.id if ctx.user else None))
    if state:
        found = found.where(Order.state == state)
    if cursor:
        after = from_cursor(cursor, Position)
        found = found.where(tuple_(Order.placed_at, Order.id) < (as_instant(after.placed_at), after.id))
    newest_first = found.order_by(Order.placed_at.desc(), Order.id.desc()).limit(limit + 1)
    orders = list(await ctx.db.scalars(newest_first))
    last = orders[limit - 1] if len(orders) > limit else None
    return OrderPage(
        items=[summary_of(order) for order in orders[:limit]],
        next_cursor=to_cursor(Position(microseconds(last.placed_at), last.id)) if last else "",
    )


@feature.get("/orders/{order_id}", permission="orders:read")
async def get_order(ctx: Context, order_id: UUID) -> OrderView:
    """One order: one's own, and for staff anybody's. Any other is not found."""
    whole = select(Order).options(selectinload(Order.lines), selectinload(Order.receipt))
    order = await ctx.db.scalar(whole.where(Order.id == order_id))
    is_own = order is not None and ctx.user is not None and order.user_id == ctx.user.id
    if order is None or not (is_own or ctx.can(READ_ALL)):
        raise NotFound("There is no such order among yours.")
    return view_of(order)


async def _take(ctx: Context, line: LineOrder) -> Product:
    """Takes a line off the shelf, in one statement that cannot oversell. Callers go in the order of the ids, so that
    two orders never wait for each other."""
    product = await ctx.db.scalar(
        update(Product)
        .where(Product.id == line.product_id, Product.stock >= line.quantity)
        .values(stock=Product.stock - line.quantity, bought=Product.bought + line.quantity)
        .returning(Product)
        .execution_options(synchronize_session=False)
    )
    if product is not None:
        return product
    short = await ctx.db.scalar(select(Product).where(Product.id == line.product_id))
    if short is None:
        raise Invalid(
            "This store has no such product.", errors=(FieldError("/lines", f"no product {line.product_id}"),)
        )
    raise Conflict(f"{short.title}: {short.stock or 'none'} left, and the order asks for {line.quantity}.")


def _refuse_repeats(lines: list[LineOrder]) -> None:
    if len({line.product_id for line in lines}) < len(lines):
        raise Invalid("Name each product once.", errors=(FieldError("/lines", "a product is named twice"),))
