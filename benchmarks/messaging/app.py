"""A small app on the platform: a job that writes one row, one that does nothing, and an event that somebody hears."""

import time
from functools import cache
from pathlib import Path

from sqlalchemy import insert
from sqlalchemy.orm import Mapped, mapped_column

from benchmarks.messaging.contenders.task import Meter, Task
from groundplan.app import App, Context, Event, Feature, Job
from groundplan.data.database.models import Base
from groundplan.data.database.sql import Sql


class Effect(Base):
    """``at`` is the database's own: when the row was written."""

    __tablename__ = "effects"
    id: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[int]
    note: Mapped[str]


class WriteRow(Job, frozen=True, kw_only=True):
    number: int
    note: str


class WriteRowCore(Job, frozen=True, kw_only=True):
    number: int
    note: str


class WriteRowOrm(Job, frozen=True, kw_only=True):
    number: int
    note: str


class DoNothing(Job, frozen=True, kw_only=True):
    number: int
    note: str


class TellTime(Job, frozen=True, kw_only=True):
    sent: float
    """``time.time()`` just before the commit that sends it."""
    samples: str
    """The file that takes how long it took, in seconds."""


class RowWritten(Event, frozen=True, kw_only=True):
    number: int
    note: str


feature = Feature("benchmark", owner="platform")
PREPARED = Sql("INSERT INTO effects (job, note) VALUES (:job, :note)")
CORE = insert(Effect)


@feature.job(WriteRow, name="benchmark.write_row")
async def write_row(ctx: Context, job: WriteRow) -> None:
    async with ctx.transaction():
        await ctx.tx.execute(PREPARED, job=job.number, note=job.note)


@feature.job(WriteRowCore, name="benchmark.write_row_core")
async def write_row_core(ctx: Context, job: WriteRowCore) -> None:
    async with ctx.transaction() as db:
        await db.execute(CORE, {"job": job.number, "note": job.note})


@feature.job(WriteRowOrm, name="benchmark.write_row_orm")
async def write_row_orm(ctx: Context, job: WriteRowOrm) -> None:
    async with ctx.transaction() as db:
        db.add(Effect(job=job.number, note=job.note))


@feature.job(DoNothing, name="benchmark.do_nothing")
async def do_nothing(ctx: Context, job: DoNothing) -> None:
    _meter().count()


@feature.job(TellTime, name="benchmark.tell_time")
async def tell_time(ctx: Context, job: TellTime) -> None:
    late = time.time() - job.sent
    with Path(job.samples).open("a", encoding="ascii") as file:  # noqa: ASYNC230 -- some 20 us, after the measurement
        file.write(f"{late}\n")


@feature.on(RowWritten, name="benchmark.hear")
async def hear(ctx: Context, event: RowWritten) -> None:
    """Its subscription makes the event a delivery too."""


@cache
def _meter() -> Meter:
    return Meter(Task.given())


app = App("benchmark", features=[feature], roles={}, package="benchmarks.messaging")
