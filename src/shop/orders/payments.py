"""Paying: send the customer to the gateway, and believe only its signed callback."""

from typing import Annotated
from uuid import UUID

import msgspec
from sqlalchemy import select

from groundplan.app import Context, RateLimit
from groundplan.core.context import current
from groundplan.core.errors import Conflict, NotFound
from groundplan.integrations.payments.port import Charge, PaymentEvent
from shop.orders import feature
from shop.orders.api import get_order
from shop.orders.events import OrderPaid
from shop.orders.models import Order

CURRENCY = "USD"
OPEN = ("placed", "declined")
"""States in which an order can still be paid."""


class StartPayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    return_url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s\x00]+$", max_length=500)]
    """Where the gateway sends the customer afterwards."""


class PaymentPage(msgspec.Struct, frozen=True):
    url: str
    """The gateway's page, where the customer pays."""


@feature.post("/orders/{order_id}/payments", permission="orders:place", transaction=False, limit=RateLimit("300/min"))
async def start_payment(ctx: Context, order_id: UUID, data: StartPayment) -> PaymentPage:
    """Opens a payment for an order that is not paid yet. Asking again continues the same one, until it is declined."""
    order = await get_order(ctx, order_id)
    if order.state not in OPEN:
        raise Conflict(f"Order {order.number} is {order.state} already.")
    await ctx.release()
    now = current()
    checkout = await ctx.payments.create(
        Charge(
            reference=str(order.id),
            tenant_id=ctx.tenant.id,
            amount_cents=order.total_cents,
            currency=CURRENCY,
            description=f"{ctx.tenant.name}, order {order.number}",
            return_url=data.return_url,
            traceparent=now.traceparent if now else "",
        ),
        key=f"{order.id}:{order.payment_id}",
    )
    ctx.analytics.track("payment.opened", number=order.number, total_cents=order.total_cents)
    return PaymentPage(checkout.url)


@feature.webhook("payments")
async def payment_reported(ctx: Context, data: bytes) -> None:
    """The gateway's word on a payment, possibly said twice. What was declined may be paid yet; what is paid is paid."""
    reported = ctx.payments.verify(ctx.request.headers if ctx.request else {}, data)
    store = await ctx.for_tenant(reported.tenant_id)
    async with store.transaction() as db:
        order = await db.scalar(select(Order).where(Order.id == _order_id(reported)).with_for_update())
        if order is None:
            raise NotFound(f"There is no order {reported.reference}.")
        if order.state == "expired" and reported.status == "paid" and order.payment_id != reported.payment_id:
            order.payment_id = reported.payment_id
            store.audit("order.pay-too-late", order.number, payment=reported.payment_id)
            store.log.error("paid after it expired: the money is to be given back", order=order.number)
        if order.state not in OPEN or (reported.payment_id, reported.status) == (order.payment_id, order.state):
            return
        order.payment_id = reported.payment_id
        if reported.status == "declined":
            order.state = "declined"
            store.audit("order.decline", order.number, payment=reported.payment_id)
            return
        if (reported.amount_cents, reported.currency) != (order.total_cents, CURRENCY):
            raise Conflict(f"The payment is not the total of order {order.number}.")
        order.state, order.paid_at, order.paid_by = "paid", store.now(), reported.method
        store.publish(
            OrderPaid(order_id=order.id, number=order.number, email=order.email, total_cents=order.total_cents)
        )
        store.audit("order.pay", order.number, payment=reported.payment_id, total_cents=order.total_cents)


def _order_id(reported: PaymentEvent) -> UUID:
    try:
        return UUID(reported.reference)
    except ValueError as error:
        raise NotFound(f"There is no order {reported.reference}.") from error
