"""Sales reports: asked for, made by the job, fetched by a signed address."""

from datetime import date, timedelta
from uuid import uuid4

import pytest

from groundplan.core.errors import Conflict, Forbidden, Invalid, NotFound
from groundplan.data.database.sql import as_uuid
from shop.orders.api import place_order
from shop.orders.views import LineOrder, PlaceOrder
from shop.reports.api import MakeSalesReport, link_report, list_reports, make_sales_report
from shop.reports.jobs import SalesReport
from shop.reports.work import make_sales
from tests.shop.conftest import Stores

pytestmark = pytest.mark.anyio


def days_around_today(stores: Stores) -> MakeSalesReport:
    today = stores.services.clock.now().date()
    return MakeSalesReport(today - timedelta(days=1), today + timedelta(days=1))


async def sell(stores: Stores) -> None:
    lines = [LineOrder(await stores.product(department=name), 2) for name in ("produce", "home")]
    order = await stores.as_("mara").api(place_order, data=PlaceOrder(lines=lines))
    await stores.rows("UPDATE orders SET state = 'paid' WHERE id = :id RETURNING id", id=order.id)
    await stores.as_("mara").api(place_order, data=PlaceOrder(lines=lines))


async def test_a_report_is_made_by_its_job_and_fetched_by_a_signed_address(stores: Stores) -> None:
    await sell(stores)
    staff = stores.as_("sam")
    asked = await staff.api(make_sales_report, data=days_around_today(stores))
    assert (asked.state, asked.asked_by) == ("making", "sam")
    (job,) = await stores.rows("SELECT kind, name FROM deliveries WHERE kind = 'job'")
    assert job.name == "sales.report"
    with pytest.raises(Conflict):
        await staff.api(link_report, report_id=asked.id)

    work = SalesReport(report_id=asked.id, first_day=asked.first_day, last_day=asked.last_day)
    await make_sales(stores.worker(), work)
    await make_sales(stores.worker(), work)
    (ready,) = await staff.api(list_reports)
    assert (ready.state, ready.rows) == ("ready", 2)
    link = await staff.api(link_report, report_id=asked.id)
    assert link.url.startswith(f"/objects/t/{stores.northside.id}/reports/{asked.id}.csv?")
    assert link.expires_in == 600
    text = (await stores.objects.bind(stores.northside.id).get(f"reports/{asked.id}.csv")).decode()
    today = stores.services.clock.now().date()
    assert text.splitlines()[1:] == [f"{today},Household,1,2,1.90", f"{today},Produce,1,2,1.90"]


async def test_staff_see_how_far_a_report_is(stores: Stores) -> None:
    staff = stores.as_("sam")
    today = stores.services.clock.now().date()
    asked = await staff.api(make_sales_report, data=MakeSalesReport(today - timedelta(days=99), today))
    (waiting,) = await staff.api(list_reports)
    assert (waiting.state, waiting.progress) == ("making", None)
    (job,) = await stores.rows("SELECT job_id AS id FROM reports")
    worker = stores.worker(message_id=as_uuid(job.id))
    await worker.progress(31, 100, "reading the orders")
    (making,) = await staff.api(list_reports)
    assert making.progress and (making.progress.done, making.progress.total) == (31, 100)
    await make_sales(worker, SalesReport(report_id=asked.id, first_day=asked.first_day, last_day=asked.last_day))
    (ready,) = await staff.api(list_reports)
    assert (ready.state, ready.progress) == ("ready", None)


async def test_reports_stay_in_their_store(stores: Stores) -> None:
    asked = await stores.as_("sam").api(make_sales_report, data=days_around_today(stores))
    there = stores.as_("sam", stores.riverside)
    assert await there.api(list_reports) == []
    for report_id in (asked.id, uuid4()):
        with pytest.raises(NotFound):
            await there.api(link_report, report_id=report_id)


async def test_customers_make_no_reports(stores: Stores) -> None:
    with pytest.raises(Forbidden):
        await stores.as_("mara").api(make_sales_report, data=days_around_today(stores))


async def test_odd_days_are_refused(stores: Stores) -> None:
    march = date(2026, 3, 1)
    for first, last in ((march, march - timedelta(days=1)), (march - timedelta(days=366), march), (date.max, date.max)):
        with pytest.raises(Invalid):
            await stores.as_("sam").api(make_sales_report, data=MakeSalesReport(first, last))


async def test_the_first_day_of_all_makes_an_empty_report(stores: Stores) -> None:
    day = date.min
    asked = await stores.as_("sam").api(make_sales_report, data=MakeSalesReport(day, day))
    await make_sales(stores.worker(), SalesReport(report_id=asked.id, first_day=day, last_day=day))
    (ready,) = await stores.as_("sam").api(list_reports)
    assert (ready.state, ready.rows) == ("ready", 0)
