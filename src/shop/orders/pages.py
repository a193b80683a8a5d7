"""The pages to check out, to follow an order, and, for staff, to see them all."""

from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID, uuid4

import msgspec

from groundplan.app import Context, Page, Redirect
from groundplan.core.errors import Conflict, IdempotencyKeyInUse, IdempotencyKeyReused, Invalid
from shop.catalog import basket_id_of, visitor_basket
from shop.orders import feature
from shop.orders.api import get_order, list_orders, place_order
from shop.orders.payments import StartPayment, start_payment
from shop.orders.views import LineOrder, OrderView, PlaceOrder, State
from shop.paging import Cursor

PAGE_SIZE = 25
STATES: tuple[State, ...] = ("placed", "declined", "expired", "paid", "collected")


class CheckoutForm(msgspec.Struct, frozen=True):
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    """Drawn when the form was shown: sending the same form twice places one order."""


@feature.page("/checkout", permission="orders:place")
async def checkout_page(ctx: Context) -> Page:
    return await _checkout(ctx)


@feature.page("/checkout", method="POST", permission="orders:place")
async def checkout(ctx: Context, data: CheckoutForm) -> Page | Redirect:
    """Places the order that lies in the basket and sends the customer to pay."""
    basket_id, basket = basket_id_of(ctx), await visitor_basket(ctx)
    if not basket.lines:
        return Redirect("/orders")
    ctx.idempotency_key = data.key
    lines = [LineOrder(line.product_id, line.quantity) for line in basket.lines]
    try:
        order = await ctx.api(place_order, data=PlaceOrder(lines=lines, basket_id=basket_id))
    except IdempotencyKeyInUse:  # the form was sent twice at once, and the other one is placing the order
        return Redirect("/orders")
    except IdempotencyKeyReused:
        return await _checkout(ctx, status=409, notice="The basket has changed since this page was shown. Look again.")
    except (Conflict, Invalid) as error:
        return await _checkout(ctx, status=error.status, notice=error.detail)
    ctx.analytics.track("order.placed", number=order.number, items=order.items, total_cents=order.total_cents)
    return await _to_gateway(ctx, order.id)


@feature.page("/orders", permission="orders:read")
async def orders_page(ctx: Context, cursor: Cursor = "") -> Page:
    orders = await ctx.api(list_orders, mine=True, limit=PAGE_SIZE, cursor=cursor)
    return Page("orders/list.html", orders=orders, cursor=cursor, basket=await visitor_basket(ctx))


@feature.page("/orders/{order_id}", permission="orders:read")
async def order_page(ctx: Context, order_id: UUID) -> Page:
    order = await ctx.api(get_order, order_id=order_id)
    return Page("orders/order.html", order=order, live=_is_live(ctx, order), basket=await visitor_basket(ctx))


@feature.page("/orders/{order_id}/steps", permission="orders:read")
async def order_steps(ctx: Context, order_id: UUID) -> Page:
    """The live part of the order page, which asks for it again until nothing more will happen."""
    order = await ctx.api(get_order, order_id=order_id)
    return Page("orders/steps.html", order=order, live=_is_live(ctx, order))


@feature.page("/orders/{order_id}/pay", method="POST", permission="orders:place")
async def pay_again(ctx: Context, order_id: UUID) -> Redirect:
    try:
        return await _to_gateway(ctx, order_id)
    except Conflict:
        return Redirect(f"/orders/{order_id}")


@feature.page("/staff/orders", permission="orders:read-all")
async def staff_orders(ctx: Context, state: State | Literal[""] = "", cursor: Cursor = "") -> Page:
    orders = await ctx.api(list_orders, state=state, limit=PAGE_SIZE, cursor=cursor)
    return Page(
        "orders/staff.html",
        orders=orders,
        state=state,
        states=STATES,
        cursor=cursor,
        next_page=f"/staff/orders?{urlencode({'state': state, 'cursor': orders.next_cursor})}",
        basket=await visitor_basket(ctx),
    )


async def _checkout(ctx: Context, *, status: int = 200, notice: str = "") -> Page:
    basket = await visitor_basket(ctx)
    return Page("orders/checkout.html", status=status, basket=basket, key=str(uuid4()), notice=notice)


async def _to_gateway(ctx: Context, order_id: UUID) -> Redirect:
    home = ctx.request.base_url if ctx.request else ""
    page = await ctx.api(start_payment, order_id=order_id, data=StartPayment(return_url=f"{home}/orders/{order_id}"))
    return Redirect(page.url)


def _is_live(ctx: Context, order: OrderView) -> bool:
    """Fresh orders change soon; one that nobody paid for an hour is not worth asking after every two seconds."""
    return not order.is_final and (ctx.now() - order.placed_at).total_seconds() < 3600
