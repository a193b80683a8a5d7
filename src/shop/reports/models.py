"""Tables of the reports."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from groundplan.data.database.models import Base, TenantScoped


class Report(TenantScoped, Base):
    """One sales report: asked for, then ready as a file."""

    __tablename__ = "reports"
    __table_args__ = (
        CheckConstraint("state IN ('making', 'ready')", name="reports_state"),
        Index("reports_by_time", "tenant_id", "asked_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    first_day: Mapped[date]
    last_day: Mapped[date]
    state: Mapped[str]
    asked_by: Mapped[str]
    asked_at: Mapped[datetime]
    ready_at: Mapped[datetime | None]
    file: Mapped[str]
    """Its key in the object storage; empty until it is ready."""
    rows: Mapped[int]
    job_id: Mapped[UUID | None]
    """The job that makes it; reports from before this was kept have none."""
