"""A small app whose every message leaves one row in the database, and a line outside of it for each attempt."""

import asyncio
import os
import signal
from uuid import UUID

from sqlalchemy import BigInteger, Column, MetaData, Table, Text, insert

from groundplan.app import App, Context, Event, Feature, Job, Retry

PACKAGE = "tests.chaos"
LEDGER = "ledger"
RETRY = Retry(attempts=1000, base=0.1, cap=1.0)
"""An outage may last: only what its worker died of may end in the dead letters."""
TIMEOUT_SECONDS = 1.5

_TABLES = MetaData()
EFFECTS = Table(
    "effects",
    _TABLES,
    Column("number", BigInteger),
    Column("handler", Text),
    Column("release", Text),
    Column("worker", BigInteger),
)
SENT = Table("sent", _TABLES, Column("number", BigInteger))


class Record(Job, frozen=True, kw_only=True):
    """``seconds`` is how long its handler works before it writes; ``deadly`` ends the process that runs it."""

    number: int
    seconds: float = 0.0
    deadly: bool = False


class Noted(Event, frozen=True, kw_only=True):
    topic = "chaos.noted"

    number: int


feature = Feature("chaos", owner="platform")


@feature.job(Record, name="chaos.record", timeout=TIMEOUT_SECONDS, retry=RETRY)
async def record(ctx: Context, job: Record) -> None:
    note_outside(ctx, job.number)
    if job.deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(job.seconds)
    await write_effect(ctx, job.number, release="old")


@feature.on(Noted, name="chaos.hear", timeout=TIMEOUT_SECONDS, retry=RETRY)
async def hear(ctx: Context, event: Noted) -> None:
    note_outside(ctx, event.number)
    await write_effect(ctx, event.number, release="old")


def note_outside(ctx: Context, number: int) -> None:
    """One line in a file that no transaction takes back: what a mail or a payment would be."""
    line = f"{_id(ctx.message_id)} {ctx.handler} {number}\n".encode()
    ledger = os.open(ctx.settings.root / LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(ledger, line)
    finally:
        os.close(ledger)


async def write_effect(ctx: Context, number: int, *, release: str) -> None:
    async with ctx.transaction() as db:
        values = {"number": number, "handler": ctx.handler, "release": release, "worker": os.getpid()}
        await db.execute(insert(EFFECTS), values)


def _id(message_id: UUID | None) -> UUID:
    if message_id is None:
        raise AssertionError("A handler has a message.")
    return message_id


app = App("chaos", features=[feature], roles={}, package=PACKAGE)
