"""Many dead letters at once: counted in groups, replayed at a bounded rate, dropped, and pruned when they are old."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, get_args

import msgspec

from groundplan.core.errors import FieldError, Invalid
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Row, Sql, as_instant
from groundplan.data.database.uow import Transaction
from groundplan.messaging.dead_letters.filter import NO_TENANT, DeadLetterFilter, condition
from groundplan.messaging.dead_letters.letters import MESSAGE, check_tenant
from groundplan.messaging.outbox import WAKE_CHANNEL

MOST = 10_000
"""Messages of one transaction; whoever wants more comes again, and lets others write in between."""
Key = Literal["handler", "error", "reason", "tenant", "hour"]
KEYS: tuple[str, ...] = get_args(Key)
NORMAL_RATE = 10.0
SLOWEST, FASTEST = 0.01, 1000.0
"""Bounds of a replay's rate, in messages per second."""
LONGEST_DAYS = 36_500


class DeadLetterGroup(msgspec.Struct, frozen=True, kw_only=True):
    """``tenant`` is ``-`` for messages of none; what was not grouped by is empty."""

    handler: str = ""
    error: str = ""
    reason: str = ""
    tenant: str = ""
    hour: datetime | None = None
    count: int
    first_at: datetime
    last_at: datetime


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """``left`` still match, because one act takes 10,000 at most."""

    count: int
    left: int


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    dead_letters: int
    attempts: int


class DeadLetterGroups:
    """The part of the service behind console, API and command line that acts on all that a filter chooses."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def groups(
        self, which: DeadLetterFilter, *, by: Sequence[str] = ("handler", "error"), limit: int = 100
    ) -> list[DeadLetterGroup]:
        """The largest first. Raises Invalid for a key that is none of ``KEYS``, or no key, or one twice."""
        if not by or len(set(by)) != len(by) or not set(by) <= set(KEYS):
            problem = FieldError("/by", f"some of {', '.join(KEYS)}, each once")
            raise Invalid("Dead letters cannot be grouped by that.", errors=(problem,))
        await check_tenant(self._database, which)
        where, values = condition(which, self._database.dialect)
        columns = {key: _COLUMNS.get(key, key) for key in by}
        if "hour" in columns:
            columns["hour"] = f"{_HOUR[self._database.dialect]} AS hour"
        keys = ", ".join(columns.values())
        places = ", ".join(str(place) for place in range(1, len(by) + 1))
        slug = _SLUG if "tenant" in by else "NULL"
        sql = Sql(f"""SELECT g.*, {slug} AS tenant FROM (
            SELECT {keys}, COUNT(*) AS n, MIN(died_at) AS first_at, MAX(died_at) AS last_at
            FROM dead_letters WHERE {where} GROUP BY {places}
            ) g ORDER BY n DESC, last_at DESC, {places} LIMIT :limit""")
        return [_group(row, by) for row in await self._database.execute(sql, limit=limit, **values)]

    async def count(self, which: DeadLetterFilter) -> int:
        where, values = condition(which, self._database.dialect)
        return int((await self._database.execute(Sql(_COUNT.format(where=where)), **values))[0].n)

    async def pinned(self, which: DeadLetterFilter) -> DeadLetterFilter:
        """Without those that give up from now on: a message that fails again is not taken again."""
        if which.ids is not None or which.until is not None:
            return which
        return msgspec.structs.replace(which, until=as_instant((await self._database.execute(_CLOCK))[0].now))

    async def replay(
        self, transaction: Transaction, which: DeadLetterFilter, *, rate: float, delay: float = 0.0
    ) -> Done:
        """Makes up to ``MOST`` ready again under their own ids, ``rate`` of them per second, the oldest message first.

        The first is due ``delay`` seconds from now. When each is due stands in its row, so no process has to stay for
        it. What another replays, edits or drops at this moment is waited for, and then taken as it is left.

        Raises:
            Invalid: the rate or the tenant makes no sense.
        """
        if not SLOWEST <= rate <= FASTEST:
            problem = FieldError("/rate", f"between {SLOWEST:g} and {FASTEST:g} messages per second")
            raise Invalid("Messages cannot be replayed at that rate.", errors=(problem,))
        await check_tenant(self._database, which)
        where, values = condition(which, self._database.dialect)
        values |= {"most": MOST, "gap": 1 / rate, "delay": delay}
        done = await transaction.execute(Sql(_REVIVE[self._database.dialect].format(where=where)), **values)
        if self._database.dialect == "sqlite":
            await transaction.execute(Sql(_DELETE["sqlite"].format(where=where)), **values)
        transaction.after_commit(lambda: self._database.notify(WAKE_CHANNEL))
        return await self._done(transaction, which, len(done))

    async def drop(self, transaction: Transaction, which: DeadLetterFilter) -> Done:
        """Deletes up to ``MOST`` for good; the caller writes the reason into the audit log. Raises Invalid."""
        await check_tenant(self._database, which)
        return await self._done(transaction, which, await self._delete(transaction, which))

    async def cutoff(self, days: int) -> datetime:
        """That long ago by the database's clock. Raises Invalid for less than one day or more than a century."""
        if not 1 <= days <= LONGEST_DAYS:
            raise Invalid(f"Dead letters are kept for 1 to {LONGEST_DAYS:,} days, not {days:,}.")
        return as_instant((await self._database.execute(_CLOCK))[0].now) - timedelta(days=days)

    async def prune(self, transaction: Transaction, before: datetime) -> Pruned:
        """Deletes up to ``MOST`` dead letters that gave up before then, and up to as many notes of attempts.

        Of attempts those that ended before then, and whose message neither waits nor is dead.
        """
        count = await self._delete(transaction, DeadLetterFilter(until=before))
        attempts = await transaction.execute(_FORGET, before=before, most=MOST)
        return Pruned(dead_letters=count, attempts=len(attempts))

    async def _delete(self, transaction: Transaction, which: DeadLetterFilter) -> int:
        where, values = condition(which, self._database.dialect)
        sql = Sql(_DELETE[self._database.dialect].format(where=where))
        return len(await transaction.execute(sql, most=MOST, **values))

    async def _done(self, transaction: Transaction, which: DeadLetterFilter, count: int) -> Done:
        if count < MOST:
            return Done(count=count, left=0)
        where, values = condition(which, self._database.dialect)
        return Done(count=count, left=int((await transaction.execute(Sql(_COUNT.format(where=where)), **values))[0].n))


def _group(row: Row, by: Sequence[str]) -> DeadLetterGroup:
    keys = {key: getattr(row, key) for key in by}
    if "tenant" in keys:
        keys["tenant"] = row.tenant or NO_TENANT
    if "hour" in keys:
        keys["hour"] = as_instant(row.hour)
    return DeadLetterGroup(count=int(row.n), first_at=as_instant(row.first_at), last_at=as_instant(row.last_at), **keys)


_COLUMNS = {"tenant": "tenant_id"}
_HOUR = {
    "postgresql": "date_trunc('hour', died_at, 'UTC')",
    "sqlite": "died_at / 3600000000 * 3600000000",
}
_SLUG = "(SELECT slug FROM tenants WHERE tenants.id = g.tenant_id)"
_COUNT = "SELECT COUNT(*) AS n FROM dead_letters WHERE {where}"
_CLOCK = Sql("SELECT NOW AS now")

_CHOSEN = "SELECT id FROM dead_letters WHERE {where} ORDER BY occurred_at, id LIMIT :most"
# Locked in one order, so that two that overlap wait for each other and never cross. DELETE .. RETURNING gives each
# row as it is when its lock is held: with the edit that was saved meanwhile.
_TAKEN = f"""WITH chosen AS MATERIALIZED ({_CHOSEN} FOR UPDATE),
    taken AS (DELETE FROM dead_letters d USING chosen c WHERE d.id = c.id RETURNING d.*)"""
_REVIVED = f"""INSERT INTO deliveries ({MESSAGE}, direct, state, run_at, attempt, crashes)
    SELECT {MESSAGE}, 1, 'ready',
        NOW + SECONDS(:delay) + (ROW_NUMBER() OVER (ORDER BY occurred_at, id) - 1) * SECONDS(:gap), 0, 0"""
_REVIVE = {
    "postgresql": f"{_TAKEN} {_REVIVED} FROM taken RETURNING id",
    "sqlite": f"{_REVIVED} FROM dead_letters WHERE id IN ({_CHOSEN}) RETURNING id",
}
_DELETE = {
    "postgresql": f"{_TAKEN} SELECT id FROM taken",
    "sqlite": f"DELETE FROM dead_letters WHERE id IN ({_CHOSEN}) RETURNING id",
}
_FORGET = Sql("""DELETE FROM attempts WHERE (delivery_id, number) IN (
    SELECT delivery_id, number FROM attempts a WHERE a.ended_at < :before
        AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.id = a.delivery_id)
        AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE dead_letters.id = a.delivery_id)
    LIMIT :most
    ) RETURNING number""")
