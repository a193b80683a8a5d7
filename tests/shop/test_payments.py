"""Paying: the gateway's word decides, once; then the receipt."""

from uuid import UUID, uuid4

import msgspec
import pytest

from groundplan.core.errors import Conflict, NotFound, Unauthenticated
from groundplan.integrations.payments.port import PaymentEvent
from groundplan.messaging.message import decode
from shop.orders.api import get_order, place_order
from shop.orders.events import OrderPaid
from shop.orders.payments import StartPayment, payment_reported, start_payment
from shop.orders.views import LineOrder, OrderView, PlaceOrder
from shop.orders.work import send_receipt
from tests.shop.conftest import Stores

pytestmark = pytest.mark.anyio
BACK = StartPayment(return_url="https://n.example/orders/1")


async def place(stores: Stores) -> OrderView:
    line = LineOrder(await stores.product(price_cents=1_000), 2)
    return await stores.as_("mara").api(place_order, data=PlaceOrder(lines=[line]))


async def read(stores: Stores, order_id: UUID) -> OrderView:
    return await stores.as_("mara").api(get_order, order_id=order_id)


async def report(stores: Stores, order: OrderView, status: str = "paid", **changes: object) -> None:
    known = {
        "id": uuid4().hex,
        "payment_id": "pay_1",
        "reference": str(order.id),
        "tenant_id": stores.northside.id,
        "status": status,
        "amount_cents": order.total_cents,
        "currency": "USD",
        "method": "card ending 4242",
    }
    event = msgspec.convert(known | changes, PaymentEvent)
    await payment_reported(stores.visitor(), msgspec.json.encode(event))


async def test_the_customer_is_sent_to_the_gateway(stores: Stores) -> None:
    order = await place(stores)
    page = await stores.as_("mara").api(start_payment, order_id=order.id, data=BACK)
    again = await stores.as_("mara").api(start_payment, order_id=order.id, data=BACK)
    assert page == again
    (charge,) = stores.gateway.opened.values()
    assert (charge.reference, charge.amount_cents, charge.currency) == (str(order.id), 2_150, "USD")
    assert charge.tenant_id == stores.northside.id
    assert charge.return_url == BACK.return_url


async def test_nobody_pays_another_customers_order(stores: Stores) -> None:
    order = await place(stores)
    with pytest.raises(NotFound):
        await stores.as_("otto").api(start_payment, order_id=order.id, data=BACK)


async def test_an_order_is_paid_once_however_often_it_is_said(stores: Stores) -> None:
    order = await place(stores)
    for _ in range(3):
        await report(stores, order)
    await report(stores, order, payment_id="pay_2")
    await report(stores, order, "declined", payment_id="pay_3")
    paid = await read(stores, order.id)
    assert (paid.state, paid.paid_by, paid.payment_id) == ("paid", "card ending 4242", "pay_1")
    events = await stores.rows("SELECT name FROM events WHERE name = 'order.paid'")
    assert len(events) == 1
    with pytest.raises(Conflict, match="paid already"):
        await stores.as_("mara").api(start_payment, order_id=order.id, data=BACK)


async def test_a_declined_order_can_be_paid_with_another_payment(stores: Stores) -> None:
    order = await place(stores)
    await report(stores, order, "declined")
    await report(stores, order, "declined")
    assert (await read(stores, order.id)).state == "declined"
    await stores.as_("mara").api(start_payment, order_id=order.id, data=BACK)
    assert list(stores.gateway.opened) == [f"{order.id}:pay_1"]
    await report(stores, order, payment_id="pay_2")
    assert (await read(stores, order.id)).state == "paid"


@pytest.mark.parametrize("changes", [{"amount_cents": 1}, {"currency": "EUR"}])
async def test_another_sum_does_not_pay_an_order(stores: Stores, changes: dict) -> None:
    order = await place(stores)
    with pytest.raises(Conflict, match="not the total"):
        await report(stores, order, **changes)
    assert (await read(stores, order.id)).state == "placed"


async def test_a_forged_callback_is_refused(stores: Stores) -> None:
    with pytest.raises(Unauthenticated):
        await payment_reported(stores.visitor(), b"{}")


@pytest.mark.parametrize("reference", ["8c1f0b5e-3a52-4d0e-9c47-6b1d2f7e9a10", "no id"])
async def test_a_payment_of_nothing_is_refused(stores: Stores, reference: str) -> None:
    with pytest.raises(NotFound):
        await report(stores, await place(stores), reference=reference)


async def test_the_callback_names_the_store_whatever_host_it_came_to(stores: Stores) -> None:
    order = await place(stores)
    with pytest.raises(NotFound):
        await report(stores, order, tenant_id=stores.riverside.id)
    assert (await read(stores, order.id)).state == "placed"


async def test_the_receipt_is_mailed_and_noted(stores: Stores) -> None:
    order = await place(stores)
    await report(stores, order)
    (row,) = await stores.rows("SELECT payload FROM events WHERE name = 'order.paid'")
    event = decode(OrderPaid, row.payload if isinstance(row.payload, str) else msgspec.json.encode(row.payload), 1)
    worker = stores.worker()
    await send_receipt(worker, event)
    ((key, mail),) = stores.mail.sent.items()
    assert key == str(worker.message_id)
    assert (mail.to, order.number in mail.subject) == ("mara@northside.example", True)
    done = await read(stores, order.id)
    assert done.receipt_sent_at is not None
    assert done.is_final


async def test_a_payment_that_was_declined_may_succeed_after_all(stores: Stores) -> None:
    """One payment at the gateway fails first and then succeeds, under one id."""
    order = await place(stores)
    for status in ("declined", "declined", "paid", "declined", "paid"):
        await report(stores, order, status)
    assert (await read(stores, order.id)).state == "paid"
    actions = [row.action for row in await stores.rows("SELECT action FROM audit_log ORDER BY at, id")]
    assert actions == ["order.place", "order.decline", "order.pay"]


async def test_a_receipt_is_sent_once_however_often_the_event_comes(stores: Stores) -> None:
    order = await place(stores)
    await report(stores, order)
    event = OrderPaid(order_id=order.id, number=order.number, email=order.email, total_cents=order.total_cents)
    for _ in range(2):
        await send_receipt(stores.worker(), event)
    assert len(stores.mail.sent) == 1
    assert len(await stores.rows("SELECT order_id FROM receipts")) == 1
