"""The staff's page of reports."""

from datetime import date, timedelta
from typing import Annotated
from uuid import UUID, uuid4

import msgspec

from groundplan.app import Context, Page, Redirect
from groundplan.core.errors import Invalid
from shop.catalog import visitor_basket
from shop.reports import feature
from shop.reports.api import MakeSalesReport, link_report, list_reports, make_sales_report

Day = Annotated[str, msgspec.Meta(max_length=20)]


class ReportForm(msgspec.Struct, frozen=True):
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    first_day: Day = ""
    last_day: Day = ""


@feature.page("/reports", permission="reports:make")
async def reports_page(ctx: Context) -> Page:
    yesterday = ctx.now().date() - timedelta(days=1)
    return await _page(ctx, str(yesterday - timedelta(days=29)), str(yesterday))


@feature.page("/reports", method="POST", permission="reports:make")
async def ask_for_report(ctx: Context, data: ReportForm) -> Page | Redirect:
    ctx.idempotency_key = data.key
    try:
        days = MakeSalesReport(_day(data.first_day), _day(data.last_day))
        await ctx.api(make_sales_report, data=days)
    except Invalid as error:
        return await _page(ctx, data.first_day, data.last_day, status=error.status, error=error.detail)
    return Redirect("/reports")


@feature.page("/reports/table", permission="reports:make")
async def reports_table(ctx: Context) -> Page:
    """The live part of the page, which asks for it again while a report is being made."""
    return Page("reports/table.html", reports=await ctx.api(list_reports))


@feature.page("/reports/{report_id}/download", permission="reports:make")
async def download_report(ctx: Context, report_id: UUID) -> Redirect:
    link = await ctx.api(link_report, report_id=report_id)
    return Redirect(link.url)


async def _page(ctx: Context, first_day: str, last_day: str, *, status: int = 200, error: str = "") -> Page:
    return Page(
        "reports/reports.html",
        status=status,
        reports=await ctx.api(list_reports),
        key=str(uuid4()),
        first_day=first_day,
        last_day=last_day,
        error=error,
        basket=await visitor_basket(ctx),
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Invalid("A day is written like 2026-03-31.") from error
