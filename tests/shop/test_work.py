"""The shop's handlers where things go wrong: under the platform's own rules, with faults that a test asks for."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from groundplan.app import Context
from groundplan.core.errors import OutsideCallFailed
from groundplan.integrations.mail.port import Mailbox
from groundplan.testing.app import a_user
from groundplan.testing.handlers import AppInTest, At, app_in_test
from groundplan.testing.postgres import DatabaseUrls
from shop.app import app
from shop.catalog import Product
from shop.orders.api import get_order, place_order
from shop.orders.events import OrderPaid, OrderPlaced
from shop.orders.views import LineOrder, OrderView, PlaceOrder
from shop.reports.api import MakeSalesReport, list_reports, make_sales_report
from shop.reports.jobs import SalesReport

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house(shop_urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[AppInTest]:
    async with app_in_test(app, tmp_path, owner_url=shop_urls.owner, DATABASE_URL=shop_urls.app) as house:
        yield house


def as_(house: AppInTest, role: str) -> Context:
    return house.context(user=a_user(house.tenant, role), idempotency_key=uuid4().hex)


async def place(house: AppInTest) -> OrderView:
    product = Product(
        id=uuid4(),
        sku="1",
        title="Bananas",
        brand="",
        size="per lb",
        department="produce",
        price_cents=95,
        unit_price="",
        stock=9,
        bought=0,
    )
    async with house.context(system=True).transaction() as db:
        db.add(product)
    return await as_(house, "customer").api(place_order, data=PlaceOrder(lines=[LineOrder(product.id, 2)]))


async def pay(house: AppInTest, order: OrderView) -> None:
    ctx = house.context(system=True)
    async with ctx.transaction():
        ctx.publish(OrderPaid(order_id=order.id, number=order.number, email=order.email, total_cents=order.total_cents))


async def test_an_order_tells_that_it_was_placed(house: AppInTest) -> None:
    order = await place(house)
    (event,) = await house.published(OrderPlaced)
    assert (event.order_id, event.total_cents) == (order.id, order.total_cents)


@pytest.mark.parametrize("at", ["start", "commit"])
async def test_a_receipt_arrives_once_though_its_handler_fails_twice(house: AppInTest, at: At) -> None:
    order = await place(house)
    await pay(house, order)
    with house.failing("orders.send_receipt", times=2, error=OutsideCallFailed("no answer"), at=at):
        ended = await house.run_until_idle()
    assert ended.of("orders.send_receipt") == ["retried", "retried", "done"]
    (mail,) = house.services.registry[Mailbox].list()
    assert mail.to == order.email
    assert (await as_(house, "customer").api(get_order, order_id=order.id)).receipt_sent_at is not None


async def test_a_report_is_made_although_its_first_run_is_lost_at_the_end(house: AppInTest) -> None:
    staff, today = as_(house, "staff"), house.services.clock.now().date()
    asked = await staff.api(make_sales_report, data=MakeSalesReport(today, today))
    assert [job.report_id for job in await house.enqueued(SalesReport)] == [asked.id]
    with house.failing("reports.sales", at="commit"):
        assert (await house.run_until_idle()).of("reports.sales") == ["retried", "done"]
    (ready,) = await staff.api(list_reports)
    assert ready.state == "ready"
