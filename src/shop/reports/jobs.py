"""The job behind a report."""

from datetime import date
from uuid import UUID

from groundplan.app import Job


class SalesReport(Job, frozen=True, kw_only=True):
    report_id: UUID
    first_day: date
    last_day: date
