"""What happens after a payment, in a worker."""

import msgspec

from groundplan.app import Context, Retry
from shop.orders import feature
from shop.orders.api import get_order
from shop.orders.events import OrderPaid
from shop.orders.models import Receipt
from shop.orders.receipts import receipt


@feature.on(OrderPaid, name="orders.send_receipt", retry=Retry(attempts=8), timeout=30)
async def send_receipt(ctx: Context, event: OrderPaid) -> None:
    """Reads, mails, then notes it in one short transaction, which also acknowledges the event.

    The receipt of an order is sent once, also where the event is published or replayed again.
    """
    order = await ctx.api(get_order, order_id=event.order_id)
    if order.receipt_sent_at is not None:
        return
    sent = await ctx.mail.send(receipt(order, store=ctx.tenant.name, to=event.email), key=str(ctx.message_id))
    async with ctx.transaction() as db:
        db.add(Receipt(order_id=order.id, email=event.email, mail_id=sent.id, sent_at=ctx.now()))


@feature.fault("orders.spoil-receipt", "Spoil the address of the next receipts", OrderPaid)
def spoil_receipt(event: OrderPaid) -> OrderPaid:
    """Doubles the @, which no mail address may have: the worker finds a payload that does not fit its schema."""
    return msgspec.structs.replace(event, email=event.email.replace("@", "@@"))
