"""Reports over the API: ask for one, see which there are, fetch one."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import select

from groundplan.app import Context, Progress, RateLimit
from groundplan.core.errors import Conflict, FieldError, Invalid, NotFound
from groundplan.core.ids import uuid7
from shop.reports import feature
from shop.reports.jobs import SalesReport
from shop.reports.models import Report

MOST_DAYS = 366
SHOWN = 20
LINK_SECONDS = 10 * 60


class MakeSalesReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    first_day: date
    last_day: date


class ReportView(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    first_day: date
    last_day: date
    state: Literal["making", "ready"]
    asked_by: str
    asked_at: datetime
    ready_at: datetime | None
    rows: int
    progress: Progress | None = None
    """How far its job is, while that runs."""


class ReportLink(msgspec.Struct, frozen=True):
    url: str
    expires_in: int
    """Seconds."""


@feature.post("/reports/sales", permission="reports:make", idempotent=True, limit=RateLimit("30/min", per="tenant"))
async def make_sales_report(ctx: Context, data: MakeSalesReport) -> ReportView:
    """Asks for the sales by day and department, as CSV. A job makes it."""
    _refuse_odd_days(data, today=ctx.now().date())
    report = Report(
        id=uuid7(),
        first_day=data.first_day,
        last_day=data.last_day,
        state="making",
        asked_by=ctx.user.name if ctx.user else "",
        asked_at=ctx.now(),
        ready_at=None,
        file="",
        rows=0,
        job_id=None,
    )
    report.job_id = ctx.enqueue(SalesReport(report_id=report.id, first_day=data.first_day, last_day=data.last_day))
    ctx.db.add(report)
    ctx.audit("report.make", str(report.id), first_day=str(data.first_day), last_day=str(data.last_day))
    return view_of(report)


@feature.get("/reports", permission="reports:make")
async def list_reports(ctx: Context) -> list[ReportView]:
    """The newest reports of the store."""
    newest = select(Report).order_by(Report.asked_at.desc(), Report.id.desc()).limit(SHOWN)
    reports: Sequence[Report] = (await ctx.db.scalars(newest)).all()
    running = [report.job_id for report in reports if report.state == "making" and report.job_id]
    progress = await ctx.progress_of(*running)
    return [view_of(report, progress.get(report.job_id) if report.job_id else None) for report in reports]


@feature.get("/reports/{report_id}/link", permission="reports:make")
async def link_report(ctx: Context, report_id: UUID) -> ReportLink:
    """A signed address of the file, good for ten minutes."""
    report = await ctx.db.scalar(select(Report).where(Report.id == report_id))
    if report is None:
        raise NotFound("This store has no such report.")
    if report.state != "ready":
        raise Conflict("The report is being made. Ask again in a moment.")
    await ctx.release()
    name = f"sales-{report.first_day}-to-{report.last_day}.csv"
    return ReportLink(await ctx.objects.signed_url(report.file, LINK_SECONDS, name), LINK_SECONDS)


def view_of(report: Report, progress: Progress | None = None) -> ReportView:
    view = msgspec.convert(report, ReportView, from_attributes=True)
    return msgspec.structs.replace(view, progress=progress)


def _refuse_odd_days(data: MakeSalesReport, *, today: date) -> None:
    if data.last_day > today + timedelta(days=1):
        raise Invalid("The last day lies ahead.", errors=(FieldError("/last_day", "after tomorrow"),))
    if data.last_day < data.first_day:
        raise Invalid("The last day comes before the first.", errors=(FieldError("/last_day", "before the first day"),))
    if (data.last_day - data.first_day).days >= MOST_DAYS:
        problem = FieldError("/last_day", f"more than {MOST_DAYS} days after the first")
        raise Invalid(f"A report covers {MOST_DAYS} days at most.", errors=(problem,))
