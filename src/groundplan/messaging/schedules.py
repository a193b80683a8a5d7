"""Work by the clock: each tick fires once, whichever worker is first; the database's clock says when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from groundplan.core.errors import ConfigurationError
from groundplan.core.ids import uuid7
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql, as_instant, as_uuid
from groundplan.data.database.uow import Transaction
from groundplan.messaging.handlers import Handler, Handlers
from groundplan.messaging.message import Envelope, Job
from groundplan.messaging.outbox import Outbox

LONGEST_WAIT_SECONDS = 5.0
MOST_CATCH_UP = 100
GRACE = timedelta(seconds=60)
"""A tick that is no older has not been missed."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """``cron`` has five fields, or six with seconds first, in ``timezone``.

    ``missed``, where no worker was there: ``once`` fires once for all of them, ``skip`` for none, ``all`` for each.
    """

    cron: str
    timezone: str = "UTC"
    missed: Literal["once", "skip", "all"] = "once"
    every_tenant: bool = False

    def check(self, name: str) -> None:
        """Raises ConfigurationError for what is no schedule."""
        try:
            next(CronSim(self.cron, datetime.now(ZoneInfo(self.timezone))))
        except (CronSimError, ZoneInfoNotFoundError, StopIteration, ValueError) as error:
            raise ConfigurationError(
                f"The schedule of {name} is not one: cron {self.cron!r}, time zone {self.timezone!r}. "
                "A cron expression has five fields, as in '30 6 * * mon'."
            ) from error

    def after(self, moment: datetime) -> datetime:
        """The first tick later than ``moment``, in UTC."""
        return next(CronSim(self.cron, moment.astimezone(ZoneInfo(self.timezone)))).astimezone(UTC)

    def due(self, first: datetime, now: datetime) -> list[datetime]:
        """The ticks to fire, where ``first`` is the oldest that has not been."""
        ticks = [first]
        while len(ticks) < MOST_CATCH_UP and (following := self.after(ticks[-1])) <= now:
            ticks.append(following)
        if self.missed == "all":
            return ticks
        latest = ticks[-1] if len(ticks) < MOST_CATCH_UP else self._latest(now)
        return [] if self.missed == "skip" and now - latest > GRACE else [latest]

    def _latest(self, now: datetime) -> datetime:
        local = (now + timedelta(seconds=1)).astimezone(ZoneInfo(self.timezone))
        return next(CronSim(self.cron, local, reverse=True)).astimezone(UTC)


class Tick(Job, frozen=True, kw_only=True):
    """What a scheduled function is called with: the time it was due, which may be a while ago."""

    at: datetime


class Scheduler:
    """Every worker has one; a row in ``schedules`` holds the next tick, and who moves it on fires it."""

    def __init__(self, database: Database, outbox: Outbox, handlers: Handlers) -> None:
        self._database = database
        self._outbox = outbox
        self._scheduled: dict[str, tuple[Handler, Schedule]] = {
            handler.name: (handler, handler.schedule) for handler in handlers if handler.schedule is not None
        }

    async def prepare(self) -> None:
        """Writes down what this release schedules. A changed schedule begins anew; others' are left alone."""
        if not self._scheduled:
            return
        now = as_instant((await self._database.execute(_CLOCK))[0].now)
        async with self._database.transaction(None) as transaction:
            for name, (_, schedule) in sorted(self._scheduled.items()):
                written = f"{schedule.cron} {schedule.timezone}"
                await transaction.execute(_KEEP, name=name, cron=written, next_at=schedule.after(now))

    async def fire_due(self) -> float:
        """Fires what is due, and returns after how many seconds to look again."""
        if not self._scheduled:
            return LONGEST_WAIT_SECONDS
        wait = LONGEST_WAIT_SECONDS
        for row in await self._database.execute(_ALL):
            if row.name not in self._scheduled:
                continue
            now, tick = as_instant(row.now), as_instant(row.next_at)
            if tick <= now:
                await self._fire(row.name, tick, now)
                tick = self._scheduled[row.name][1].after(now)
            wait = min(wait, max(0.0, (tick - now).total_seconds()))
        return wait

    async def _fire(self, name: str, tick: datetime, now: datetime) -> None:
        handler, schedule = self._scheduled[name]
        async with self._database.transaction(None) as transaction:
            moved = await transaction.execute(_MOVE_ON, name=name, tick=tick, next_at=schedule.after(now))
            if not moved:  # another worker was first
                return
            for at in schedule.due(tick, now):
                for tenant_id in await self._tenants(transaction, schedule):
                    envelope = Envelope(
                        tenant_id=tenant_id, user_id=None, request_id=f"tick_{uuid7().hex}", traceparent=""
                    )
                    self._outbox.draft(transaction, envelope).run(handler, Tick(at=at))

    async def _tenants(self, transaction: Transaction, schedule: Schedule) -> Sequence[UUID | None]:
        if not schedule.every_tenant:
            return [None]
        return [as_uuid(row.id) for row in await transaction.execute(_TENANTS)]


_CLOCK = Sql("SELECT NOW AS now")
_ALL = Sql("SELECT name, next_at, NOW AS now FROM schedules")
_TENANTS = Sql("SELECT id FROM tenants ORDER BY created_at, id")
_KEEP = Sql("""INSERT INTO schedules (name, cron, next_at) VALUES (:name, :cron, :next_at)
    ON CONFLICT (name) DO UPDATE SET cron = excluded.cron, next_at = excluded.next_at
    WHERE schedules.cron <> excluded.cron""")
_MOVE_ON = Sql("""UPDATE schedules SET next_at = :next_at, last_at = :tick
    WHERE name = :name AND next_at = :tick RETURNING name""")
