"""Making a report, in a worker."""

from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import func, select, update

from groundplan.app import Context, Retry
from shop.catalog import DEPARTMENT_TITLES
from shop.orders import Order, OrderLine
from shop.reports import feature
from shop.reports.jobs import SalesReport
from shop.reports.models import Report
from shop.reports.sales import Sale, by_day, to_csv

SOLD = ("paid", "collected")
DAYS_AT_ONCE = 31


@feature.job(SalesReport, name="reports.sales", retry=Retry(attempts=5), timeout=30)
async def make_sales(ctx: Context, job: SalesReport) -> None:
    """Reads, writes the file, then marks the report ready. The file's key is the report's, so a rerun overwrites it."""
    days = (job.last_day - job.first_day).days + 1
    sales: list[Sale] = []
    for done in range(0, days, DAYS_AT_ONCE):
        await ctx.progress(done, days, "reading the orders")
        first = job.first_day + timedelta(days=done)
        sales += await _sales(ctx, first, min(days - done, DAYS_AT_ONCE))
    await ctx.progress(days, days, "writing the file")
    rows = by_day(sales)
    file = f"reports/{job.report_id}.csv"
    await ctx.release()
    await ctx.objects.put(file, to_csv(rows), content_type="text/csv; charset=utf-8")
    async with ctx.transaction() as db:
        ready = {"state": "ready", "file": file, "rows": len(rows), "ready_at": ctx.now()}
        await db.execute(update(Report).where(Report.id == job.report_id).values(ready))


async def _sales(ctx: Context, first_day: date, days: int) -> list[Sale]:
    start = datetime.combine(first_day, time(), UTC)
    end = start + timedelta(days=days)
    found = await ctx.db.execute(
        select(Order.placed_at, OrderLine.department, func.sum(OrderLine.quantity), func.sum(OrderLine.amount_cents))
        .join(OrderLine, OrderLine.order_id == Order.id)
        .where(Order.state.in_(SOLD), Order.placed_at >= start, Order.placed_at < end)
        .group_by(Order.id, Order.placed_at, OrderLine.department)
    )
    return [
        Sale(placed_at, DEPARTMENT_TITLES.get(department, department), int(items), int(cents))
        for placed_at, department, items, cents in found
    ]
